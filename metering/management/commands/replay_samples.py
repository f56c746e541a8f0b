"""Send samples again: of archives, or stored ones. Their signatures, and so their rows, are those of the first time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from metering import environment
from metering.bounds import parse_timestamp
from metering.errors import ArchiveFailed, BadSetting, BrokerAway
from metering.locator import Locator
from metering.publish import publisher_of
from metering.replay import Replay, Target, ToExchange, ToNobody, ToStore
from metering.store import archive, reading

if TYPE_CHECKING:
    from metering.models.queries import SampleQuerySet


class Command(BaseCommand):
    """What the store has already stays as it is: interrupt it and start it again at will."""

    help = (
        "Send the samples of archives (FILE …), or stored ones, to be stored, or with --exchange to whoever reads "
        "that exchange. A sample that is known stays one row."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="archives; none: what is stored here")
        parser.add_argument("--start", help="ISO 8601: stored samples at or after")
        parser.add_argument("--end", help="ISO 8601: stored samples before")
        parser.add_argument("--meter", help="stored samples of it")
        parser.add_argument("--resource", help="stored samples of it")
        parser.add_argument("--project", help="stored samples of it")
        parser.add_argument("--exchange", help="each message alone, key metering.<meter>; default: to be stored")
        parser.add_argument("--url", help="another broker than METERING_BROKER_URL")
        parser.add_argument("--rate", type=int, metavar="N", help="at most N samples a second")
        parser.add_argument("--skip", type=int, default=0, metavar="N", help="leave out the first N of all files")
        parser.add_argument("--after", metavar="PLACE", help="go on behind a stored sample, as an interrupted run says")
        parser.add_argument("--dry-run", action="store_true", help="send nothing, only count")

    def handle(self, *args: Any, **options: Any) -> None:
        _check(options)
        with ExitStack() as stack:
            replay = Replay(_target(options, stack), options["rate"])
            self._send(replay, options)
        self.stdout.write(f"{replay.sent:,} samples{' (dry run: nothing was sent)' if options['dry_run'] else ' sent'}")

    def _send(self, replay: Replay, options: dict[str, Any]) -> None:
        files: list[Path] = options["files"]
        coming = _archived(files, options["skip"]) if files else _stored(options)
        try:
            for sent in replay.send_all(coming):
                if self.stderr.isatty():
                    self.stderr.write(f"\r{sent:,} samples", ending="")
        except (KeyboardInterrupt, BrokerAway, ArchiveFailed) as exc:
            place = f"; go on with {'--skip' if files else '--after'} {replay.place}" if replay.place else ""
            said = str(exc) or "interrupted"
            raise CommandError(f"{said}. {replay.sent:,} samples were sent{place}") from exc


def _check(options: dict[str, Any]) -> None:
    """Raises `CommandError` for what does not go together."""
    if options["rate"] is not None and options["rate"] < 1:
        raise CommandError("--rate must be 1 or more")
    chosen = [f"--{name}" for name in ("start", "end", "meter", "resource", "project", "after") if options[name]]
    if options["files"] and chosen:
        raise CommandError(f"{', '.join(chosen)} choose among stored samples, not among those of files")
    if not options["files"] and options["skip"]:
        raise CommandError("--skip is for files; stored samples go on with --after")


def _target(options: dict[str, Any], stack: ExitStack) -> Target:
    if options["dry_run"]:
        return ToNobody()
    from metering.celery import app  # noqa: PLC0415 # it reads the settings, and may refuse them

    settings = environment.load(os.environ)
    if not (options["url"] or settings.broker_url):
        raise BadSetting("METERING_BROKER_URL is not set: to which broker? Set it, or give --url")
    connection = stack.enter_context(app.connection_for_write(options["url"] or settings.broker_url))
    if options["exchange"]:
        return ToExchange(connection, options["exchange"])
    return ToStore(app, connection, publisher_of(app, settings).signer, settings.source)


def _archived(files: list[Path], skip: int) -> Iterator[tuple[str, str]]:
    number = 0
    for file in files:
        for text in archive.texts(file):
            number += 1
            if number > skip:
                yield str(number), text


def _stored(options: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for page in reading.pages(_chosen(options)):
        originals = reading.originals(page)
        for sample in page:
            place = Locator(sample.series_id, sample.ts, sample.message_id)
            yield place.text, archive.text_of(sample, originals.get(sample.pk))


def _chosen(options: dict[str, Any]) -> SampleQuerySet:
    from metering.models import Sample  # noqa: PLC0415 # archives are replayed without a database

    start, end = (parse_timestamp(options[side]) if options[side] else None for side in ("start", "end"))
    samples = Sample.objects.between(start, end)
    wanted = {"meter": options["meter"], "resource_id": options["resource"], "project_id": options["project"]}
    samples = samples.of({column: value for column, value in wanted.items() if value})
    if options["after"]:
        place = Locator.parse(options["after"])
        if place is None:
            raise CommandError(f"--after {options['after']!r} is no place that a replay has told")
        samples = samples.filter(pk__gt=(place.series_id, place.ts, place.message_id))
    return samples
