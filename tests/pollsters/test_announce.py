from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from celery import Celery

from metering import environment, messages
from metering.environment import Environment
from metering.errors import BrokerAway
from metering.publish import Publisher
from metering.signing import Signer
from pollsters.announce import Announcer, announcement
from tests.fakes import FakeBroker


class Announced:
    """Notes when the node was announced; ``then`` may raise."""

    def __init__(self, then: Callable[[int], None] = lambda count: None) -> None:
        self.at: list[float] = []
        self._then = then

    def __call__(self) -> None:
        self.at.append(time.monotonic())
        self._then(len(self.at))

    def wait_for(self, count: int) -> None:
        deadline = time.monotonic() + 10
        while len(self.at) < count:
            assert time.monotonic() < deadline, f"announced {len(self.at)} times only"
            time.sleep(0.01)


def start(announce: Callable[[], None], *, quiet: float, retry: float) -> Announcer:
    announcer = Announcer(announce, quiet, retry)
    threading.Thread(target=announcer.run, daemon=True).start()
    return announcer


def test_a_node_is_announced_at_once_and_again_while_no_order_comes() -> None:
    announced = Announced()

    start(announced, quiet=0.1, retry=60)

    announced.wait_for(3)
    assert all(later - earlier >= 0.1 for earlier, later in itertools.pairwise(announced.at))


def test_orders_keep_a_node_from_being_announced() -> None:
    announced = Announced()

    announcer = start(announced, quiet=1, retry=60)
    for _ in range(30):
        time.sleep(0.05)
        announcer.hear()

    assert len(announced.at) == 1


@pytest.mark.parametrize("trouble", [BrokerAway("no broker"), OSError("no space left")])
def test_an_announcement_that_fails_is_tried_again(trouble: Exception) -> None:
    def fail_at_first(count: int) -> None:
        if count == 1:
            raise trouble

    announced = Announced(fail_at_first)

    start(announced, quiet=0.1, retry=0.1)

    announced.wait_for(2)


def settings(role: str, folder: Path) -> Environment:
    return replace(environment.load({}), role=role, node="node-1", spool_dir=folder)


@pytest.mark.parametrize(("role", "node"), [("compute", "node-1"), ("central", "central")])
def test_an_announcement_is_a_signed_batch_of_no_samples_and_no_slot(role: str, node: str, tmp_path: Path) -> None:
    publisher = Publisher(cast("Celery", FakeBroker()), Signer(f"{role}/node-1", "k1", bytes(32)), "openstack")

    header = messages.read(announcement(publisher, settings(role, tmp_path))).header

    assert (header.publisher, header.node, header.slot, header.samples) == (f"{role}/node-1", node, None, 0)
    assert header.fields["signature"].startswith("n1:k1:")
