"""A service's own sender: oslo.messaging's Notifier, in a process of its own as a service is.

In the tests' process its imports would warn, and its threads and sockets outlive the test.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def notify(
    url: str,
    exchange: str,
    *notifications: tuple[str, Any],
    driver: str = "messagingv2",
    context: dict[str, Any] | None = None,
    options: Mapping[str, str] | None = None,
    topic: str = "notifications",
    priority: str = "info",
) -> None:
    """Send notifications, each an event type and a payload, as a service with these options of oslo.messaging does."""
    told = {
        "url": url.replace("amqp://", "rabbit://"),
        "exchange": exchange,
        "notifications": notifications,
        "driver": driver,
        "context": context or {},
        "options": dict(options or {}),
        "topic": topic,
        "priority": priority,
    }
    command = [sys.executable, "-W", "ignore", "-m", "tests.collector.notifier"]
    root = Path(__file__).parent.parent.parent
    done = subprocess.run(
        command, input=json.dumps(told), cwd=root, check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


class Context:
    """A request's, as each service has a class of its own for it: a plain dictionary is not sent."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def to_dict(self) -> dict[str, Any]:
        return dict(self._values)

    def redacted_copy(self) -> Context:
        return self


def main(told: dict[str, Any]) -> None:
    import oslo_messaging
    from oslo_config import cfg

    options = [f"{name} = {value}" for name, value in told["options"].items()]
    lines = ["[DEFAULT]", f"control_exchange = {told['exchange']}", "[oslo_messaging_rabbit]", *options]
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write("\n".join(lines))
        file.flush()
        conf = cfg.ConfigOpts()
        conf([], default_config_files=[file.name], default_config_dirs=[])
    transport = oslo_messaging.get_notification_transport(conf, url=told["url"])
    notifier = oslo_messaging.Notifier(transport, "service.host-1", driver=told["driver"], topics=[told["topic"]])
    for event_type, payload in told["notifications"]:
        getattr(notifier, told["priority"])(Context(told["context"]), event_type, payload)
    transport.cleanup()


if __name__ == "__main__":
    main(json.load(sys.stdin))
