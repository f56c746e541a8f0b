"""Batches as compute hosts send them: a poll of 50 guests with one disk and one port, 20 meters each.

That makes 1,000 samples, 150 resources, 50 metadata. There are ten hosts, each polled every ten minutes.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from metering import messages, packing
from metering.counters import Counter, Kind
from metering.signing import Keyring, Signer

HOSTS, GUESTS, METERS = 10, 50, 20
SAMPLES = GUESTS * METERS
KEYRING = Keyring({"bench": b"a secret of this run alone"})


def signer(host: int) -> Signer:
    return KEYRING.signer(f"compute/host-{host}")


def batch(start: datetime, minute: int) -> str:
    """The poll of this minute after ``start``, of the host whose turn it is."""
    moment, host = start + timedelta(minutes=minute % 1_400, microseconds=minute), minute % HOSTS
    poll = messages.Poll("default", minute, read_at=moment, guests=GUESTS)
    [text] = packing.pack(_counters(moment, host), signer=signer(host), source="openstack", poll=poll)
    return text


def _counters(moment: datetime, host: int) -> list[Counter]:
    counters = []
    for guest in range(GUESTS):
        instance = f"{host:08x}-0000-4000-8000-{guest:012x}"
        about = {
            "display_name": f"web-{guest}",
            "flavor": {"name": "m1.small", "vcpus": 1, "ram": 2048},
            "host": f"host-{host}",
        }
        for meter in range(METERS):
            resource = (instance, f"{instance}-vda", f"instance-{guest:08x}-{instance}-tap0")[meter % 3]
            counters.append(
                Counter(
                    f"meter.number.{meter}",
                    Kind.CUMULATIVE,
                    "B",
                    moment.timestamp() * (meter + 1),
                    "user",
                    f"project-{guest % 7}",
                    resource,
                    moment,
                    about,
                    f"poll {moment}",
                )
            )
    return counters
