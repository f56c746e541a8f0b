"""Today's client with a user and a password: it finds this API in Keystone's catalogue."""

from __future__ import annotations

import pytest

from tests.ceilometer_client import Ceilometer
from tests.factories import reading, store
from tests.live_api import LiveApi
from tests.openstack.keystone_server import PASSWORD
from tests.openstack.lab import CloudLab

pytestmark = pytest.mark.django_db(transaction=True)


def client(lab: CloudLab, user: str, project: str, password: str = PASSWORD) -> Ceilometer:
    """The command as this user."""
    where = ("--os-auth-url", lab.auth_url, "--os-user-domain-id", "default", "--os-project-domain-id", "default")
    return Ceilometer(*where, "--os-username", user, "--os-password", password, "--os-project-name", project)


def test_each_user_sees_his_project_and_an_admin_all(cloud_lab: CloudLab, keystone_api: LiveApi) -> None:
    store(*(reading(project=cloud_lab.projects[name], resource=name) for name in ("red", "blue")))

    def listed(user: str, project: str) -> list[str]:
        return sorted(row["Resource ID"] for row in client(cloud_lab, user, project).rows("meter-list"))

    assert listed("ruth", "red") == ["red"]
    assert listed("bert", "blue") == ["blue"]
    assert listed("admin", "admin") == ["blue", "red"]
    ruth = client(cloud_lab, "ruth", "red")
    assert ruth.rows("sample-list", "-m", "cpu")[0]["Resource ID"] == "red"
    assert "not found" in ruth.says("resource-show", "blue", status=1)
    client(cloud_lab, "ruth", "red", "a wrong one").says("meter-list", status=1)
    assert PASSWORD not in keystone_api.said
    assert "gAAAA" not in keystone_api.said
