"""``make bench``: measure, print with the method, and write var/bench.json.

Figures are of this machine at this moment; ratios are of two things measured in turn in one run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from pathlib import Path

from embedded.services import Postgres, free_port
from tests.services import the_only

ROOT = Path(__file__).parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="section", help=f"{' or '.join(SECTIONS)} (default: all)")
    parser.add_argument("--batches", type=int, default=60, help="ledger: of 1,000 samples, in each round (default 60)")
    parser.add_argument(
        "--size", type=_size, help="ledger and api: samples that are asked of (default 2.5M and 300,000)"
    )
    parser.add_argument("--guests", type=int, default=100, help="poll: QEMU guests, if there is memory (default 100)")
    parser.add_argument(
        "--notifications", type=int, default=20_000, help="notifications: how many in each drain (default 20,000)"
    )
    parser.add_argument("--rounds", type=int, default=5, help="the median of which counts (default 5)")
    asked = parser.parse_args()
    if unknown := set(asked.sections) - SECTIONS.keys():
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    figures: dict[str, float] = {}
    for name, measure in SECTIONS.items():
        if not asked.sections or name in asked.sections:
            with tempfile.TemporaryDirectory(prefix=f"nephometer-bench-{name}-") as folder:
                figures |= measure(Path(folder), asked)
    print(
        f"on {platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    )
    for figure, value in figures.items():
        print(f"{figure:42} {value:>14,.3f}" if value < 100 else f"{figure:42} {value:>14,.0f}")
    report = ROOT / "var" / "bench.json"
    report.parent.mkdir(exist_ok=True)
    report.write_text(json.dumps(_known(report) | figures, indent=1) + "\n")
    print(f"written to {report.relative_to(ROOT)}")


def _size(text: str) -> int:
    """A number, also of millions: 25M."""
    number, million, rest = text.partition("M")
    if rest or not number.replace(".", "", 1).isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of samples such as 25M")
    return int(float(number) * (1_000_000 if million else 1))


def _known(report: Path) -> dict[str, float]:
    """The figures of sections that were measured before."""
    if not report.exists():
        return {}
    known: dict[str, float] = json.loads(report.read_text())
    return known


def _poll(folder: Path, asked: argparse.Namespace) -> dict[str, float]:
    from tests.bench import poll

    return poll.measure(folder, asked.guests, asked.rounds)


def _notifications(folder: Path, asked: argparse.Namespace) -> dict[str, float]:
    from tests.bench import notifications

    return notifications.measure(folder, asked.notifications)


def _api(folder: Path, asked: argparse.Namespace) -> dict[str, float]:
    from tests.bench import api

    return api.measure(folder, asked.size or 300_000)


def _ledger(folder: Path, asked: argparse.Namespace) -> dict[str, float]:
    programs = the_only("postgresql/*/bin/postgres", "postgresql").parent
    # As it is installed, synchronised to disk: what is counted is committed.
    postgres = Postgres(programs, folder / "data", folder, folder / "log", free_port(), ())
    postgres.start()
    try:
        return _measure(postgres, folder, asked)
    finally:
        postgres.daemon.stop()


def _measure(postgres: Postgres, folder: Path, asked: argparse.Namespace) -> dict[str, float]:
    os.environ.update(
        METERING_ROLE="samples",
        METERING_BROKER_URL="amqp://nobody@127.0.0.1:1//",  # named, never spoken to
        METERING_SECRETS="bench:a secret of this run alone",
        METERING_SPOOL_DIR=str(folder / "spool"),
        DATABASE_URL=postgres.url("postgres"),
    )
    import django

    import metering.celery  # noqa: F401 # the application, before Django is set up by it

    django.setup()
    from django.core.management import call_command

    from tests.bench import ledger, ledger_days, ledger_queries, ledger_verification

    call_command("migrate", verbosity=0)
    return (
        ledger.measure(asked.batches, asked.rounds, folder)
        | ledger_verification.measure(2 * asked.batches, asked.rounds)
        | ledger_days.measure(20 * asked.batches, asked.rounds)
        | ledger_queries.measure(postgres, asked.size or 2_500_000)
    )


# Ledger is last: it sets this process up as a storage worker.
SECTIONS = {"poll": _poll, "notifications": _notifications, "api": _api, "ledger": _ledger}

if __name__ == "__main__":
    main()
