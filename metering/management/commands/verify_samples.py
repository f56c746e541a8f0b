"""Check the signatures of stored samples again, from what is stored."""

from __future__ import annotations

import os
import sys
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from metering import environment
from metering.bounds import parse_timestamp
from metering.models import Sample
from metering.models.queries import SampleQuerySet
from metering.signing import Keyring
from metering.store import reading

MOST_IDS = 1_000  # printed; the count is of all
ORPHAN = "the series, the metadata or the signer that it refers to is gone"


class Command(BaseCommand):
    """Exit status 1, and the ids, when a sample does not verify."""

    help = "Verify stored samples; prints how many verify, and the id and reason of each that does not."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--start", help="ISO 8601: samples at or after")
        parser.add_argument("--end", help="ISO 8601: samples before")
        parser.add_argument("--meter")
        parser.add_argument("--resource")

    def handle(self, *args: Any, **options: Any) -> None:
        settings = environment.load(os.environ)
        if not settings.secrets:
            raise CommandError("METERING_SECRETS is not set: without it nothing can be verified")
        samples = _chosen(options)
        total, checked = samples.count(), 0
        reasons: Counter[str] = Counter()
        keyring = Keyring(settings.secrets)
        for page in reading.pages(samples):
            originals = reading.originals(page)
            for sample in page:
                fault = reading.fault(sample, originals.get(sample.pk), keyring, settings.ceilometer_secrets)
                if fault is not None:
                    reasons[fault] += 1
                    if reasons.total() <= MOST_IDS:
                        self.stdout.write(f"{sample.message_id} {sample.series}: {fault}")
            checked += len(page)
            self._progress(checked, total)
        for message_id in reading.orphans(samples).values_list("message_id", flat=True):
            reasons[ORPHAN] += 1
            checked += 1
            if reasons.total() <= MOST_IDS:
                self.stdout.write(f"{message_id}: {ORPHAN}")
        self.stdout.write(f"{checked - reasons.total()} of {checked} samples verify")
        for reason, count in reasons.most_common():
            self.stdout.write(f"{count}: {reason}")
        if reasons:
            sys.exit(1)

    def _progress(self, checked: int, total: int) -> None:
        if self.stderr.isatty():
            share = checked / max(total, 1)
            self.stderr.write(f"\r{'#' * int(40 * share):40} {checked}/{total}", ending="")
            if checked >= total:
                self.stderr.write("")


def _chosen(options: dict[str, Any]) -> SampleQuerySet:
    bounds = {side: parse_timestamp(options[side]) if options[side] else None for side in ("start", "end")}
    samples = Sample.objects.between(bounds["start"], bounds["end"])
    if options["meter"]:
        samples = samples.filter(series__meter=options["meter"])
    if options["resource"]:
        samples = samples.filter(series__resource_id=options["resource"])
    return samples
