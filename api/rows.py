"""Serializers that make each row by one function, put together from their fields once.

REST framework asks each field of each row what it is, which for a sample takes longer than to read it from the
database. The fields remain what describes a row: of JSON, of CSV, and of the schema.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache
from operator import attrgetter
from typing import Any, ClassVar, TypeVar

import orjson
from django.db import models
from rest_framework import serializers

from api.flattening import flatten

Row = TypeVar("Row")
_METADATA = 1_000  # distinct ones that are kept flattened: most samples share theirs with others
_MOMENTS = 10_000  # that are kept: a period ends when the next begins, and most figures are of the same hours


class Moment(serializers.Field[datetime, None, str, Any]):
    """A time in UTC without a zone; microseconds only where there are any."""

    def to_representation(self, value: datetime) -> str:
        return moment_text(value)


class FlatMetadata(serializers.Field[str, None, dict[str, str], Any]):
    """Metadata from its JSON text."""

    def to_representation(self, value: str) -> dict[str, str]:
        return _flattened(value)


def moment_text(moment: datetime) -> str:
    """A time in UTC without a zone."""
    text = moment.isoformat()
    return text[:-6] if text[-6:] == "+00:00" else moment.astimezone(UTC).replace(tzinfo=None).isoformat()


def optional_moment_text(moment: datetime | None) -> str | None:
    """The same of what may be none."""
    return None if moment is None else moment_text(moment)


@lru_cache(_MOMENTS)
def naive_moment(seconds: float) -> datetime:
    """A time in seconds since 1970 as one in UTC without a zone: orjson writes it as `moment_text` does, but sooner."""
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


def json_bytes(value: object, *, indented: bool = False) -> bytes:
    """A value as JSON, in one line unless it is to be indented."""
    try:
        return orjson.dumps(value, option=orjson.OPT_INDENT_2 if indented else None)
    except orjson.JSONEncodeError:  # a lone surrogate, which metadata may hold: only an escape can write it
        return json.dumps(value, indent=2 if indented else None, default=datetime.isoformat).encode()


def json_text(value: object) -> str:
    """A value as JSON in one line."""
    return json_bytes(value).decode()


@lru_cache(_METADATA)
def _flattened(body: str) -> dict[str, str]:
    return flatten(body)


@lru_cache(_METADATA)
def _flat_text(body: str) -> str:
    return json_text(_flattened(body))


class RowListSerializer(serializers.ListSerializer[Any]):
    """Many rows."""

    child: RowsOfOneForm[Any]

    def to_representation(self, data: models.Manager[Any] | Iterable[Any]) -> list[dict[str, Any]]:
        return self.child.rows(list(data.all() if isinstance(data, models.Manager) else data))


class RowsOfOneForm(serializers.BaseSerializer[Row]):
    """What a listing needs of a serializer."""

    def rows(self, found: Sequence[Row]) -> list[dict[str, Any]]:
        """Each as an object of JSON."""
        return [self.to_representation(row) for row in found]

    @abstractmethod
    def columns(self) -> list[str]:
        """The columns of a table of such rows."""

    def lines(self, found: Sequence[Row]) -> list[list[Any]]:
        """Each as the cells of a table; what is an object or a list in JSON is its JSON text."""
        return [
            [json_text(value) if isinstance(value, dict | list) else value for value in row.values()]
            for row in self.rows(found)
        ]


class RowSerializer(RowsOfOneForm[Row], serializers.Serializer[Row]):
    """Rows that are read only. A field is a text or number as it is, a `Moment`, `FlatMetadata`, or a method's."""

    nested: ClassVar[frozenset[str]] = frozenset()  # fields beside metadata that are lists or objects

    class Meta:
        list_serializer_class = RowListSerializer

    def to_representation(self, instance: Row) -> dict[str, Any]:
        return self.rows([instance])[0]

    def rows(self, found: Sequence[Row]) -> list[dict[str, Any]]:
        names = _plan(type(self)).names
        return [dict(zip(names, cells, strict=True)) for cells in self._values(found, _flattened)]

    def columns(self) -> list[str]:
        return list(_plan(type(self)).names)

    def lines(self, found: Sequence[Row]) -> list[list[Any]]:
        lines = self._values(found, _flat_text)
        for place, name in enumerate(_plan(type(self)).names):
            if name in self.nested:
                for line in lines:
                    line[place] = json_text(line[place])
        return lines

    def _values(self, found: Sequence[Row], metadata: Callable[[str], Any]) -> list[list[Any]]:
        """The cells of each row; made column by column, which takes half the time."""
        if not found:
            return []
        plan = _plan(type(self))
        columns: list[Sequence[Any]] = list(zip(*map(plan.read, found), strict=True))
        for place in plan.moments:
            texts = {moment: optional_moment_text(moment) for moment in set(columns[place])}  # a poll's share one
            columns[place] = [texts[moment] for moment in columns[place]]
        for place in plan.metadata:
            columns[place] = list(map(metadata, columns[place]))
        for place, name in plan.methods:
            columns.insert(place, list(map(getattr(self, name), found)))
        return list(map(list, zip(*columns, strict=True)))


@dataclass(frozen=True, slots=True)
class _Plan:
    """How a row is made: what is read of it, which of that is changed, and what is put in by methods at last."""

    names: tuple[str, ...]
    read: Callable[[Any], tuple[Any, ...]]
    moments: tuple[int, ...]
    metadata: tuple[int, ...]
    methods: tuple[tuple[int, str], ...]


@cache
def _plan(form: type[RowSerializer[Any]]) -> _Plan:
    paths: list[str] = []
    moments: list[int] = []
    metadata, methods = [], []
    fields = form._declared_fields
    for place, (name, field) in enumerate(fields.items()):
        if isinstance(field, serializers.SerializerMethodField):
            methods.append((place, field.method_name or f"get_{name}"))
            continue
        if isinstance(field, Moment):
            moments.append(len(paths))
        elif isinstance(field, FlatMetadata):
            metadata.append(len(paths))
        paths.append(field.source or name)
    return _Plan(tuple(fields), attrgetter(*paths), tuple(moments), tuple(metadata), tuple(methods))
