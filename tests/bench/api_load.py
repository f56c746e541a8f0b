"""The client of `api`, a process of its own.

``python -m tests.bench.api_load URL WHAT`` asks each question; WHAT is what `api_fill` printed. With a token and a
number instead it reads so many samples as CSV. It prints figures as JSON.
"""

from __future__ import annotations

import http.client
import json
import statistics
import sys
import threading
import time
from urllib.parse import urlencode, urlsplit

RUNS, AT_ONCE = 300, 4  # requests of one question; clients
SECONDS = 6.0  # for which a question is asked at most, by one and by all
BLOCK = 1 << 16


def main(url: str, *asked: str) -> None:
    figures = _stream(url, asked[0], int(asked[1])) if len(asked) > 1 else _ask_all(url, json.loads(asked[0]))
    json.dump(figures, sys.stdout)


def _questions(told: dict[str, str]) -> dict[str, str]:
    month = [("timestamp", "ge", told["start"]), ("timestamp", "lt", told["end"])]

    def query(*clauses: tuple[str, str, str], **params: str) -> str:
        lists = zip(("q.field", "q.op", "q.value"), zip(*clauses, strict=True), strict=True)
        return urlencode([*lists, *params.items()], doseq=True)

    resource = ("resource_id", "eq", told["resource"])
    return {
        "meters": "/v2/meters",
        "resources": "/v2/resources",
        "samples": "/v2/samples?limit=100",
        "statistics_resource": f"/v2/meters/meter.4/statistics?{query(*month, resource, period='3600')}",
        "statistics_project": f"/v2/meters/meter.4/statistics?{query(*month, period='86400')}",
    }


class Client:
    """One connection that stays open."""

    def __init__(self, url: str, token: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=120)
        self._headers = {"X-Auth-Token": token}

    def get(self, path: str) -> bytes:
        self._connection.request("GET", path, headers=self._headers)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != http.client.OK:
            sys.exit(f"{path} was answered with {answer.status}: {body[:300]!r}")
        return body

    def times(self, path: str) -> list[float]:
        """How many ms each answer took."""
        took: list[float] = []
        until = time.perf_counter() + SECONDS
        while len(took) < RUNS and (began := time.perf_counter()) < until:
            self.get(path)
            took.append((time.perf_counter() - began) * 1_000)
        return took


def _ask_all(url: str, told: dict[str, str]) -> dict[str, float]:
    figures = {}
    clients = [Client(url, told["project"]) for _ in range(AT_ONCE)]
    for name, path in _questions(told).items():
        rows = json.loads(clients[0].get(path))
        if len(rows) < 2:
            sys.exit(f"{path} found only {rows}")
        for client in clients:
            client.get(path)  # every process has been asked before it counts
        took = clients[0].times(path)
        figures[f"api.{name}_p50_ms"] = statistics.median(took)
        figures[f"api.{name}_p95_ms"] = statistics.quantiles(took, n=20)[-1]
        figures[f"api.{name}_per_s"] = _together(clients, path)
    return figures


def _together(clients: list[Client], path: str) -> float:
    """Requests a second of all of them at once."""
    took: list[float] = []
    threads = [threading.Thread(target=lambda client=client: took.extend(client.times(path))) for client in clients]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(took) / (time.perf_counter() - began)


def _stream(url: str, token: str, samples: int) -> dict[str, float]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=120)
    began = time.perf_counter()
    headers = {"X-Auth-Token": token, "Accept": "text/csv"}
    connection.request("GET", f"/v2/samples?limit={samples}", headers=headers)
    answer = connection.getresponse()
    if answer.status != http.client.OK:
        sys.exit(f"the samples as CSV were answered with {answer.status}: {answer.read(300)!r}")
    lines = 0
    while block := answer.read(BLOCK):
        lines += block.count(b"\n")
    took = time.perf_counter() - began
    if lines != samples + 1:
        sys.exit(f"of {samples} samples {lines - 1} came")
    return {"api.csv_samples_per_s": samples / took}


if __name__ == "__main__":
    main(*sys.argv[1:])
