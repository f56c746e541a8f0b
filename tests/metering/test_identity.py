"""The same reading is the same sample, and an id says where its row is."""

from __future__ import annotations

import hashlib
import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.identity import EPOCH, id_prefix, message_id, prefix_of, series_digest
from tests.metering.strategies import empty_texts, many, texts

SERIES: tuple[Any, ...] = ("openstack", "cpu", "cumulative", "ns", "i-1", "u-1", "p-1")
MOMENT = datetime(2026, 1, 2, 3, 4, 5, 6, UTC)
moments = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001 # it adds the zone


def compact(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


@many
@given(st.tuples(texts, texts, texts, empty_texts, texts, st.none() | empty_texts, st.none() | empty_texts))
def test_a_series_digest_is_what_the_document_says(series: tuple[Any, ...]) -> None:
    assert series_digest(*series) == hashlib.sha256(compact(series)).digest()


def test_every_field_makes_another_series_and_null_is_not_empty() -> None:
    others = [(*SERIES[:place], "other", *SERIES[place + 1 :]) for place in range(len(SERIES))]
    owners = [(*SERIES[:5], user, project) for user in (None, "") for project in (None, "")]

    assert len({series_digest(*series) for series in [SERIES, *others, *owners]}) == 12


@many
@given(moments, texts, texts, texts, st.integers(0, 10**6))
def test_an_id_is_what_the_document_says(
    moment: datetime, origin: str, name: str, resource_id: str, occurrence: int
) -> None:
    digest = series_digest(*SERIES)

    made = message_id(digest, moment, origin, name, resource_id, occurrence)

    assert (made.version, made.variant) == (8, uuid.RFC_4122)
    timestamp = moment.isoformat(timespec="microseconds")
    hashed = hashlib.sha256(compact([origin, name, resource_id, timestamp, occurrence])).digest()
    milliseconds = (moment - EPOCH) // timedelta(milliseconds=1)
    bits = f"{milliseconds:048b}" + f"{int.from_bytes(digest[:4]):032b}" + f"{int.from_bytes(hashed):0256b}"[:42]
    assert f"{made.int:0128b}" == bits[:48] + "1000" + bits[48:60] + "10" + bits[60:]


@many
@given(moments, st.binary(min_size=32, max_size=32), texts)
def test_an_id_tells_its_series_and_its_time(moment: datetime, digest: bytes, origin: str) -> None:
    made = message_id(digest, moment, origin, "cpu", "i-1", 0)

    assert prefix_of(made.int) == id_prefix(digest, moment)
    later = moment + timedelta(milliseconds=1)
    assert prefix_of(made.int) != id_prefix(digest, later)


@pytest.mark.parametrize(
    "changed",
    [{"origin": "other"}, {"name": "memory"}, {"resource_id": "i-2"}, {"occurrence": 1},
     {"moment": MOMENT + timedelta(microseconds=1)}, {"digest": series_digest(*SERIES[::-1])}],
)  # fmt: skip
def test_another_reading_has_another_id_and_the_same_has_the_same(changed: dict[str, Any]) -> None:
    reading: dict[str, Any] = {
        "digest": series_digest(*SERIES), "moment": MOMENT, "origin": "default/7/host-1", "name": "cpu",
        "resource_id": "i-1", "occurrence": 0,
    }  # fmt: skip

    assert message_id(**reading) == message_id(**reading)
    assert message_id(**{**reading, **changed}) != message_id(**reading)


def test_ids_of_later_readings_sort_after_earlier_ones() -> None:
    digest = series_digest(*SERIES)
    ids = [message_id(digest, MOMENT + timedelta(milliseconds=ms), "o", "cpu", "i-1", 0) for ms in range(20)]

    assert ids == sorted(ids)
