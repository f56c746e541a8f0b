"""Why a node, or one of its meters, brings nothing: what the control plane knows of it. Reads the database only."""

from __future__ import annotations

import difflib
from collections import Counter as Tally
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from django.db.models import Count, Exists, F, Max, OuterRef, Q, Subquery, Sum

from metering import plugins
from metering.doctor import meters
from metering.doctor.finding import Finding, good, note, one_line, wrong
from metering.environment import CENTRAL
from metering.models import Node, PollSlot, Quarantine, Resource, Sample, Series
from metering.models.reachability import WINDOW, PolledNode, with_polls
from metering.plugins import Plugin
from metering.sources import Source
from metering.store import clocks

LOOK_BACK = timedelta(days=1)  # for what was refused
_NO_ORDER = {
    "no route": "its worker is not running: its queue poll.<node> was gone",
    "not dispatched": "beat or the control worker was down, or too late",
    "": "it was ordered, and nothing came: look at the worker's log and at its broker",
}


def examine(
    name: str, meter: str | None, found: Sequence[Plugin], known: Sequence[Source], now: datetime
) -> Iterator[Finding]:
    """Everything there is about the node of this name, or this publisher (``compute/host-1``)."""
    nodes = list(with_polls(Node.objects.filter(Q(name=name) | Q(publisher=name)), now))
    if name == CENTRAL:  # whatever the central workers are called, they are one
        nodes = list(with_polls(Node.objects.filter(role=CENTRAL), now))
    if not nodes:
        yield _unknown(name)
        yield from _refused([name, *(f"{role}/{name}" for role in ("compute", "central", "consumer"))], now)
        return
    for node in nodes:
        yield from _of_node(node, now)
        if meter is not None:
            yield from _of_meter(node, meter, found, known, now)


def _unknown(name: str) -> Finding:
    close = difflib.get_close_matches(name, list(Node.objects.values_list("name", flat=True)), n=3)
    meant = f"did you mean {' or '.join(close)}? Else " if close else ""
    remedy = f"{meant}start its worker, with METERING_NODE={name} and its own METERING_NODE_KEY"
    return wrong("node", f"no genuine batch of {name!r} ever came", remedy)


def _of_node(node: PolledNode, now: datetime) -> Iterator[Finding]:
    label = f"node {node.publisher}"
    if not node.enabled:
        yield wrong(label, "it is switched off: it gets no orders, and what it sends is refused", "see it in the admin")
    silence = now - node.last_seen
    last = f"its last batch came {_ago(silence)} ago"
    yield note(label, last, "is its worker running?") if silence > LOOK_BACK else good(label, last)
    if node.role in ("compute", CENTRAL):
        yield from _of_polls(node, now)
    for about, count in sorted(node.errors.items()):
        yield wrong(label, f"{about}: {count} failed in the last poll", "on the host, manage.py doctor tells more")
    if node.guests == 0:
        yield note(label, "it saw no guest in its last poll", "right URI? Are domains left out (METERING_UNOWNED)?")
    if node.dropped:
        told = ", ".join(f"{count:,} {what}" for what, count in sorted(node.dropped.items()))
        yield note(label, f"its spool gave up {told} since it was made", "the broker was away, or refused it, for long")
    yield from _of_clock(label, node)
    yield from _refused([node.publisher], now)


def _of_polls(node: PolledNode, now: datetime) -> Iterator[Finding]:
    """Polls of the last hour: how many came, and why the others did not."""
    label = f"node {node.publisher}"
    told = f"{node.received} of {node.expected} polls of the last hour came"
    if node.reachable is False:
        yield wrong(label, f"it is unreachable; {told}", "its last two slots brought nothing")
    elif node.last_poll is None:
        yield note(
            label, "it was never polled", "it is from the next tick on, unless beat or the control worker is down"
        )
    else:
        yield good(label, f"{told}; last read {_ago(now - node.last_poll)} ago")
    ordered_as = CENTRAL if node.role == CENTRAL else node.name
    missed = PollSlot.objects.missed(now).filter(node=ordered_as, due__gte=now - WINDOW)
    for row in missed.order_by().values("note").annotate(polls=Count("pk")).order_by("note"):
        said = f"polls of the last hour that were missed ({row['note'] or 'no receipt'}): {row['polls']}"
        yield wrong(label, said, _NO_ORDER.get(row["note"], ""))


def _of_clock(label: str, node: Node) -> Iterator[Finding]:
    if node.skew is None:
        return
    if clocks.is_wrong(node.skew):
        way = "ahead" if node.skew > 0 else "behind"
        said = f"its clock is {way} by at least {abs(node.skew):,.1f} s"
        yield wrong(label, said, "set it by NTP: samples carry its time, and orders expire by it")
    else:
        yield good(label, "its clock is right, as far as its batches tell")


def _refused(publishers: Sequence[str], now: datetime) -> Iterator[Finding]:
    """What came under its name and was not believed."""
    recent = Quarantine.objects.filter(
        publisher__in=publishers, last_seen__gte=now - LOOK_BACK, state=Quarantine.State.KEPT
    )
    reasons: Tally[str] = Tally()
    for reason, count in recent.values_list("reason").annotate(times=Sum("count")):
        reasons[one_line(reason)[:100]] += count
    for reason, count in reasons.most_common(5):
        yield wrong(f"quarantine of {publishers[0]}", f"{count} in a day: {reason}", "see it in the admin")


def _of_meter(
    node: Node, meter: str, found: Sequence[Plugin], known: Sequence[Source], now: datetime
) -> Iterator[Finding]:
    """Whether the meter should come from the node, and when it last did."""
    namespace = plugins.CENTRAL if node.role == CENTRAL else plugins.COMPUTE
    if node.role in ("compute", CENTRAL):
        yield from meters.of_meter(meter, found, known, namespace)
    label = f"meter {meter}"
    last, resources = _last_seen(node, meter)
    remedy = f"on the host: manage.py doctor --meter {meter}"
    if last is None:
        elsewhere = Series.objects.filter(meter=meter).exists()
        said = "others send it" if elsewhere else "nor has any other node sent it"
        yield wrong(label, f"no sample of it from {node.publisher} is stored; {said}", remedy)
        return
    told = f"last read {_ago(now - last)} ago, resources that have it: {resources}"
    source = meters.asking(meter, known, namespace)
    late = timedelta(seconds=3 * source.interval if source else 600)
    yield wrong(label, told, remedy) if now - last > max(late, timedelta(minutes=1)) else good(label, told)


def _last_seen(node: Node, meter: str) -> tuple[datetime | None, int]:
    """When the latest sample was read of what this node meters, and of how many resources there are any."""
    its = Resource.objects.filter(
        publisher=node.publisher, resource_id=OuterRef("resource_id"), source=OuterRef("source")
    )
    newest = Sample.objects.filter(series_id=OuterRef("pk")).order_by("-ts").values("ts")[:1]
    series = Series.objects.filter(Exists(its), meter=meter).annotate(last=Subquery(newest))
    told = series.aggregate(latest=Max("last"), resources=Count(F("resource_id"), distinct=True))
    return told["latest"], told["resources"]


def _ago(time: timedelta) -> str:
    seconds = time.total_seconds()
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
