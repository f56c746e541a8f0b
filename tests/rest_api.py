"""A REST API that answers what a test tells it to, over a real socket."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Answer:
    """A body is JSON unless it is a text already."""

    body: Any = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0  # before each byte


@dataclass(frozen=True)
class Asked:
    target: str  # path and query
    headers: Mapping[str, str]


class RESTAPI:
    """Answers by path and query; what it was asked is kept."""

    def __init__(self, answers: Mapping[str, Answer | Any]) -> None:
        self.answers = dict(answers)
        self.asked: list[Asked] = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                api.asked.append(Asked(self.path, dict(self.headers.items())))
                answer = api.answers.get(self.path, Answer("not here", 404))
                answer = answer if isinstance(answer, Answer) else Answer(answer)
                text = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self._write(text.encode(), answer.seconds)

            def _write(self, body: bytes, seconds: float) -> None:
                try:
                    for byte in body if seconds else ():
                        time.sleep(seconds)
                        self.wfile.write(bytes([byte]))
                    self.wfile.write(b"" if seconds else body)
                except OSError:  # whoever asked is gone
                    return

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 # the base class calls it so
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def targets(self) -> list[str]:
        return [asked.target for asked in self.asked]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
