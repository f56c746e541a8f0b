"""The ids of series, metadata and signers, found or made, and remembered by the process."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db import connection

from metering.event_sifting import GenuineEvent
from metering.memory import Memory
from metering.sifting import LONGEST_REMEMBERED, Genuine, Series, SignerKey
from metering.store.printable import printable

Told = tuple[int, str]  # the id of a metadata, and of a resource that had it
EventTraitKey = tuple[int, str, str]  # event type, name, type

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")

SERIES_REMEMBERED = 1_000_000  # by their digests, some 200 bytes each: a thousand hosts of fifty guests and 20 meters
METADATA_REMEMBERED = 64_000_000  # characters


@dataclass(frozen=True, slots=True)
class Ids:
    """Where the rows that a batch's samples refer to lie."""

    series: Mapping[bytes, int]  # by digest
    metadata: Mapping[str, int]
    signers: Mapping[SignerKey, int]


@dataclass(frozen=True, slots=True)
class EventIds:
    """Where the rows that a batch's events refer to lie."""

    event_types: Mapping[str, int]
    signers: Mapping[SignerKey, int]


class _Known(Generic[Key, Item]):
    """Ids known to be committed."""

    def __init__(self, memory: Memory[Key, int], find: Callable[[Sequence[Item]], list[int]]) -> None:
        self._memory, self._find = memory, find

    def ids(self, wanted: Mapping[Key, Item]) -> dict[Key, int]:
        young = self._memory.young
        ids = {key: young[key] for key in wanted if key in young}
        if len(ids) == len(wanted):
            return ids
        missing = []
        for key in [key for key in wanted if key not in ids]:
            id_ = self._memory.get(key)
            if id_ is None:
                missing.append(key)
            else:
                ids[key] = id_
        if missing:
            found = dict(zip(missing, self._find([wanted[key] for key in missing]), strict=True))
            for key, id_ in found.items():
                if not _is_large(key):
                    self._memory.put(key, id_)
            ids |= found
        return ids

    def forget(self) -> None:
        self._memory.clear()


def _is_large(key: Hashable) -> bool:
    return isinstance(key, str) and len(key) > LONGEST_REMEMBERED


def resolve(genuine: Sequence[Genuine]) -> Ids:
    """Ids for all that these messages refer to, made where they are new.

    In statements of their own, before the writer's transaction: an id must not be remembered that a
    rollback takes away, and rows made in key order cannot deadlock two workers. Which resource has told which
    metadata is noted on the way, so it is there before the first sample that says so.
    """
    ids = Ids(
        series=_series.ids({item.series.digest: item.series for item in genuine}),
        metadata=_metadata.ids({item.metadata: item.metadata for item in genuine}),
        signers=_signers.ids({item.signer: item.signer for item in genuine}),
    )
    told = {(item.metadata, item.series.resource[0]) for item in genuine}
    _note_told({(ids.metadata[text], resource_id) for text, resource_id in told})
    return ids


def resolve_events(genuine: Sequence[GenuineEvent]) -> EventIds:
    """The same for events. Which traits the events of a type have is noted on the way."""
    types = _event_types.ids({item.event_type: item.event_type for item in genuine})
    traits = {(types[item.event_type], trait.name, str(trait.type)) for item in genuine for trait in item.traits}
    _event_traits.ids({key: key for key in traits})
    return EventIds(types, _signers.ids({item.signer: item.signer for item in genuine}))


def forget() -> None:
    """Forget every id: another database may be behind the connection."""
    _series.forget()
    _metadata.forget()
    _signers.forget()
    _event_types.forget()
    _event_traits.forget()
    _told.clear()


def _note_told(told: set[Told]) -> None:
    new = sorted(pair for pair in told if _told.get(pair) is None)
    if new:
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO told_metadata (metadata_id, resource_id) SELECT * FROM unnest(%s::int[], %s::text[]) "
                "ON CONFLICT DO NOTHING",
                [list(column) for column in zip(*new, strict=True)],
            )
        for pair in new:
            _told.put(pair, pair)


