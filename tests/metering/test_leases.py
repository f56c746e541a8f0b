from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection

from metering.errors import LeaseLost
from metering.models import Lease
from metering.store import leases

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)
NOTHING = timedelta(0)


def test_one_holder_at_a_time_has_a_lease() -> None:
    with leases.held("roll up", MINUTE) as first, leases.held("roll up", MINUTE) as second:
        assert first is not None
        assert second is None
    with leases.held("roll up", MINUTE) as third:
        assert third is not None


def test_leases_of_different_work_do_not_mind_each_other() -> None:
    with leases.held("roll up", MINUTE) as first, leases.held("close days", MINUTE) as second:
        assert first is not None
        assert second is not None


def test_a_lease_is_given_back_when_the_work_fails() -> None:
    with pytest.raises(ZeroDivisionError), leases.held("roll up", MINUTE):
        raise ZeroDivisionError
    assert not Lease.objects.exists()


def test_a_lease_that_expired_is_another_s_and_the_first_holder_is_told() -> None:
    with leases.held("roll up", NOTHING) as stalled, leases.held("roll up", MINUTE) as taken:
        assert stalled is not None
        assert taken is not None
        with pytest.raises(LeaseLost, match="the lease 'roll up' expired"):
            stalled.renew()
        taken.renew()
    assert not Lease.objects.exists()


def test_the_first_holder_does_not_give_back_what_is_another_s() -> None:
    with leases.held("roll up", NOTHING) as stalled, leases.held("roll up", MINUTE):
        assert stalled is not None
        stalled.release()
        assert Lease.objects.get().name == "roll up"


def test_a_lease_that_expired_but_was_not_taken_can_be_renewed() -> None:
    with leases.held("roll up", NOTHING) as lease:
        assert lease is not None
        lease.renew()


@pytest.mark.django_db(transaction=True)
def test_of_many_who_want_it_at_once_one_gets_it() -> None:
    taken: list[bool] = []
    done = threading.Barrier(8)

    def want() -> None:
        try:
            with leases.held("roll up", MINUTE) as lease:
                taken.append(lease is not None)
                done.wait(30)
        finally:
            connection.close()

    threads = [threading.Thread(target=want) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == [False] * 7 + [True]
