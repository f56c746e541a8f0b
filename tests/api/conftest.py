"""What tests of the API share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings

from metering import cache
from metering.access_settings import AccessSettings, KeystoneSettings
from tests.api.keystones import Told, issue
from tests.openstack.keystone_server import PASSWORD
from tests.openstack.lab import CloudLab
from tests.openstack.services import Services


@pytest.fixture(autouse=True)
def _answering() -> Iterator[None]:
    """No test finds the cache to be away because another one had it so."""
    cache.forget()
    yield
    cache.forget()


@pytest.fixture
def told(cloud_lab: CloudLab) -> Told:
    """The API, told of the lab's Keystone."""

    def telling(policy: Path | None = None, **more: Any) -> AbstractContextManager[Any]:
        usual = {"urls": (cloud_lab.auth_url,), "user": "nephometer", "password": PASSWORD, "project": "admin"}
        access = AccessSettings(policy_file=policy, keystone=KeystoneSettings(**usual | more))
        return override_settings(METERING=replace(settings.METERING, access=access))

    return telling


@pytest.fixture
def pretender() -> Iterator[Services]:
    """Somebody who answers at a Keystone's address: with a token of our own, and then as the test says."""
    services = Services()
    services.change("/v3/auth/tokens", issue)
    yield services
    services.close()
