"""Where a service is: what a catalogue says, and what a path there is. Pure Python."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# The names under which clouds have a service in their catalogue, of its present API only, the first found wins.
TYPES: Mapping[str, tuple[str, ...]] = {
    "block-storage": ("block-storage", "volumev3"),
    "shared-file-system": ("shared-file-system", "sharev2"),
    "alarm": ("alarming", "alarm"),
}
_VERSION = re.compile(r"v\d+(\.\d+)?")


def address(
    catalogue: Iterable[Mapping[str, Any]], service: str, region: str, interface: Sequence[str] | str | None
) -> str | None:
    """The service's URL in a region; of several interfaces the first that it has there. None without one."""
    wanted = [interface or "public"] if not isinstance(interface, list | tuple) else list(interface)
    found = {
        (entry["type"], _plain(point["interface"])): str(point["url"])
        for entry in catalogue
        for point in entry["endpoints"]
        if point["region_id"] == region
    }
    for name in TYPES.get(service, (service,)):
        for kind in wanted:
            if (name, _plain(kind)) in found:
                return found[name, _plain(kind)]
    return None


def _plain(interface: object) -> str:
    return str(interface).removesuffix("URL")


def join(endpoint: str, path: str) -> str:
    """A path at an endpoint, which may end in a version or not; one that the path begins with wins."""
    base = endpoint.rstrip("/")
    if _VERSION.fullmatch(path.split("/", 1)[0]):
        head, _, last = base.rpartition("/")
        base = head if _VERSION.fullmatch(last) else base
    return f"{base}/{path}" if path else base
