"""Questions of a month of samples, warm and cold, and of a month with a tenth as many.

A month of 300 resources with 10 meters each, 200 of the resources of one project, put into the real tables day by day
in the order in which polls would bring it, then rolled up hour by hour as the roller does. ``size`` samples are one
every so many minutes: 25M every 5; a tenth has the same series at ten times the distance (below 25M that is more than
an hour, so that its answers are shorter, too, and growth says less). Warm is the median of many runs; cold the median
of some first runs after PostgreSQL was started again and its files were dropped from the page cache.
"""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.core.management import call_command
from django.db import connection, connections

from embedded.services import Postgres
from metering.models import Caller, Series
from metering.models.figures import STANDARD, Figure
from metering.models.owners import latest_owners
from metering.models.queries import latest_of_series
from metering.models.questions import Question, Window
from metering.models.seen import resources_seen
from metering.store import keys, partitions, rollups
from metering.store.rollups import DAY

DAYS, RESOURCES, METERS, OF_PROJECT = 30, 300, 10, 200
BUSY = "busy"  # that project
WARM, COLD = 40, 5  # runs

_SERIES = """
INSERT INTO series (digest, tag, source, meter, type, unit, resource_id, user_id, project_id)
SELECT sha256(convert_to(resource || '/' || meter, 'UTF8')), resource * 16 + meter, 'openstack', 'meter.' || meter,
    CASE WHEN meter %% 2 = 0 THEN 'cumulative' ELSE 'gauge' END, 'B',
    md5('resource ' || resource)::uuid::text, 'user',
    CASE WHEN resource <= %s THEN 'busy' ELSE 'project-' || resource %% 10 END
FROM generate_series(0, %s) AS meter CROSS JOIN generate_series(1, %s) AS resource
ORDER BY md5(resource || '/' || meter)
"""
_METADATA = """
INSERT INTO resource_metadata (digest, body, document)
SELECT sha256(convert_to(body, 'UTF8')), body, body::jsonb FROM (
    SELECT json_build_object('display_name', 'web-' || resource, 'host', 'host-' || resource %% 20, 'flavor',
        json_build_object('name', 'm1.small', 'vcpus', 1, 'ram', 2048))::text AS body
    FROM generate_series(1, %s) AS resource
) AS told
"""
_RESOURCES = """
INSERT INTO resource
    (source, resource_id, user_id, project_id, metadata_id, first_sample, last_sample, publisher, moves)
SELECT DISTINCT ON (resource_id) 'openstack', resource_id, user_id, project_id,
    1 + dense_rank() OVER (ORDER BY resource_id), %s, %s, 'compute/host', 0
FROM series
"""
_SAMPLES = """
INSERT INTO sample (ts, volume, recorded_at, series_id, metadata_id, signer_id, message_id, signature)
SELECT moment, CASE WHEN series.type = 'gauge' THEN random() * 100 ELSE extract(epoch FROM moment) * 1000 END, moment,
    series.id, 1 + series.id %% %s, 1, gen_random_uuid(), sha256(int8send(series.id) || timestamptz_send(moment))
FROM generate_series(%s, %s - interval '1 microsecond', make_interval(secs => %s)) AS moment CROSS JOIN series
ORDER BY moment, series.id
"""
_LAST_SAMPLE = "UPDATE resource SET last_sample = (SELECT max(ts) FROM sample)"


