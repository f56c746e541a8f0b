"""``manage.py replay_quarantine``: send what was refused through again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import InterfaceError, OperationalError
from django.db.models import QuerySet

from collector.again import hear_again
from collector.batch import Batch
from collector.index import Index, load
from collector.waiting import Every
from metering.bounds import parse_timestamp
from metering.celery import app
from metering.errors import BrokerAway
from metering.models import Quarantine
from metering.publish import Publisher, publisher_of
from metering.store import replaying

PROGRESS_EVERY = 2.0  # seconds


class Command(BaseCommand):
    """Batches and messages to the storage workers, notifications to the listeners here and on from there."""

    help = (
        "Send what is in quarantine through again, when what was wrong is mended: batches and messages to be stored, "
        "notifications to their listeners. What is refused again is kept again. Nothing is stored twice: interrupt it "
        "and start it again at will."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--kind", choices=Quarantine.Kind.values)
        parser.add_argument("--reason", help="a part of the reason")
        parser.add_argument("--publisher", help="by its own word, exactly")
        parser.add_argument("--start", help="ISO 8601: seen last at or after")
        parser.add_argument("--end", help="ISO 8601: seen last before")
        parser.add_argument("--id", type=int, action="append", help="the row's number in the admin; may be repeated")
        parser.add_argument("--dry-run", action="store_true", help="send nothing, only say what would be sent")

    def handle(self, *, dry_run: bool, **options: Any) -> None:
        environment = settings.METERING
        rows = _chosen(options)
        total = rows.count()
        replay = Replay(load(environment), None if dry_run else publisher_of(app, environment))
        progress = Every(PROGRESS_EVERY)
        progress.due()
        try:
            for ids in replaying.portions(rows):
                for row, reason in replay.take(ids):
                    self.stderr.write(f"{row.kind} {row.pk} stays: {reason}")
                if progress.due():
                    self.stderr.write(f"{replay.seen} of {total}: {replay}")
        except (KeyboardInterrupt, BrokerAway, OperationalError, InterfaceError) as exc:
            said = str(exc).strip() or "interrupted"
            raise CommandError(f"{said}. {replay}; start it again to go on") from exc
        self.stdout.write(f"{replay}{' (dry run: nothing was sent)' if dry_run else ''}")
        if replay.left:
            raise CommandError(f"{replay.left} could not be used and stay as they are")


class Replay:
    """Rows of the quarantine on their way; counts what became of them."""

    def __init__(self, index: Index, publisher: Publisher | None) -> None:
        self.index, self.publisher = index, publisher
        self.sent: Counter[str] = Counter()  # by kind
        self.seen = self.samples = self.left = 0

    def __str__(self) -> str:
        kinds = ", ".join(f"{self.sent[kind]} {kind}{'e' * (kind == 'batch')}s" for kind in Quarantine.Kind.values)
        return f"{kinds} sent through again ({self.samples} samples of notifications), {self.left} left"

    def take(self, ids: Sequence[int]) -> list[tuple[Quarantine, str]]:
        """Send these rows and mark them; those that stay, and why. Raises `BrokerAway`: then all of them stay."""
        with replaying.taken(ids) as rows:
            batch = Batch()
            stay = [(row, reason) for row in rows if (reason := self._unfit(row, batch))]
            unfit = {row.pk for row, _ in stay}
            fit = [row for row in rows if row.pk not in unfit]
            samples = batch.samples
            if self.publisher is not None:
                replaying.mark(fit)
                replaying.send([row for row in fit if row.kind != Quarantine.Kind.NOTIFICATION], self.publisher)
                batch.publish(self.publisher)
                batch.publish_events(self.publisher)
        self.seen += len(ids)
        self.sent.update(row.kind for row in fit)
        self.samples += samples
        self.left += len(stay)
        return stay

    def _unfit(self, row: Quarantine, batch: Batch) -> str | None:
        """Why the row cannot be used now; what listeners make of a notification is added to the batch."""
        if row.kind != Quarantine.Kind.NOTIFICATION:
            return replaying.unfit(row)
        heard = hear_again(bytes(row.body), _exchange(row), self.index)
        if heard.failures:
            return "; ".join(f"{failure.reason} ({failure.error})" for failure in heard.failures)
        if heard.message_id is None:
            return f"no listener wants {heard.event_type}"
        batch.add(row, heard, None)
        return None


def _exchange(row: Quarantine) -> str | None:
    exchange = row.details.get("exchange") if isinstance(row.details, dict) else None
    return exchange if isinstance(exchange, str) and exchange not in ("", "None") else None


def _chosen(options: dict[str, Any]) -> QuerySet[Quarantine]:
    rows = Quarantine.objects.filter(state=Quarantine.State.KEPT)
    start, end = (parse_timestamp(options[side]) if options[side] else None for side in ("start", "end"))
    wanted = {
        "kind": options["kind"],
        "reason__contains": options["reason"],
        "publisher": options["publisher"],
        "last_seen__gte": start,
        "last_seen__lt": end,
        "pk__in": options["id"],
    }
    return rows.filter(**{name: value for name, value in wanted.items() if value is not None})
