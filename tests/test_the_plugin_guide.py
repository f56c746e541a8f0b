"""What docs/writing-a-plugin.md shows works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from collector.index import subscribe
from metering.counters import Meter
from pollsters.runner import check_compute

GUIDE = Path(__file__).parents[1] / "docs" / "writing-a-plugin.md"


@pytest.fixture(scope="module")
def guide() -> dict[str, Any]:
    """Everything that the guide's Python defines."""
    defined: dict[str, Any] = {"__name__": "acme_metering"}
    code = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    for block in code:
        exec(compile(block, GUIDE.name, "exec"), defined)  # annotations stay texts, as this file's do
    return defined


def test_the_guides_own_tests_pass(guide: dict[str, Any]) -> None:
    tests = [name for name in guide if name.startswith("test_")]

    for name in tests:
        guide[name]()

    assert len(tests) == 2


def test_the_guides_pollster_keeps_the_contract(guide: dict[str, Any]) -> None:
    assert check_compute({"acme-disks": guide["DisksPollster"]()})


def test_the_guides_listener_keeps_the_contract(guide: dict[str, Any]) -> None:
    listener = guide["SnapshotListener"]({"ACME_TIER": "gold"})

    subscription = subscribe("acme-snapshots", listener)

    assert subscription.topics == ("notifications.info",)
    assert all(isinstance(meter, Meter) for meter in listener.meters)
