from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone

from metering import messages, packing
from metering.messages import Poll
from metering.models import Node, PollSlot
from metering.store import clocks, receipts
from metering.store.clocks import skew
from tests.factories import KEYS, NOON, at

pytestmark = pytest.mark.django_db

LATE = 40.0  # seconds: a slow way, such as a spool that waited for the broker


@pytest.fixture(autouse=True)
def _nobody_was_warned_of() -> None:
    clocks.forget()


def test_a_batch_that_arrives_before_it_was_signed_shows_a_clock_that_is_ahead() -> None:
    assert skew(NOON, signed_at=at(30), read_at=at(29), due=at(-1)) == 30
    assert skew(NOON, signed_at=at(30), read_at=None, due=None) == 30


def test_a_poll_that_was_read_before_it_was_due_shows_a_clock_that_is_behind() -> None:
    assert skew(NOON, signed_at=at(-61), read_at=at(-62), due=at(-2)) == -60


@pytest.mark.parametrize("late", [0.1, LATE])
def test_a_slow_way_is_no_wrong_clock(late: float) -> None:
    assert skew(at(1 + late), signed_at=at(0.9), read_at=at(0.2), due=NOON) == 0


def test_an_announcement_that_comes_late_tells_nothing() -> None:
    assert skew(NOON, signed_at=at(-LATE), read_at=None, due=None) is None
    assert skew(NOON, signed_at=at(-1), read_at=None, due=None) == 0


def test_a_poll_that_waited_for_long_says_nothing_of_the_clock_now() -> None:
    assert skew(NOON, signed_at=at(-3600), read_at=at(-7200), due=at(-3600)) is None


def test_a_publisher_that_tells_no_time_is_not_judged() -> None:
    assert skew(NOON, signed_at=None, read_at=None, due=None) is None


def receive(at_: datetime, *, off: float, due: datetime | None = None, slot: int | None = None) -> Node:
    """The node, once a batch of it has arrived that was signed when its clock was off by so much."""
    its_time = at_ + timedelta(seconds=off)
    if due is not None and slot is not None:
        PollSlot.objects.create(source="default", slot=slot, node="host-1", shard=0, due=due, deadline=due)
    poll = Poll("default", slot, read_at=its_time if slot is not None else None)
    [text] = packing.pack([], signer=KEYS.signer("compute/host-1"), source="openstack", poll=poll)
    header = messages.read(text).header
    with connection.cursor() as cursor:
        receipts.record(cursor, replace(header, signed_at=its_time), at_)
    return Node.objects.get(publisher="compute/host-1")


def test_a_nodes_clock_is_judged_by_its_polls() -> None:
    now = timezone.now()

    right = receive(now, off=0.0, due=now - timedelta(seconds=1), slot=1)
    assert (right.skew, right.skew_at) == (0, now)

    assert receive(now, off=-20.0, due=now - timedelta(seconds=1), slot=2).skew == pytest.approx(-19)
    assert receive(now, off=20.0, due=now - timedelta(seconds=1), slot=3).skew == pytest.approx(20)
    assert receive(now, off=0.0, due=now - timedelta(seconds=1), slot=4).skew == 0


def test_a_node_that_is_not_polled_is_judged_by_its_announcements() -> None:
    """One whose clock is far ahead finds every order expired, and never polls."""
    now = timezone.now()

    assert receive(now, off=300.0).skew == pytest.approx(300)
    assert receive(now, off=-300.0).skew == pytest.approx(300)  # late, or behind: it does not tell


def test_a_batch_that_comes_twice_changes_nothing_known_of_the_clock() -> None:
    now = timezone.now()
    receive(now, off=-20.0, due=now - timedelta(seconds=1), slot=1)

    assert receive(now + timedelta(seconds=1), off=-20.0, slot=1).skew == pytest.approx(-19)


def test_a_poll_that_nobody_expected_tells_only_what_its_signing_does() -> None:
    now = timezone.now()

    assert receive(now, off=-20.0, slot=5).skew is None
    assert PollSlot.objects.get().note == "not expected"


def test_a_wrong_clock_is_warned_of_once_and_when_it_is_right_again(caplog: pytest.LogCaptureFixture) -> None:
    now = timezone.now()
    with caplog.at_level(logging.WARNING):
        for slot, off in enumerate((20.0, 21.0, -2.0, 0.0)):
            receive(now, off=off, due=now - timedelta(seconds=3), slot=slot)

    first, last = (record.getMessage() for record in caplog.records)
    assert first == "the clock of compute/host-1 is ahead by at least 20.0 s: its samples carry that time"
    assert last == "the clock of compute/host-1 is right again"


def test_a_clock_is_wrong_when_it_is_off_by_more_than_the_bound() -> None:
    assert not clocks.is_wrong(None)
    assert not clocks.is_wrong(clocks.WRONG_SECONDS)
    assert clocks.is_wrong(-clocks.WRONG_SECONDS - 0.1)


def test_what_we_send_tells_when_it_was_signed() -> None:
    before = timezone.now()

    [text] = packing.pack([], signer=KEYS.signer("compute/host-1"), source="openstack", poll=Poll("default", None))

    signed_at = messages.read(text).header.signed_at
    assert signed_at is not None
    assert before <= signed_at <= timezone.now()
