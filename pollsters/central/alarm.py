"""Aodh's alarms: how often each was found in which state. Aodh has counted that since 2025.1."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from metering.counters import Counter, Kind, Meter
from pollsters.central.paging import not_at_all
from pollsters.central.service import ServicePollster, number, where_there
from pollsters.runner import Place

EVALUATIONS = Meter("alarm.evaluation_result", Kind.GAUGE, "evaluation_result_count")


class AlarmPollster(ServicePollster):
    """One reading for each alarm and state."""

    meters = (EVALUATIONS,)
    service = "alarm"

    def entries(self, place: Place) -> Iterator[dict[str, Any]]:
        query, identity = {"all_projects": "true"}, ("alarm_id",)
        listed = self.clouds.entries(
            place, "v2/metrics", "evaluation_results", query, turn=not_at_all, identity=identity
        )
        return where_there(listed)

    def counters(self, alarm: dict[str, Any]) -> Iterator[Counter]:
        for state, count in alarm["state_counters"].items():
            yield EVALUATIONS.read(
                number(count),
                resource_id=alarm["alarm_id"],
                project_id=alarm["project_id"],
                resource_metadata={"alarm_state": state},
                # The states of one alarm are readings of one meter, resource and moment: only this tells them apart.
                origin=f"alarm state {state}",
            )
