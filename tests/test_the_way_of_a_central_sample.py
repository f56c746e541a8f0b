"""A cloud's services, asked by central workers in two shards, from the order to the store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db.models import Count

from metering.models import PollSlot, Quarantine, Sample, Series
from tests.installation import Installation, installed, wait_for
from tests.openstack.lab import CloudLab


@pytest.fixture(params=["rabbitmq", "redis"])
def installation(
    request: pytest.FixtureRequest, tmp_path: Path, database_url: str, cloud_lab: CloudLab
) -> Iterator[Installation]:
    """One on each broker, that polls the lab's cloud every 5 s."""
    told = {
        "METERING_CLOUDS": "lab",
        "OS_CLIENT_CONFIG_FILE": str(cloud_lab.clouds_yaml),
        "METERING_POLL_INTERVAL": "5",
    }
    broker_url = request.getfixturevalue(f"{request.param}_url")
    with installed(tmp_path, broker_url, database_url, **told) as installation:
        yield installation


def test_two_shards_of_central_work_store_each_reading_of_a_cloud_once(
    installation: Installation, cloud_lab: CloudLab
) -> None:
    cloud_lab.make_image("cirros", b"x" * 1024)
    installation.start("samples", "control", "central")
    installation.start("beat")
    wait_for(
        lambda: (
            PollSlot.objects.filter(node="central", received=1, errors={})
            .values("slot")
            .annotate(shards=Count("shard"))
            .filter(shards=2)
            .count()
            >= 2
        ),
        "two slots of both shards answered without an error",
    )
    installation.stop("beat")

    meters = set(Series.objects.values_list("meter", flat=True))
    assert {"image.size", "ip.floating", "volume.size", "storage.objects", "loadbalancer.operating"} <= meters
    assert {"dns.zone.status", "manila.share.size", "network.services.vpn", "alarm.evaluation_result"} <= meters
    # Every reading of a slot has the slot's time, so more than one of a series at one time would be one read twice.
    once = Sample.objects.exclude(series__meter="alarm.evaluation_result")
    assert not once.values("series", "ts").annotate(readings=Count("*")).filter(readings__gt=1).exists()
    assert set(Sample.objects.values_list("signer__publisher", flat=True)) == {"central/central"}
    [projects] = {Series.objects.filter(meter="storage.objects").values("project_id").distinct().count()}
    assert projects == len(cloud_lab.projects)
    assert not Quarantine.objects.exists()
    assert "samples verify" in installation.manage("verify_samples")
