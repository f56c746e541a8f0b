"""What the doctor finds in the ledger, of a node and of one of its meters."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from metering import packing
from metering.counters import Kind, Meter
from metering.doctor import ledger
from metering.doctor.finding import Finding, Verdict
from metering.messages import Poll
from metering.plugins import CENTRAL, COLLECTOR, COMPUTE, Plugin
from metering.signing import Keyring
from metering.sources import Source
from metering.tasks import storage
from tests.admin import rows

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)
SOURCES = (Source("default", 60, ("*", "!memory.*")),)


@pytest.fixture
def now() -> datetime:
    return timezone.now()


def plugin(meter: str, namespace: str = COMPUTE, **fields: Any) -> Plugin:
    values: dict[str, Any] = {"target": object(), "reason": None, "version": "1.0"} | fields
    return Plugin(meter, namespace, "acme", meters=(Meter(meter, Kind.GAUGE, ""),), **values)


INSTALLED = (
    plugin("cpu"),
    plugin("memory.usage"),
    plugin("perf.cycles", target=None, reason="named in METERING_DISABLED_PLUGINS"),
    plugin("image.size", CENTRAL),
    plugin("volume", COLLECTOR),
)


def examine(
    name: str, now: datetime, meter: str | None = None, known: Sequence[Source] = SOURCES
) -> dict[Verdict, list[Finding]]:
    found: dict[Verdict, list[Finding]] = {verdict: [] for verdict in Verdict}
    for finding in ledger.examine(name, meter, INSTALLED, known, now):
        found[finding.verdict].append(finding)
    return found


def said(findings: Sequence[Finding]) -> list[str]:
    return [finding.said for finding in findings]


def healthy(now: datetime, **fields: Any) -> None:
    rows.node(last_seen=now, last_poll=now, guests=3, skew=0, **fields)
    for minutes in (2, 3):
        rows.poll(now - minutes * MINUTE)


def test_of_a_node_that_is_well_nothing_is_wrong(now: datetime) -> None:
    healthy(now)

    found = examine("host-1", now)

    assert (found[Verdict.WRONG], found[Verdict.NOTE]) == ([], [])
    assert said(found[Verdict.GOOD]) == [
        "its last batch came 0 s ago",
        "2 of 2 polls of the last hour came; last read 0 s ago",
        "its clock is right, as far as its batches tell",
    ]


def test_a_node_is_found_by_its_name_its_publisher_or_as_central(now: datetime) -> None:
    healthy(now)
    rows.node("controller", "central", last_seen=now)

    assert examine("compute/host-1", now)[Verdict.GOOD]
    assert {finding.about for finding in examine("central", now)[Verdict.GOOD]} == {"node central/controller"}


def test_an_unknown_node_is_compared_with_the_names_that_are_known(now: datetime) -> None:
    rows.node("host-1.example.net")

    [finding] = examine("host-1.exmaple.net", now)[Verdict.WRONG]

    assert finding.said == "no genuine batch of 'host-1.exmaple.net' ever came"
    assert finding.remedy.startswith("did you mean host-1.example.net?")


def test_a_node_with_a_wrong_key_is_unknown_and_what_came_under_its_name_is_told() -> None:
    stranger = Keyring({"k1": b"another secret, of somebody else"}).signer("compute/host-1")
    for _ in range(3):  # a node announces itself each minute
        [announcement] = packing.pack([], signer=stranger, source="openstack", poll=Poll("default", None))
        storage.record(announcement, storage.sifter())

    unknown, refused = examine("host-1", timezone.now())[Verdict.WRONG]

    assert unknown.about == "node"
    assert refused.about == "quarantine of host-1"
    assert refused.said.startswith("3 in a day: its header: ")


def test_a_node_that_is_switched_off_says_so(now: datetime) -> None:
    healthy(now, enabled=False)

    assert said(examine("host-1", now)[Verdict.WRONG]) == [
        "it is switched off: it gets no orders, and what it sends is refused"
    ]


def test_missed_polls_are_told_with_the_reason_of_each(now: datetime) -> None:
    healthy(now)
    rows.missed_poll(now - 10 * MINUTE)
    rows.missed_poll(now - 11 * MINUTE, note="no route")
    rows.missed_poll(now - 12 * MINUTE, note="no route")
    rows.missed_poll(now - 13 * MINUTE, note="not dispatched")
    rows.missed_poll(now - 70 * MINUTE)  # longer ago than an hour

    found = examine("host-1", now)[Verdict.WRONG]

    assert said(found) == [
        "polls of the last hour that were missed (no receipt): 1",
        "polls of the last hour that were missed (no route): 2",
        "polls of the last hour that were missed (not dispatched): 1",
    ]
    assert "its worker is not running" in found[1].remedy
    assert "beat or the control worker" in found[2].remedy


def test_an_unreachable_node_says_so(now: datetime) -> None:
    rows.node(last_seen=now - 9 * MINUTE, last_poll=now - 9 * MINUTE)
    for minutes in (2, 3):
        rows.missed_poll(now - minutes * MINUTE)

    first, *_ = examine("host-1", now)[Verdict.WRONG]

    assert first.said == "it is unreachable; 0 of 2 polls of the last hour came"


def test_a_node_that_was_never_polled_says_so(now: datetime) -> None:
    rows.node(last_seen=now)

    assert said(examine("host-1", now)[Verdict.NOTE]) == ["it was never polled"]


def test_errors_drops_and_an_empty_host_are_told(now: datetime) -> None:
    rows.node(
        last_seen=now,
        last_poll=now,
        guests=0,
        errors={"disk": 2, "unknown source": 1},
        dropped={"polls": 4, "samples": 9},
    )

    found = examine("host-1", now)

    assert said(found[Verdict.WRONG]) == [
        "disk: 2 failed in the last poll",
        "unknown source: 1 failed in the last poll",
    ]
    assert said(found[Verdict.NOTE]) == [
        "it saw no guest in its last poll",
        "its spool gave up 4 polls, 9 samples since it was made",
    ]


@pytest.mark.parametrize(
    ("skew", "told"), [(4_000.04, "ahead by at least 4,000.0 s"), (-7, "behind by at least 7.0 s")]
)
def test_a_wrong_clock_is_told(now: datetime, skew: float, told: str) -> None:
    rows.node(last_seen=now, last_poll=now, skew=skew)

    assert said(examine("host-1", now)[Verdict.WRONG]) == [f"its clock is {told}"]


def test_what_was_refused_within_a_day_is_told_by_reason(now: datetime) -> None:
    healthy(now)
    for number in range(3):
        rows.refused(b"a%d" % number, "too old", publisher="compute/host-1", count=2, last_seen=now)
    rows.refused(b"b", "of last week", publisher="compute/host-1", last_seen=now - timedelta(days=7))
    rows.refused(b"c", "another's", publisher="compute/host-2", last_seen=now)

    assert said(examine("host-1", now)[Verdict.WRONG]) == ["6 in a day: too old"]


def stored(meter: str, ts: datetime, resource: str = rows.WEB, publisher: str = "compute/host-1") -> None:
    rows.sample(rows.series(meter, resource), ts)
    rows.resource(resource, ts, publisher=publisher)


def test_a_meter_that_comes_is_told_with_its_last_reading(now: datetime) -> None:
    healthy(now)
    stored("cpu", now - MINUTE)

    found = examine("host-1", now, "cpu")

    assert found[Verdict.WRONG] == []
    assert said(found[Verdict.GOOD])[-3:] == [
        "it is made by the plugin cpu of acme 1.0",
        "the source default asks for it each 60 s",
        "last read 60 s ago, resources that have it: 1",
    ]


def test_a_meter_that_came_no_more_is_wrong(now: datetime) -> None:
    healthy(now)
    stored("cpu", now - 30 * MINUTE)

    [finding] = examine("host-1", now, "cpu")[Verdict.WRONG]

    assert finding.said == "last read 30 min ago, resources that have it: 1"
    assert finding.remedy == "on the host: manage.py doctor --meter cpu"


@pytest.mark.parametrize(
    ("meter", "told", "remedy"),
    [
        ("cpuu", "no installed plugin makes it", "did you mean cpu?"),
        ("memory.usage", "no source asks for it", "METERING_SOURCES_FILE"),
        ("perf.cycles", "its plugin perf.cycles is off: named in METERING_DISABLED_PLUGINS", "manage.py plugins"),
        ("image.size", "compute workers do not make it: it is made by central workers", "look there"),
        ("volume", "compute workers do not make it: it is made by the consumer, from notifications", "look there"),
    ],
)
def test_a_meter_that_cannot_come_is_told_why(now: datetime, meter: str, told: str, remedy: str) -> None:
    healthy(now)

    found = examine("host-1", now, meter)[Verdict.WRONG]

    assert told in said(found)
    assert remedy in next(finding.remedy for finding in found if finding.said == told)
    assert "no sample of it from compute/host-1 is stored; nor has any other node sent it" in said(found)


def test_a_meter_that_only_other_nodes_send_is_told_so(now: datetime) -> None:
    healthy(now)
    stored("cpu", now, publisher="compute/host-2")

    assert said(examine("host-1", now, "cpu")[Verdict.WRONG]) == [
        "no sample of it from compute/host-1 is stored; others send it"
    ]


def test_a_finding_is_one_line_for_people_and_one_object_for_programs() -> None:
    finding = Finding("broker", Verdict.WRONG, "it is away", "start it")

    assert str(finding) == "wrong  broker: it is away; start it"
    assert json.loads(json.dumps(finding.fields)) == {
        "about": "broker",
        "verdict": "wrong",
        "said": "it is away",
        "remedy": "start it",
    }
