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


def test_what_a_user_hands_in_is_his_project_s(cloud_lab: CloudLab, keystone_api: LiveApi) -> None:
    ruth, red = client(cloud_lab, "ruth", "red"), cloud_lab.projects["red"]
    apples = ("--meter-name", "apples", "--meter-type", "gauge", "--meter-unit", "apple", "--sample-volume", "3")

    made = ruth.shown("sample-create", "--resource-id", "basket", *apples, "--direct", "True")
    assert (made["project_id"], made["volume"]) == (red, "3.0")
    [found] = ruth.rows("query-samples", "--filter", '{"=": {"meter": "apples"}}')
    assert found["Resource ID"] == "basket"
    blue = cloud_lab.projects["blue"]
    refused = ruth.says("sample-create", "--resource-id", "basket", "--project-id", blue, *apples, status=1)
    assert "can not post samples to other projects" in refused
    assert ruth.rows("statistics", "--meter", "apples")[0]["Sum"] == "3.0"
