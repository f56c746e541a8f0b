"""Check the signatures of stored samples again, from what is stored."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from functools import cache, partial
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from metering import environment
from metering.bounds import parse_timestamp
from metering.models.questions import Window
from metering.signing import Keyring
from metering.store.processes import in_turn
from metering.store.raw_rows import Choice, Part, parts
from metering.store.verification import MOST_NAMED, Result, Verifier

PIECES = 4  # of a day, for each process: the last to be ready is then never long alone


class Command(BaseCommand):
    """Exit status 1, and the ids, when a sample does not verify; 130 when it was interrupted."""

    help = "Verify stored samples; prints how many verify, and the id and reason of each that does not."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--start", help="ISO 8601: samples at or after")
        parser.add_argument("--end", help="ISO 8601: samples before")
        parser.add_argument("--from-day", type=date.fromisoformat, help="YYYY-MM-DD: go on there after an interruption")
        parser.add_argument("--meter")
        parser.add_argument("--resource")
        parser.add_argument(
            "--processes", type=int, default=1, help="that share the work; each loads a core (default 1)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["processes"] < 1:
            raise CommandError("--processes must be 1 or more")
        verifier = _verifier()  # which also finds out whether there are secrets
        choice = _choice(options)
        pieces = options["processes"] * PIECES if options["processes"] > 1 and choice.resource_id is None else 1
        check = partial(verifier.check, choice) if options["processes"] == 1 else partial(check_elsewhere, choice)
        work = [part for part in parts(choice, pieces) if not options["from_day"] or part.day >= options["from_day"]]
        total = Result()
        with self._telling_where_to_go_on(work) as done:
            for part, result in zip(work, in_turn(check, work, options["processes"]), strict=True):
                self._name(result, MOST_NAMED - len(total.named))
                total.samples += result.samples
                total.reasons += result.reasons
                total.named += result.named
                done.append(part)
                self._progress(total.samples, len(done), len(work))
        self._sum_up(total)
        if total.reasons:
            sys.exit(1)

    def _name(self, result: Result, most: int) -> None:
        for fault in result.named[: max(most, 0)]:
            self.stdout.write(str(fault))

    @contextmanager
    def _telling_where_to_go_on(self, work: Sequence[Part]) -> Iterator[list[Part]]:
        done: list[Part] = []
        try:
            yield done
        except KeyboardInterrupt:
            self.stderr.write(f"\ninterrupted; go on with --from-day {work[len(done)].day}")
            sys.exit(130)

    def _sum_up(self, total: Result) -> None:
        self.stdout.write(f"{total.samples - total.reasons.total()} of {total.samples} samples verify")
        for reason, count in total.reasons.most_common():
            self.stdout.write(f"{count}: {reason}")

    def _progress(self, samples: int, done: int, parts: int) -> None:
        if self.stderr.isatty():
            self.stderr.write(f"\r{'#' * (40 * done // parts):40} {done}/{parts}, {samples} samples", ending="")
            if done == parts:
                self.stderr.write("")


def check_elsewhere(choice: Choice, part: Part) -> Result:
    """Every chosen sample of a part, in a process that does nothing else."""
    return _verifier_of_process().check(choice, part)


@cache
def _verifier_of_process() -> Verifier:
    return _verifier()


def _verifier() -> Verifier:
    settings = environment.load(os.environ)
    if not settings.secrets:
        raise CommandError("METERING_SECRETS is not set: without it nothing can be verified")
    return Verifier(Keyring(settings.secrets), settings.ceilometer_secrets)


def _choice(options: dict[str, Any]) -> Choice:
    start, end = (parse_timestamp(options[side]) if options[side] else None for side in ("start", "end"))
    return Choice(Window(start, end), options["meter"], options["resource"])
