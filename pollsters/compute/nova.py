"""Nova's own documents of the instances, for `details`. Only where METERING_NOVA_CLOUD names a cloud."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from metering.environment import Environment
from metering.errors import BadSetting, InstanceGone, PollError, ServiceFailed
from pollsters.central import service
from pollsters.compute.details import Details, Nothing, NovaDetails

SETTING = "METERING_NOVA_CLOUD"
CALL_SECONDS = 10.0
# The last version that tells everything we take without more being asked for; a newer nova answers in it, too.
VERSION = {"OpenStack-API-Version": "compute 2.3", "X-OpenStack-Nova-API-Version": "2.3"}


class Nova:
    """One cloud's compute API, in each of its regions."""

    def __init__(self, clouds: service.Clouds) -> None:
        self._clouds = clouds

    def server(self, identity: str) -> Mapping[str, Any]:
        """A server's document. Raises `InstanceGone` when no region knows it, and `PollError`."""
        for place in self._clouds.places("compute"):
            try:
                body = self._clouds.get(place, f"servers/{quote(identity, safe='')}", headers=VERSION)
            except ServiceFailed as exc:
                if exc.status != 404:
                    raise
                continue
            found = body.get("server") if isinstance(body, Mapping) else None
            if not isinstance(found, Mapping):
                raise PollError(f"{place}: its answer has no server")
            return found
        raise InstanceGone(f"no region has a server {identity}")


def details_of(settings: Environment) -> Details:
    """Who tells more of instances: nova, or nobody. Nothing is asked yet."""
    if settings.nova_cloud is None:
        return Nothing()
    return NovaDetails(Nova(service.shared((settings.nova_cloud,), CALL_SECONDS)).server)


def check(settings: Environment) -> None:
    """Raises `BadSetting` for a cloud that clouds.yaml does not have."""
    if settings.nova_cloud is None:
        return
    if importlib.util.find_spec("openstack") is None:
        raise BadSetting(f"{SETTING} is set and openstacksdk is not installed: it is in requirements/central.txt")
    from pollsters.central import cloud  # noqa: PLC0415 # most compute hosts ask no cloud, and need none of its libraries

    if fault := cloud.fault_of((settings.nova_cloud,), SETTING):
        raise BadSetting(fault)
