"""Judged together or one by one, a batch's rows come out the same, whatever one of them holds."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering import messages, packing
from metering.counters import Counter
from metering.errors import MeteringError
from metering.sifting import Genuine, Refused, Rules, Sifter
from metering.sifting.judge import Judge
from metering.sifting.rows import RowJudge
from metering.sifting.together import judge_together
from metering.signing import metadata_digest, sample_bytes
from tests.factories import CEILOMETER_SECRET, KEYS, NOON, reading
from tests.metering.strategies import counters, few, json_values, many

SIGNER = KEYS.signer("compute/host-1")
RULES = Rules(KEYS, (CEILOMETER_SECRET,), timedelta(days=30), timedelta(minutes=10), frozenset({"volume.size"}))
NOW = NOON + timedelta(minutes=1)
VOLUME, PLACE, ID, SIGNATURE = 3, 8, 9, 10


def packed(*sent: Counter) -> dict[str, Any]:
    [text] = packing.pack(sent, signer=SIGNER, source="openstack")
    parts: dict[str, Any] = json.loads(text)
    return parts


def judge(parts: dict[str, Any], disabled: frozenset[str] = frozenset()) -> RowJudge:
    return RowJudge(Judge(RULES), messages.read(json.dumps(parts)), NOW, disabled)


def give_id(row: list[Any], identity: str, metadata: str) -> None:
    """Another id, under the publisher's own signature."""
    name, type_, unit, volume, user, project, resource, timestamp = row[:8]
    data = sample_bytes(
        SIGNER.publisher, "openstack", name, type_, unit, volume, user, project, resource, timestamp,
        metadata_digest(metadata), identity,
    )  # fmt: skip
    row[ID:] = identity, SIGNER.digest(data)


def one_by_one(parts: dict[str, Any]) -> tuple[list[Genuine], list[Refused]]:
    genuine, refused, rows = [], [], judge(parts)
    for row in rows.batch.rows:
        try:
            genuine.append(rows.genuine(row))
        except MeteringError as exc:
            refused.append(rows.refused(row, str(exc)))
    return genuine, refused


@many
@given(st.lists(counters, min_size=1, max_size=5))
def test_good_rows_are_judged_together_and_come_out_as_one_by_one(sent: list[Counter]) -> None:
    parts = packed(*sent)

    assert judge_together(judge(parts)) == one_by_one(parts)[0]


@many
@given(st.lists(counters, min_size=1, max_size=4), st.data())
def test_whatever_stands_in_a_row_it_comes_out_as_one_by_one(sent: list[Counter], data: st.DataObject) -> None:
    parts = packed(*sent)
    row = data.draw(st.integers(0, len(sent) - 1))
    place = data.draw(st.integers(0, 10))
    parts["rows"][row][place] = data.draw(json_values)

    sifted = Sifter(RULES).sift(messages.read(json.dumps(parts)), NOW)

    assert (sifted.genuine, sifted.refused) == one_by_one(parts)


@few
@given(st.lists(counters, min_size=2, max_size=4), st.permutations(range(11)))
def test_rows_that_swap_their_fields_come_out_as_one_by_one(sent: list[Counter], order: list[int]) -> None:
    parts = packed(*sent)
    for place in order[:4]:
        parts["rows"][0][place], parts["rows"][1][place] = parts["rows"][1][place], parts["rows"][0][place]

    sifted = Sifter(RULES).sift(messages.read(json.dumps(parts)), NOW)

    assert (sifted.genuine, sifted.refused) == one_by_one(parts)


IDS = [
    "2D6E0F7A-C86A-81F0-8DE9-0242AC120002",
    "2d6e0f7ac86a81f08de90242ac120002----",
    "2d6e0f7-ac86a-81f0-8de9-0242ac120002",
    "2d6e0f7a-c86a-81f0-8de9-0242ac12000g",
    "2d6e0f7a-c86a-81f0-8de9-0242ac12000 ",
    "2d6e0f7a-c86a-81f0-8de9-0242ac12000\n",
    "2d6e0f7a-c86a-81f0-8de9-0242ac12000\uff11",
    "x",
]


@pytest.mark.parametrize("identity", IDS)
def test_a_row_whose_id_is_no_uuid_is_in_doubt_though_it_is_signed(identity: str) -> None:
    parts = packed(reading(1, origin="o"), reading(2, 1, origin="o"))
    give_id(parts["rows"][1], identity, parts["metadata"][0])

    assert judge_together(judge(parts)) is None
    assert [item.reason for item in one_by_one(parts)[1]] == ["message_id of a row must be a UUID"]


def test_a_uuid_that_is_not_ours_is_foreign_and_one_of_ours_is_not() -> None:
    parts = packed(reading(1, origin="o"), reading(2, 1, origin="o"))
    give_id(parts["rows"][1], "2d6e0f7a-c86a-81f0-8de9-0242ac120002", parts["metadata"][0])

    genuine = judge_together(judge(parts))

    assert genuine is not None
    assert [item.foreign_id for item in genuine] == [False, True]


@pytest.mark.parametrize("place", [0.0, False, "0", None, 99, [0]])
def test_a_place_that_is_no_whole_number_of_the_batch_is_in_doubt(place: object) -> None:
    parts = packed(reading(1, origin="o"), reading(2, 1, origin="o"))
    parts["rows"][1][PLACE] = place

    assert judge_together(judge(parts)) is None


def test_a_whole_number_is_judged_as_the_volume_that_it_is() -> None:
    parts = packed(reading(1, origin="o"), reading(2.0**63, 1, origin="o"))
    for row in parts["rows"]:
        row[VOLUME] = int(row[VOLUME])

    genuine = judge_together(judge(parts))

    assert genuine is not None
    assert [(type(item.volume), item.volume) for item in genuine] == [(float, 1.0), (float, 2.0**63)]


@pytest.mark.parametrize("digits", ["", "0" * 63, "0" * 65, "é" * 64, None, 7])
def test_a_signature_that_is_none_is_in_doubt_whatever_the_others_have(digits: object) -> None:
    parts = packed(reading(1, origin="o"), reading(2, 1, origin="o"))
    parts["rows"][0][SIGNATURE] = digits

    assert judge_together(judge(parts)) is None
    assert len(one_by_one(parts)[1]) == 1


def test_two_signatures_that_give_each_other_a_digit_are_in_doubt() -> None:
    parts = packed(reading(1, origin="o"), reading(2, 1, origin="o"))
    first, second = parts["rows"]
    first[SIGNATURE], second[SIGNATURE] = first[SIGNATURE] + second[SIGNATURE][:1], second[SIGNATURE][1:]

    assert judge_together(judge(parts)) is None


def test_a_publisher_that_is_disabled_or_may_not_send_the_meter_is_in_doubt() -> None:
    assert judge_together(judge(packed(reading()), frozenset({"compute/host-1"}))) is None
    assert judge_together(judge(packed(reading(meter="volume.size")))) is None
