from __future__ import annotations

from typing import Any

import pytest

from collector.hearing import Heard, hear
from tests.collector.bodies import body, recorded
from tests.collector.line import index_of
from tests.collector.rows import SHIPPED


def heard(**payload: Any) -> Heard:
    index = index_of(authentication=SHIPPED["keystone-authentication"])
    return hear(body(recorded("identity.authenticate", **payload)), "keystone", index)


@pytest.mark.parametrize("outcome", ["success", "pending", "failure"])
def test_an_attempt_is_counted_once_under_its_outcome(outcome: str) -> None:
    [counter] = heard(outcome=outcome).counters

    assert (counter.name, counter.unit, counter.volume) == (f"identity.authenticate.{outcome}", "user", 1)
    assert counter.resource_id == counter.user_id == "9c7b5a3d1e2f40518a6b7c8d9e0f1a2b"
    assert counter.project_id is None
    assert counter.resource_metadata["address"] == "192.0.2.7"


@pytest.mark.parametrize(
    "payload",
    [{"outcome": "perhaps"}, {"outcome": None}, {"outcome": ["success"]}, {"initiator": None}, {"initiator": {}}],
)
def test_an_attempt_of_nobody_or_without_an_outcome_is_kept(payload: dict[str, Any]) -> None:
    result = heard(**payload)

    assert result.counters == ()
    assert [failure.reason for failure in result.failures] == ["listener authentication failed"]
