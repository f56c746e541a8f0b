"""An HTTP server that answers as OpenStack's services do, with bodies as their documents show them."""

from __future__ import annotations

import contextlib
import fnmatch
import json
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

BODIES = Path(__file__).parents[1] / "data" / "openstack"


@dataclass(frozen=True)
class Asked:
    """A request that came."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    whole: str  # path and query as they were sent


@dataclass(frozen=True)
class Answer:
    """What is answered; a text is sent as it is, anything else as JSON."""

    body: Any = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    kind: str = "application/json"
    slow: str = ""  # "head" or "body": which part comes a byte at a time, without an end


def recorded(name: str) -> Any:
    return json.loads((BODIES / f"{name}.json").read_text(encoding="utf-8"))


def of(name: str) -> Answer:
    """A recorded body."""
    return Answer(recorded(name))


VOLUME = "/volume/v3/*"
ANSWERS: Mapping[str, Answer] = {
    "/network/v2.0/floatingips": of("floatingips"),
    "/network/v2.0/vpn/vpnservices": of("vpnservices"),
    "/network/v2.0/vpn/ipsec-site-connections": of("ipsec_site_connections"),
    "/network/v2.0/fwaas/firewall_groups": of("firewall_groups"),
    "/network/v2.0/fwaas/firewall_policies": of("firewall_policies"),
    f"{VOLUME}/volumes/detail": of("volumes"),
    f"{VOLUME}/snapshots/detail": of("snapshots"),
    f"{VOLUME}/backups/detail": of("backups"),
    f"{VOLUME}/scheduler-stats/get_pools": of("pools"),
    f"{VOLUME}/os-services": of("services"),
    "/octavia/v2.0/lbaas/loadbalancers": of("loadbalancers"),
    "/dns/v2/zones": of("zones"),
    "/dns/v2/zones/*/recordsets": of("recordsets"),
    "/aodh/": Answer({"versions": {"values": []}}),
    "/aodh/v2/metrics": of("metrics"),
    "/dns-south/v2/zones": Answer({"zones": []}),
    "/admin/bucket": of("buckets"),
    "/admin/usage": of("usage"),
}
ACCOUNT = {"X-Account-Object-Count": "7", "X-Account-Bytes-Used": "4096", "X-Account-Container-Count": "2"}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: Any) -> None:
        """Who asked has left: that is what some tests are about."""


@dataclass
class Services:
    """The server. Each test says what differs from `ANSWERS`, and finds what was asked."""

    changed: dict[str, Answer | Callable[[Asked], Answer]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    tls: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self._server.server_address[1]}"

    def change(self, path: str, answer: Answer | Callable[[Asked], Answer]) -> None:
        """Answer differently below a path, which may be a glob."""
        self.changed[path] = answer

    def reset(self) -> None:
        self.changed.clear()
        self.asked.clear()

    def paths(self) -> list[str]:
        return [asked.path for asked in self.asked]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        for pattern, answer in (*self.changed.items(), *ANSWERS.items()):
            if fnmatch.fnmatchcase(asked.path, pattern):
                return answer if isinstance(answer, Answer) else answer(asked)
        if asked.path == "/share/v2/shares/detail":
            return of("shares") if asked.query.get("offset", "0") == "0" else Answer({"shares": []})
        if asked.path.startswith("/swift/v1/AUTH_"):
            if asked.method == "HEAD":
                return Answer("", 204, ACCOUNT)
            return of("containers") if "marker" not in asked.query else Answer([])
        return Answer({"message": "there is nothing here"}, 404)


def _handler(services: Services) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = dict(parse_qsl(parts.query, keep_blank_values=True))
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked = Asked(self.command, parts.path, query, dict(self.headers.items()), self.path)
            with contextlib.suppress(OSError):  # who asked may have left
                self._send(services.answer(asked))

        do_HEAD = do_GET  # noqa: N815 # the names that the library calls
        do_POST = do_GET  # noqa: N815

        def _send(self, answer: Answer) -> None:
            body = (answer.body if isinstance(answer.body, str) else json.dumps(answer.body)).encode()
            if answer.slow == "head":
                self._drip(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", answer.kind)
            self.send_header("Content-Length", str(1 << 20 if answer.slow else len(body)))
            self.end_headers()
            if answer.slow == "body":
                self._drip(b"[")
            if self.command != "HEAD":
                self.wfile.write(body)

        def _drip(self, first: bytes) -> None:
            """Bytes without an end, until the other side has had enough."""
            self.wfile.write(first)
            while True:
                self.wfile.write(b" ")
                self.wfile.flush()
                time.sleep(0.05)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    return Handler