def measure(postgres: Postgres, size: int) -> dict[str, float]:
    """The figures of all questions, in milliseconds, and their ratios to a tenth of the size."""
    end = rollups.day_of(datetime.now(UTC))
    took: dict[str, dict[str, tuple[float, float]]] = {}
    for name, samples in (("tenth", size // 10), ("whole", size)):
        with _database(postgres, f"queries_{name}"):
            fill(end, samples)
            took[name] = {question: (_warm(ask), _cold(postgres, ask)) for question, ask in _questions(end).items()}
    figures: dict[str, float] = {"ledger.q_samples": size}
    for question, (warm, cold) in took["whole"].items():
        figures[f"ledger.q_{question}_ms"] = warm
        figures[f"ledger.q_{question}_cold_ms"] = cold
        figures[f"ledger.q_{question}_growth"] = warm / took["tenth"][question][0]
    return figures


def _questions(end: datetime) -> dict[str, Callable[[], object]]:
    month = Window(end - DAYS * DAY, end)
    busy, admin = Caller("user", BUSY), Caller(None, None, is_admin=True)
    resource_id = Series.objects.filter(project_id=BUSY).values_list("resource_id", flat=True)[0]
    figures = [Figure(function) for function in STANDARD]

    def statistics_of(caller: Caller, equal: dict[str, str | None], period: timedelta) -> object:
        question = Question(equal={"meter": "meter.4", **equal}, window=month)
        return Series.objects.visible_to(caller).statistics(question, figures, period=int(period.total_seconds()))

    def latest() -> object:
        mine = Series.objects.visible_to(busy)
        return list(mine.annotate(last=latest_of_series("ts", Window())).values_list("id", "last"))

    return {
        "resource_month": lambda: statistics_of(admin, {"resource_id": resource_id}, timedelta(hours=1)),
        "project_month": lambda: statistics_of(busy, {}, DAY),
        "meters": lambda: latest_owners(Series.objects.visible_to(busy).matching(Question()), 100),
        "resources": lambda: resources_seen(busy, Question(), 100, meters=False),
        "latest": latest,
    }


@contextmanager
def _database(postgres: Postgres, name: str) -> Iterator[None]:
    """Django's connection is to a database of this name meanwhile, which is then dropped."""
    settings = connection.settings_dict
    before = settings["NAME"]
    postgres.create(name)
    connections.close_all()
    settings["NAME"] = name
    call_command("migrate", verbosity=0)
    try:
        yield
    finally:
        connections.close_all()
        settings["NAME"] = before
        with connection.cursor() as cursor:
            cursor.execute(f'DROP DATABASE "{name}"')


def fill(end: datetime, samples: int) -> None:
    """Put so many samples of the days before ``end`` into the database, and roll them up."""
    keys.forget()
    partitions.forget()
    start, apart = end - DAYS * DAY, DAYS * 86_400 * RESOURCES * METERS / samples
    days = [start + number * DAY for number in range(DAYS)]
    partitions.ensure(day.date() for day in days)
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")  # of this connection, which ends with the first cold run
        cursor.execute(_SERIES, [OF_PROJECT, METERS - 1, RESOURCES])
        cursor.execute(_METADATA, [RESOURCES])
        cursor.execute(_RESOURCES, [start, end])
        for day in days:
            cursor.execute(_SAMPLES, [RESOURCES, day, day + DAY, apart])
        cursor.execute(_LAST_SAMPLE)
    rollups.roll_up(end + rollups.GRACE)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)")
        cursor.execute("CHECKPOINT")


def poll(moment: datetime) -> None:
    """Put one sample more of each series into the database, all read at this moment."""
    partitions.ensure([moment.date()])
    with connection.cursor() as cursor:
        cursor.execute(_SAMPLES, [RESOURCES, moment, moment + DAY, DAY.total_seconds()])
        cursor.execute(_LAST_SAMPLE)


def _warm(ask: Callable[[], object]) -> float:
    return statistics.median(_run(ask) for _ in range(WARM))


def _cold(postgres: Postgres, ask: Callable[[], object]) -> float:
    took = []
    for _ in range(COLD):
        connections.close_all()
        postgres.daemon.stop()
        _forget_files(postgres.data)
        postgres.start()
        with connection.cursor() as cursor:  # what is measured is a question, not a log-in
            cursor.execute("SELECT 1")
        took.append(_run(ask))
    return statistics.median(took)


def _run(ask: Callable[[], object]) -> float:
    gc.collect()
    began = time.perf_counter()
    ask()
    return (time.perf_counter() - began) * 1_000


def _forget_files(folder: Path) -> None:
    """Drop every file below from the page cache."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
