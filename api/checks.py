"""System checks of what the API is told."""

from __future__ import annotations

import os
from typing import Any

from django.core import checks

from api import policy_file
from metering import environment


@checks.register("metering")
def the_policy_is_sound(**_: Any) -> list[checks.CheckMessage]:
    """An operator's policy file is read whole, or nothing starts."""
    path = environment.load(os.environ).access.policy_file
    if path is None:
        return []
    _, faults = policy_file.read(path)
    if faults:
        return [checks.Error(f"METERING_POLICY_FILE {path}: {fault}", id="metering.E003") for fault in faults]
    return [
        checks.Warning(f"METERING_POLICY_FILE {path}: nothing asks for the rule '{name}'", id="metering.W006")
        for name in policy_file.unknown_rules(path)
    ]


@checks.register("metering")
def the_rate_is_counted_together(**_: Any) -> list[checks.CheckMessage]:
    """A rate that each process counted alone would be another one."""
    told = environment.load(os.environ)
    if not told.access.rate or told.cache_url:
        return []
    said = "METERING_API_RATE is counted by each process alone: METERING_CACHE_URL is not set"
    return [checks.Warning(said, id="metering.W007")]


@checks.register("metering")
def keystone_proves_who_it_is(**_: Any) -> list[checks.CheckMessage]:
    """It says who is an admin."""
    keystone = environment.load(os.environ).access.keystone
    if keystone is None or not keystone.insecure:
        return []
    said = "METERING_KEYSTONE_INSECURE is 1: whoever gets between the API and Keystone can say who is an admin"
    return [checks.Warning(said, id="metering.W008")]
