"""What a question about the ledger may say, apart from who asks it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import Q

Scalar = str | int | float | bool | None


class OneOf(tuple[Scalar, ...]):
    """Several values, each of which will do."""

    __slots__ = ()


Wanted = str | None | OneOf  # of a column

MOST_CUTS = 5  # dots in a metadata key that may stand within a name as well as between two


class Place(NamedTuple):
    """Where a sample stands in a listing, newest first."""

    ts: datetime
    series_id: int
    message_id: uuid.UUID

    def condition(self) -> Q:
        """That a sample comes behind it."""
        at_once = Q(ts=self.ts, series_id=self.series_id, message_id__lt=self.message_id)
        beside = Q(ts=self.ts, series_id__lt=self.series_id)
        # The first bound is that by which partitions and entries of the index are left out.
        return Q(ts__lte=self.ts) & (Q(ts__lt=self.ts) | beside | at_once)


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time; None leaves a side open. ``margin`` widens what is looked at on both sides.

    Raises OverflowError from `lower` and `upper` where the margin leaves the calendar.
    """

    start: datetime | None = None
    end: datetime | None = None
    margin: timedelta = timedelta(0)
    without_start: bool = False  # a reading at the very start does not count
    with_end: bool = False  # one at the very end does
    behind: Place | None = None  # only what comes behind this sample, newest first

    @property
    def lower(self) -> datetime | None:
        return None if self.start is None else self.start - self.margin

    @property
    def upper(self) -> datetime | None:
        return None if self.end is None else self.end + self.margin

    @property
    def is_open(self) -> bool:
        return self.start is None and self.end is None

    def condition(self, column: str = "ts") -> Q:
        """That ``column`` lies within."""
        bounds = Q()
        if self.lower is not None:
            bounds &= Q((f"{column}__gt" if self.without_start else f"{column}__gte", self.lower))
        if self.upper is not None:
            bounds &= Q((f"{column}__lte" if self.with_end else f"{column}__lt", self.upper))
        if self.behind is not None:
            bounds &= self.behind.condition()
        return bounds


@dataclass(frozen=True, slots=True)
class Question:
    """Which rows are asked for; every part narrows it down.

    ``equal`` maps columns of a series to the wanted value (None: null), ``metadata`` dotted keys to a
    value of the wanted type; either to one of several.
    """

    equal: Mapping[str, Wanted] = field(default_factory=dict)
    metadata: Mapping[str, Scalar | OneOf] = field(default_factory=dict)
    window: Window = field(default_factory=Window)
    message_id: uuid.UUID | None = None

    @property
    def of_source(self) -> Mapping[str, Wanted]:
        """What of it is about the source."""
        return {name: wanted for name, wanted in self.equal.items() if name == "source"}

    def of_meter(self, name: str) -> Question:
        """The same about one meter, whichever was asked for before."""
        return replace(self, equal={**self.equal, "meter": name})


def column_condition(column: str, wanted: Wanted) -> Q:
    """That a column has the wanted value, or one of them."""
    if not isinstance(wanted, OneOf):
        return Q((column, wanted))
    texts = Q((f"{column}__in", [value for value in wanted if value is not None]))
    return texts | Q((column, None)) if None in wanted else texts


def fits(value: str | None, wanted: Wanted) -> bool:
    """Whether a value is the wanted one, or one of them."""
    return value in wanted if isinstance(wanted, OneOf) else value == wanted


def metadata_condition(wanted: Mapping[str, Scalar | OneOf], column: str) -> Q:
    """That the metadata document in ``column`` says all of this. A number equals no text."""
    condition = Q()
    for key, values in wanted.items():
        said = [
            (f"{column}__contains", _nested(names, value))
            for value in (values if isinstance(values, OneOf) else (values,))
            for names in ways(key)
        ]
        condition &= Q(*said, _connector=Q.OR)
    return condition


def ways(key: str) -> list[list[str]]:
    """Every way to read a dotted key of metadata as nested names."""
    return _cuts(key.split("."))


def _cuts(parts: list[str]) -> list[list[str]]:
    """Every way to read dotted parts as nested names, for a name may hold dots itself.

    Of very many dots each stands between two names.
    """
    if len(parts) == 1 or len(parts) - 1 > MOST_CUTS:
        return [parts]
    rest = _cuts(parts[1:])
    return [[parts[0], *names] for names in rest] + [[f"{parts[0]}.{names[0]}", *names[1:]] for names in rest]


def _nested(names: list[str], value: Scalar) -> object:
    nested: object = value
    for name in reversed(names):
        nested = {name: nested}
    return nested
