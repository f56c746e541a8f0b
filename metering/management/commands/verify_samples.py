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
from metering.environment import Environment
from metering.management import progress
from metering.models.questions import Window
from metering.signing import Keyring
from metering.store import digest_check, rollup_check, rollups
from metering.store.processes import in_turn
from metering.store.raw_rows import Choice, Part, parts, stored_days
from metering.store.verification import MOST_NAMED, Result, Verifier

PIECES = 4  # of a day, for each process: the last to be ready is then never long alone


class Command(BaseCommand):
    """Exit status 1, and the ids, when a sample does not verify; 130 when it was interrupted."""

    help = (
        "Verify stored samples; prints how many verify, and the id and reason of each that does not. With --digests: "
        "whether the stored days are what their digests say (docs/audit.md)."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--start", help="ISO 8601: samples at or after")
        parser.add_argument("--end", help="ISO 8601: samples before")
        parser.add_argument("--from-day", type=date.fromisoformat, help="YYYY-MM-DD: go on there after an interruption")
        parser.add_argument("--meter")
        parser.add_argument("--resource")
        parser.add_argument(
            "--processes", type=int, default=1, help="that share the work; each loads a core (default 1)"
        )

        parser.add_argument("--digests", action="store_true", help="check the digests instead of the signatures")
        parser.add_argument("--known-head", metavar="NUMBER:DIGEST", help="with --digests: a head printed earlier")
        parser.add_argument(
            "--rollups", action="store_true", help="check the roll-ups against samples and hours instead"
        )
        parser.add_argument("--head", action="store_true", help="print the head of the digests, and check nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["processes"] < 1:
            raise CommandError("--processes must be 1 or more")
        if options["head"]:
            self.stdout.write(digest_check.head_text())
        elif options["rollups"]:
            self._check_rollups(options)
        elif options["digests"] or options["known_head"]:
            self._check_digests(options)
        else:
            self._check_signatures(options)

    def _check_signatures(self, options: dict[str, Any]) -> None:
        processes, from_day = options["processes"], options["from_day"]
        choice, verifier = _choice(options), Verifier(_keyring(), _settings().ceilometer_secrets)
        check = partial(verifier.check, choice) if processes == 1 else partial(check_elsewhere, choice)
        pieces = processes * PIECES if processes > 1 and choice.resource_id is None else 1
        work = [part for part in parts(choice, pieces) if from_day is None or part.day >= from_day]
        total = Result()
        with self._telling_where_to_go_on([part.day for part in work]) as done:
            for part, result in zip(work, in_turn(check, work, processes), strict=True):
                for fault in result.named[: MOST_NAMED - len(total.named)]:
                    self.stdout.write(str(fault))
                    total.named.append(fault)
                total.samples += result.samples
                total.reasons += result.reasons
                done.append(part.day)
                progress.show(self.stderr, len(done), len(work), f"pieces, {total.samples} samples")
        self._sum_up(total)

    def _check_digests(self, options: dict[str, Any]) -> None:
        keyring, from_day = _keyring(), options["from_day"]
        faults = [fault] if (fault := _fault_of_head(options["known_head"])) else []
        faults += digest_check.faults_of_chain(keyring)
        days = [day for day in digest_check.sealed_days() if from_day is None or day >= from_day]
        with self._telling_where_to_go_on(days) as done:
            for day, found in zip(days, in_turn(digest_check.faults_of_day, days, options["processes"]), strict=True):
                faults += found
                done.append(day)
                progress.show(self.stderr, len(done), len(days), "days")
        for fault in faults:
            self.stdout.write(fault)
        if waiting := digest_check.unsealed(stored_days()):
            self.stdout.write(f"not sealed yet: {', '.join(map(str, waiting))}")
        self.stdout.write(f"{len(days)} days checked, {len(faults)} faults; the head is {digest_check.head_text()}")
        if faults:
            sys.exit(1)

    def _check_rollups(self, options: dict[str, Any]) -> None:
        bounds = (
            rollups.hour_of(parse_timestamp(text)) if (text := options[side]) else None for side in ("start", "end")
        )
        found = 0
        for fault in rollup_check.faults(*bounds):
            self.stdout.write(str(fault))
            found += 1
        self.stdout.write(f"{found} roll-ups differ from what they are of" if found else "every roll-up is right")
        if found:
            self.stdout.write("manage.py rebuild_rollups makes them anew")
            sys.exit(1)

    @contextmanager
    def _telling_where_to_go_on(self, days: Sequence[date]) -> Iterator[list[date]]:
        """Gives a list of the days done, one for each piece of the work."""
        done: list[date] = []
        try:
            yield done
        except KeyboardInterrupt:
            self.stderr.write(f"\ninterrupted; go on with --from-day {days[len(done)]}")
            sys.exit(130)

    def _sum_up(self, total: Result) -> None:
        self.stdout.write(f"{total.samples - total.reasons.total()} of {total.samples} samples verify")
        for reason, count in total.reasons.most_common():
            self.stdout.write(f"{count}: {reason}")
        if total.reasons:
            sys.exit(1)


def check_elsewhere(choice: Choice, part: Part) -> Result:
    """Every chosen sample of a part, in a process that does nothing else."""
    return _verifier_of_process().check(choice, part)


@cache
def _verifier_of_process() -> Verifier:
    return Verifier(_keyring(), _settings().ceilometer_secrets)


def _settings() -> Environment:
    return environment.load(os.environ)


def _keyring() -> Keyring:
    secrets = _settings().secrets
    if not secrets:
        raise CommandError("METERING_SECRETS is not set: without it nothing can be verified")
    return Keyring(secrets)


def _fault_of_head(known: str | None) -> str | None:
    try:
        return None if known is None else digest_check.fault_of_head(known)
    except ValueError as exc:
        raise CommandError(f"--known-head: {exc}") from exc


def _choice(options: dict[str, Any]) -> Choice:
    start, end = (parse_timestamp(options[side]) if options[side] else None for side in ("start", "end"))
    return Choice(Window(start, end), options["meter"], options["resource"])
