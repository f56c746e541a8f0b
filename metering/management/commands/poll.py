"""One poll, here and now."""

from __future__ import annotations

import json
import os
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from metering import environment, messages, plugins, sources
from metering.celery import app
from metering.counters import Counter
from metering.environment import Environment
from metering.errors import BadSetting, MeteringError
from metering.publish import Publisher, publisher_of
from metering.signing import Signer
from pollsters import runner

READ_SECONDS = 20.0
ASK_SECONDS = 300.0  # of all clouds, with nobody else to share the work


class Command(BaseCommand):
    """Poll once, on this machine, and publish the samples or print them."""

    help = "Poll once, here, and publish the samples; with --json print them and publish nothing."
    requires_system_checks = []  # a compute host has no database to check

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--uri", help="libvirt's URI (default: METERING_LIBVIRT_URI)")
        parser.add_argument(
            "--json", action="store_true", help="print metering messages as JSON Lines; needs no broker"
        )
        parser.add_argument("--namespace", choices=("compute", "central"), default="compute")
        parser.add_argument("--definition", type=Path, metavar="FILE", help="poll the declared pollsters of this file")
        parser.add_argument(
            "--url", help="with --definition: ask this URL, without a token, in the place of every cloud"
        )
        parser.add_argument("--dry-run", action="store_true", help="as --json")

    def handle(self, *_: Any, **options: Any) -> None:
        settings = environment.load(os.environ)
        try:
            if options["definition"]:
                poll, faults = _poll_definition(settings, options["definition"], options["url"])
            else:
                poll, faults = _poll(settings, options["namespace"], options["uri"] or settings.libvirt_uri), []
            if options["json"] or options["dry_run"]:
                self._print(poll.counters, settings)
            else:
                self._publish(poll.counters, settings)
        except MeteringError as exc:
            raise CommandError(str(exc)) from exc
        if faults:
            raise CommandError("\n".join(faults))
        if poll.errors:
            told = ", ".join(f"{name}: {count}" for name, count in poll.errors.items())
            self.stderr.write(f"not all could be read ({told})")
        if poll.errors.get(runner.HYPERVISOR):
            raise CommandError("the hypervisor could not be read")

    def _print(self, counters: list[Counter], settings: Environment) -> None:
        try:
            publisher, signed = publisher_of(app, settings), True
        except BadSetting as exc:
            self.stderr.write(f"unsigned: {exc}")
            publisher, signed = _without_key(settings), False
        for batch in publisher.pack(counters):
            for message in messages.unpack(batch):
                shown = message if signed else message | {"message_signature": None}
                self.stdout.write(json.dumps(shown, ensure_ascii=False))

    def _publish(self, counters: list[Counter], settings: Environment) -> None:
        if settings.broker_url is None:
            raise CommandError("METERING_BROKER_URL is not set (--json needs none)")
        published = publisher_of(app, settings).publish(counters)
        self.stdout.write(f"{published} samples published")


def _poll_definition(settings: Environment, file: Path, url: str | None) -> tuple[runner.Poll, list[str]]:
    """What the sound definitions of a file give, whatever the sources ask for; and what is wrong with the others."""
    # Here, because only a central worker's machine has the libraries that it needs.
    from pollsters.declared import trial  # noqa: PLC0415

    found, faults = trial.pollsters(file, url, settings, os.environ)
    poll = runner.poll_central(
        found,
        wants=lambda meter: True,
        takes=lambda place: True,
        origin=lambda place: runner.origin_text("by hand", None, *place.parts),
        due=datetime.now(UTC),
        seconds=ASK_SECONDS,
    )
    return poll, faults


def _poll(settings: Environment, namespace: str, uri: str) -> runner.Poll:
    known = sources.load(settings.sources_file, settings.poll_interval)
    now = datetime.now(UTC)

    def wants(meter: str) -> bool:
        return any(source.wants(meter) for source in known)

    if namespace == "central":
        central = plugins.enabled(plugins.CENTRAL, settings, os.environ)
        return runner.poll_central(
            central,
            wants,
            takes=lambda place: True,
            origin=lambda place: runner.origin_text("by hand", None, *place.parts),
            due=now,
            seconds=ASK_SECONDS,
        )
    # Here, because a machine that polls no hypervisor need not have libvirt.
    from pollsters.compute import libvirt_host, nova  # noqa: PLC0415
    from pollsters.compute.host import ComputeHost  # noqa: PLC0415
    from pollsters.compute.reading import policy_of  # noqa: PLC0415

    compute = plugins.enabled(plugins.COMPUTE, settings, os.environ)
    details = nova.details_of(settings)
    host = ComputeHost(lambda: libvirt_host.Connection(uri), settings.node, policy_of(settings), details=details)
    origin = runner.origin_text("by hand", None, settings.node)
    return runner.poll_compute(host, compute, wants, READ_SECONDS, origin, now, node=settings.node)


def _without_key(settings: Environment) -> Publisher:
    """Makes messages whose signatures are thrown away: by a key that nobody ever sees."""
    return Publisher(app, Signer(settings.publisher, "none", secrets.token_bytes(32)), settings.source)
