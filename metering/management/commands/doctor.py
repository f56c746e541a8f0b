"""Why does a node, or one of its meters, yield nothing?"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from collector import nova_listening
from metering import environment, plugins, sources
from metering.doctor import broker, host, keystone, meters
from metering.doctor.finding import Finding, Verdict, one_line, wrong
from metering.environment import CENTRAL, Environment
from metering.plugins import Plugin
from metering.sources import Source


class Command(BaseCommand):
    """On a host: what it needs, and one dry poll. With --node, and the database: what the control plane knows."""

    help = "Say why this host, or with --node another one, or one of their meters, yields nothing."
    requires_system_checks = []  # a compute host has no database to check

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--node", help="ask the database about this node (host-1, compute/host-1 or central)")
        parser.add_argument("--meter", help="this meter only; that it yields nothing is then wrong")
        parser.add_argument("--namespace", choices=("compute", "central"), help="default: by METERING_ROLE")
        parser.add_argument("--uri", help="libvirt's URI (default: METERING_LIBVIRT_URI)")
        parser.add_argument("--json", action="store_true", help="one JSON object a line")

    def handle(self, *_: Any, **options: Any) -> None:
        settings = environment.load(os.environ)
        found = [plugin for name in plugins.NAMESPACES for plugin in plugins.load(name, settings, os.environ)]
        known, faults = sources.read(settings.sources_file, settings.poll_interval)
        findings = list(meters.of_sources(settings, known, faults))
        if options["node"]:
            findings += _of_node(options["node"], options["meter"], settings, found, known)
        else:
            central = (options["namespace"] or settings.role) == CENTRAL
            findings += _of_this_host(settings, found, known, options["meter"], options["uri"], central=central)
        for finding in findings:
            self.stdout.write(json.dumps(finding.fields) if options["json"] else str(finding))
        count = sum(finding.verdict is Verdict.WRONG for finding in findings)
        if count:
            raise CommandError(f"{count} of {len(findings)} findings are wrong")


def _of_node(
    node: str, meter: str | None, settings: Environment, found: Sequence[Plugin], known: Sequence[Source]
) -> Iterator[Finding]:
    if settings.database_url is None:
        raise CommandError("DATABASE_URL is not set: --node asks the database; without it, this host is looked at")
    # Here, because a plugin host has no database to ask.
    from django.db import Error  # noqa: PLC0415

    from metering.doctor import ledger  # noqa: PLC0415

    try:
        yield from ledger.examine(node, meter, found, known, datetime.now(UTC))
    except Error as exc:
        yield wrong("database", one_line(exc), "is DATABASE_URL right, the server up, and everything migrated?")


def _of_this_host(
    settings: Environment,
    found: Sequence[Plugin],
    known: Sequence[Source],
    meter: str | None,
    uri: str | None,
    *,
    central: bool,
) -> Iterator[Finding]:
    """What a worker needs here, then one dry poll."""
    namespace = plugins.CENTRAL if central else plugins.COMPUTE
    yield from host.name_and_key(settings)
    yield from broker.examine(settings)
    yield from broker.examine_services(settings)
    yield from keystone.examine(settings.access.keystone)
    yield from host.spool(settings)
    yield from nova_listening.examine(settings.notification_urls, settings.nova_notifications)
    yield from meters.of_plugins(found, namespace)
    if meter is not None:
        told = list(meters.of_meter(meter, found, known, namespace))
        yield from told
        if not any(claimed.name == meter for plugin in found for claimed in plugin.meters):
            return
    yield from _dry_poll(settings, found, known, meter, uri or settings.libvirt_uri, central=central)


def _dry_poll(
    settings: Environment,
    found: Sequence[Plugin],
    known: Sequence[Source],
    meter: str | None,
    uri: str,
    *,
    central: bool,
) -> Iterator[Finding]:
    from pollsters import examination  # noqa: PLC0415 # a machine that polls nothing need not have what it loads

    if central:
        yield from examination.central(found, known, meter)
        return
    try:
        from pollsters.compute import libvirt_host  # noqa: PLC0415
    except ImportError as exc:
        yield wrong("hypervisor", one_line(exc), "install nephometer[compute] here, or name the host: --node")
        return
    from pollsters.compute.host import ComputeHost  # noqa: PLC0415
    from pollsters.compute.reading import policy_of  # noqa: PLC0415

    polled = ComputeHost(lambda: libvirt_host.Connection(uri), settings.node, policy_of(settings))
    yield from examination.compute(polled, uri, found, known, settings.node, meter)
