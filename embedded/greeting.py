"""What is shown beside the running processes: where to look, and which service has died."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from embedded.crew import Crew
from embedded.daemon import Daemon


def greet(crew: Crew, credentials: Mapping[str, str], settings: Mapping[str, str], folder: Path) -> None:
    """Say where to look, once the API answers to the token."""
    url, token = credentials["METERING_URL"], credentials["METERING_TOKEN"]
    while not answers(f"{url}/v2/meters?limit=1", token):
        if crew.ending:
            return
        time.sleep(0.25)
    print(
        f"""
Nephometer runs. It polls {settings["METERING_LIBVIRT_URI"]} every {settings["METERING_POLL_INTERVAL"]} s.
  API    {url}/v2/meters
  admin  {url}/admin/   user {credentials["METERING_ADMIN_USER"]}, password {credentials["METERING_ADMIN_PASSWORD"]}
  token  {token}
  try    curl -H 'X-Auth-Token: {token}' {url}/v2/meters/cpu/statistics
         bin/manage send_notification tests/data/notifications/volume.create.end.json
Data, logs and credentials.env are in {folder}. Ctrl-C stops everything; the data stays.
""",
        flush=True,
    )


def answers(url: str, token: str) -> bool:
    """Whether the API is up, and gives data to the token."""
    request = urllib.request.Request(url, headers={"X-Auth-Token": token})  # noqa: S310 # our own address
    try:
        urllib.request.urlopen(request, timeout=5).close()  # noqa: S310
    except urllib.error.HTTPError as refusal:
        refusal.close()
        return False
    except OSError:
        return False
    return True


def watch(crew: Crew, services: Sequence[Daemon]) -> None:
    """End everything when a service has died: its clients would only fill the screen."""
    while not crew.ending:
        for service in services:
            if not service.running and not crew.ending:
                crew.fail(f"{service.name} ended by itself (see {service.log})")
        time.sleep(0.5)
