"""Ceilometer's collector as far as oslo.messaging goes: it prints the payload of each notification, one in a line.

In a process of its own, as in `tests.collector.notifier`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def collecting(url: str, log: Path) -> Iterator[Path]:
    """A file to which a collector writes what it hears; it listens once the file is there."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.collector.ceilometer_collector"]
    heard = log.with_suffix(".heard")
    told = [url.replace("amqp://", "rabbit://"), str(heard)]
    with log.open("a") as errors:
        root = Path(__file__).parent.parent.parent
        process = subprocess.Popen([*command, *told], cwd=root, stdout=errors, stderr=errors)
    try:
        yield heard
    finally:
        process.kill()
        process.wait()


def collected(heard: Path) -> list[dict[str, Any]]:
    """The metering messages that came."""
    lines = heard.read_text().splitlines() if heard.exists() else []
    return [message for line in lines for message in json.loads(line)]


class Endpoint:
    def __init__(self, heard: Path) -> None:
        self.heard = heard

    def sample(self, context: Any, publisher_id: str, event_type: str, payload: Any, metadata: Any) -> None:
        assert publisher_id == "telemetry.publisher.host-1", publisher_id
        assert event_type == "metering", event_type
        assert set(metadata) == {"message_id", "timestamp"}, metadata
        with self.heard.open("a") as file:
            file.write(json.dumps(payload) + "\n")


def main(url: str, heard: Path) -> None:
    import oslo_messaging
    from oslo_config import cfg

    conf = cfg.ConfigOpts()
    conf([], default_config_files=[], default_config_dirs=[])
    transport = oslo_messaging.get_notification_transport(conf, url=url)
    target = oslo_messaging.Target(topic="metering", exchange="ceilometer")
    listener = oslo_messaging.get_notification_listener(transport, [target], [Endpoint(heard)], executor="threading")
    listener.start()
    heard.touch()
    listener.wait()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