def _find_series(series: Sequence[Series]) -> list[int]:
    rows = {item.digest: (item.digest, int.from_bytes(item.digest[:4], "big"), *item.key) for item in series}
    columns = "digest, tag, source, meter, type, unit, resource_id, user_id, project_id"
    ids = _ids_by_digest("series", columns, ("bytea", "bigint", *["text"] * 7), rows)
    return [ids[item.digest] for item in series]


def _find_metadata(texts: Sequence[str]) -> list[int]:
    digests = [hashlib.sha256(text.encode()).digest() for text in texts]
    rows = {digest: (digest, text, _document(text)) for digest, text in zip(digests, texts, strict=True)}
    ids = _ids_by_digest("resource_metadata", "digest, body, document", ("bytea", "text", "jsonb"), rows)
    return [ids[digest] for digest in digests]


def _find_signers(keys: Sequence[SignerKey]) -> list[int]:
    found: dict[SignerKey, int] = {}
    with connection.cursor() as cursor:
        for key in sorted(keys):
            cursor.execute(
                "INSERT INTO signer (scheme, kid, publisher) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING", key
            )
            cursor.execute("SELECT id FROM signer WHERE scheme = %s AND kid = %s AND publisher = %s", key)
            found[key] = cursor.fetchone()[0]
    return [found[key] for key in keys]


def _find_event_types(names: Sequence[str]) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO event_type (name) SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING", [sorted(names)]
        )
        cursor.execute("SELECT name, id FROM event_type WHERE name = ANY(%s)", [list(names)])
        ids = dict(cursor.fetchall())
    return [ids[name] for name in names]


def _find_event_traits(keys: Sequence[EventTraitKey]) -> list[int]:
    columns = [list(column) for column in zip(*sorted(keys), strict=True)]
    unnested = "unnest(%s::bigint[], %s::text[], %s::text[]) AS wanted (event_type_id, name, type)"
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO event_trait (event_type_id, name, type) SELECT * FROM {unnested} ON CONFLICT DO NOTHING",
            columns,
        )
        cursor.execute(
            f"SELECT event_type_id, name, type, id FROM event_trait JOIN {unnested} USING (event_type_id, name, type)",
            columns,
        )
        ids = {row[:3]: row[3] for row in cursor.fetchall()}
    return [ids[key] for key in keys]


def _ids_by_digest(
    table: str, columns: str, types: Sequence[str], rows: Mapping[bytes, tuple[Any, ...]]
) -> dict[bytes, int]:
    """The ids of rows by their first column, a digest; rows that are new are made, in the digests' order."""
    ids = _stored_ids(table, list(rows))
    missing = sorted(rows.keys() - ids.keys())
    if missing:
        arrays = [list(column) for column in zip(*(rows[digest] for digest in missing), strict=True)]
        unnested = ", ".join(f"%s::{type_}[]" for type_ in types)
        with connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {table} ({columns}) SELECT * FROM unnest({unnested}) ON CONFLICT (digest) DO NOTHING",
                arrays,
            )
        ids |= _stored_ids(table, missing)  # also those that another worker has made in the meantime
    return ids


def _stored_ids(table: str, digests: list[bytes]) -> dict[bytes, int]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT digest, id FROM {table} WHERE digest = ANY(%s::bytea[])", [digests])
        return {bytes(digest): id_ for digest, id_ in cursor.fetchall()}


def _document(body: str) -> str | None:
    """The metadata as jsonb can hold it: a NUL or a lone surrogate becomes U+FFFD. None where it cannot.

    Only searches use it; what was signed is ``body``.
    """
    if "\\u0000" not in body and "\\ud" not in body:
        return body
    return json.dumps(printable(json.loads(body)))


_series: _Known[bytes, Series] = _Known(Memory(SERIES_REMEMBERED), _find_series)
_metadata: _Known[str, str] = _Known(Memory(METADATA_REMEMBERED, len), _find_metadata)
_signers: _Known[SignerKey, SignerKey] = _Known(Memory(20_000), _find_signers)
_event_types: _Known[str, str] = _Known(Memory(20_000), _find_event_types)
_event_traits: _Known[EventTraitKey, EventTraitKey] = _Known(Memory(200_000), _find_event_traits)
_told: Memory[Told, Told] = Memory(200_000)
