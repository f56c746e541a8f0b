"""What a process is told of events: whether they are kept, of whom, and how much of each."""

from __future__ import annotations

from dataclasses import dataclass

# Where OpenStack's services speak unless they are told otherwise.
EXCHANGES = (
    "aodh", "central", "cinder", "designate", "dns", "glance", "heat", "ironic", "keystone", "magnum", "manila",
    "neutron", "nova", "octavia", "openstack", "sahara", "swift", "trove", "zaqar",
)  # fmt: skip
PRIORITIES = ("audit", "debug", "info", "warn", "error", "critical", "sample")
TOPICS = ("notifications.info", "notifications.error")


@dataclass(frozen=True, slots=True)
class EventSettings:
    """Off, nothing of it costs anything."""

    kept: bool = False
    definitions: tuple[str, ...] = ()  # files and folders, read after ours
    exchanges: tuple[str, ...] = EXCHANGES
    drop_unmatched: bool = False
    store_raw: tuple[str, ...] = ()  # priorities of which the whole notification is kept
