"""A small cloud for the tests: a real Keystone, a real Glance, and stand-ins for the other services."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import requests
import yaml

from embedded.daemon import Daemon, tied
from embedded.services import free_port
from tests.openstack.keystone_server import PASSWORD
from tests.openstack.services import Services

ROOT = Path(__file__).parents[2]
ADDRESSES = {  # service type -> where it is below the stand-ins' URL, and in which regions
    "network": ("/network", ("north",)),
    "volumev3": ("/volume/v3/$(project_id)s", ("north",)),
    "sharev2": ("/share/v2", ("north",)),
    "object-store": ("/swift/v1/AUTH_$(project_id)s", ("north",)),
    "load-balancer": ("/octavia", ("north",)),
    "dns": ("/dns", ("north", "south")),
    "alarming": ("/aodh", ("north",)),
}

USERS = {  # beside admin: name -> project and role there
    "ruth": ("red", "member"),
    "bert": ("blue", "member"),
    "nephometer": ("admin", "service"),  # who may ask whose a token is
}


@dataclass
class CloudLab:
    """Started once for all tests; each finds the stand-ins as new."""

    folder: Path
    services: Services = field(default_factory=Services)
    keystone_port: int = field(default_factory=free_port)
    glance_port: int = field(default_factory=free_port)
    _furnished: bool = False

    def __post_init__(self) -> None:
        self.keystone = self._daemon("Keystone", "keystone", self.keystone_port)
        self.glance = self._daemon("Glance", "glance", self.glance_port, self.auth_url)

    @property
    def auth_url(self) -> str:
        return f"http://127.0.0.1:{self.keystone_port}/v3"

    @property
    def clouds_yaml(self) -> Path:
        return self.folder / "clouds.yaml"

    def launch(self) -> None:
        for name in ("keystone", "glance"):
            (self.folder / name).mkdir()
        self.keystone.launch()
        self.glance.launch()
        self.write_clouds(lab={})

    def wait_ready(self) -> None:
        self.keystone.wait_ready()
        self.glance.wait_ready()
        if not self._furnished:
            self._furnish()
            self._furnished = True

    def close(self) -> None:
        self.services.close()
        self.keystone.kill()
        self.glance.kill()

    def write_clouds(self, **clouds: dict[str, Any]) -> None:
        """clouds.yaml, of clouds that are this one but for what is given."""
        auth = {
            "auth_url": self.auth_url,
            "username": "admin",
            "password": PASSWORD,
            "project_name": "admin",
            "user_domain_id": "default",
            "project_domain_id": "default",
        }
        entries = {name: {**more, "auth": {**auth, **more.get("auth", {})}} for name, more in clouds.items()}
        self.clouds_yaml.write_text(yaml.safe_dump({"clouds": entries}))

    @cached_property
    def projects(self) -> dict[str, str]:
        """The id of each project, by name."""
        found = self.call("GET", f"{self.auth_url}/projects").json()["projects"]
        return {project["name"]: project["id"] for project in found}

    def call(self, method: str, url: str, body: Any = None, **options: Any) -> requests.Response:
        """As the cloud's administrator."""
        headers = {"X-Auth-Token": self._token, **options.pop("headers", {})}
        answer = requests.request(method, url, json=body, headers=headers, timeout=60, **options)
        assert answer.ok, f"{method} {url}: {answer.status_code} {answer.text}"
        return answer

    def make_image(self, name: str, data: bytes | None, **fields: Any) -> str:
        """An image's id; without data it stays queued."""
        images = f"http://127.0.0.1:{self.glance_port}/v2/images"
        image: str = self.call(
            "POST", images, {"name": name, "disk_format": "raw", "container_format": "bare", **fields}
        ).json()["id"]
        if data is not None:
            headers = {"Content-Type": "application/octet-stream"}
            self.call("PUT", f"{images}/{image}/file", data=data, headers=headers)
        return image

    def token(self, user: str, project: str | None = None, *, scope: Any = None) -> str:
        """A new token of this user, for this project or scope."""
        password = {"user": {"name": user, "domain": {"id": "default"}, "password": PASSWORD}}
        if project is not None:
            scope = {"project": {"name": project, "domain": {"id": "default"}}}
        asked = {"auth": {"identity": {"methods": ["password"], "password": password}, "scope": scope or "unscoped"}}
        answer = requests.post(f"{self.auth_url}/auth/tokens", json=asked, timeout=60)
        assert answer.status_code == 201, answer.text
        return answer.headers["X-Subject-Token"]

    @property
    def for_the_api(self) -> dict[str, str]:
        """What the API is told of this Keystone."""
        return {
            "METERING_KEYSTONE_URLS": self.auth_url,
            "METERING_KEYSTONE_USER": "nephometer",
            "METERING_KEYSTONE_PASSWORD": PASSWORD,
            "METERING_KEYSTONE_PROJECT": USERS["nephometer"][0],
        }

    def revoke(self, token: str) -> None:
        self.call("DELETE", f"{self.auth_url}/auth/tokens", headers={"X-Subject-Token": token})

    def register(self, kind: str, url: str) -> None:
        """Put a service of this type into the catalogue, in its first region."""
        service = self.call("POST", f"{self.auth_url}/services", {"service": {"type": kind, "name": kind}}).json()
        endpoint = {"service_id": service["service"]["id"], "interface": "public", "url": url, "region_id": "north"}
        self.call("POST", f"{self.auth_url}/endpoints", {"endpoint": endpoint})

    @cached_property
    def _token(self) -> str:
        return self.token("admin", "admin")

    def _furnish(self) -> None:
        """The catalogue, and some projects."""
        self.call("POST", f"{self.auth_url}/regions", {"region": {"id": "south"}})
        addresses = {kind: (self.services.url + path, regions) for kind, (path, regions) in ADDRESSES.items()}
        addresses["image"] = (f"http://127.0.0.1:{self.glance_port}", ("north",))
        for kind, (url, regions) in addresses.items():
            service = self.call("POST", f"{self.auth_url}/services", {"service": {"type": kind, "name": kind}}).json()
            for region in regions:
                endpoint = {"service_id": service["service"]["id"], "interface": "public", "url": url}
                if region == "south":
                    endpoint["url"] = url.replace("/dns", "/dns-south")
                self.call("POST", f"{self.auth_url}/endpoints", {"endpoint": {**endpoint, "region_id": region}})
        for name in ("red", "blue"):
            self.call("POST", f"{self.auth_url}/projects", {"project": {"name": name}})
        for user, (project, role) in USERS.items():
            self._give(role, self._make_user(user), project)

    def _make_user(self, name: str) -> str:
        user = {"name": name, "domain_id": "default", "password": PASSWORD}
        made: str = self.call("POST", f"{self.auth_url}/users", {"user": user}).json()["user"]["id"]
        return made

    def _give(self, role: str, user_id: str, project: str) -> None:
        [found] = self.call("GET", f"{self.auth_url}/roles", params={"name": role}).json()["roles"]
        place = f"{self.auth_url}/projects/{self.projects[project]}"
        self.call("PUT", f"{place}/users/{user_id}/roles/{found['id']}")

    def _daemon(self, name: str, module: str, port: int, *more: str) -> Daemon:
        folder = self.folder / module
        program = (sys.executable, "-W", "ignore", "-m", f"tests.openstack.{module}_server", str(folder), str(port))
        command = tied((*program, *more), signal.SIGKILL)
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        log = self.folder / f"{module}.log"
        return Daemon(name, command, log, lambda: _answers(port), environ, signal.SIGKILL)


def _answers(port: int) -> bool:
    with contextlib.suppress(requests.RequestException):
        return requests.get(f"http://127.0.0.1:{port}/", timeout=10).status_code == 300
    return False
