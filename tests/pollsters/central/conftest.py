from __future__ import annotations

import pytest

from pollsters.central.cloud import OpenStack
from tests.openstack.lab import CloudLab


@pytest.fixture
def clouds(cloud_lab: CloudLab, monkeypatch: pytest.MonkeyPatch) -> OpenStack:
    """The lab's cloud, of which nothing is known yet."""
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(cloud_lab.clouds_yaml))
    return OpenStack(("lab",), 10)
