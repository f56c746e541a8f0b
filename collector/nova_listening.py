"""Listening for a moment to what nova says, beside those who read it: which of its two forms does it send?"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from amqp.exceptions import AMQPError
from kombu import Connection
from kombu.exceptions import OperationalError

from collector import nova_forms
from collector.bus import connection_to
from collector.event_types import REMEMBERED
from collector.notification import decode, event_type_of
from metering.doctor.finding import Finding, good, note, one_line, wrong
from metering.errors import MalformedNotification

SECONDS = 12.0  # nova's services report themselves every ten
LABEL = "nova's notifications"


def examine(urls: Iterable[str], form: str, seconds: float = SECONDS) -> Iterator[Finding]:
    """On each of the services' brokers: is anything said in the form that is metered? At most so many seconds each."""
    for url in urls:
        if not url.startswith("amqp"):
            continue  # Redis is no bus of nova's
        broker = connection_to(url).as_uri()
        try:
            with connection_to(url) as connection:
                said = _listen(connection, form, seconds)
        except (AMQPError, OperationalError, OSError) as exc:
            yield note(LABEL, f"{broker}: exchange nova cannot be listened to: {one_line(exc)}")
        else:
            yield _finding(broker, form, said, seconds)


def _finding(broker: str, form: str, said: Counter[str], seconds: float) -> Finding:
    other = nova_forms.other_form(form)
    if said[form]:
        return good(LABEL, f"{broker}: nova sends the {form} form, which is metered")
    if said[other]:
        heard = f"{broker}: in {seconds:.0f} s nova sent {said[other]} in the {other} form, and none in the {form} one"
        return wrong(LABEL, heard, f"set METERING_NOVA_NOTIFICATIONS={other}, or nova's notification_format")
    return note(LABEL, f"{broker}: nova said nothing in {seconds:.0f} s")


def _listen(connection: Connection, form: str, seconds: float) -> Counter[str]:
    """How many came of each form, until one of the metered form did, or the time is over."""
    said: Counter[str] = Counter()
    channel: Any = connection.channel()
    channel.exchange_declare("nova", "topic", passive=True)
    queue = channel.queue_declare("", exclusive=True, auto_delete=True, arguments={"x-max-length": REMEMBERED}).queue
    for topics in nova_forms.TOPICS.values():
        for topic in topics:
            channel.queue_bind(queue, "nova", routing_key=topic)
    channel.basic_consume(queue, no_ack=True, callback=lambda message: said.update(_form(message)))
    end = time.monotonic() + seconds
    while not said[form] and (left := end - time.monotonic()) > 0:
        try:
            connection.drain_events(timeout=left)
        except TimeoutError:
            break
    return said


def _form(message: Any) -> Iterator[str]:
    try:
        event_type = event_type_of(decode(message.body))
    except MalformedNotification:
        return
    found = nova_forms.form_of(event_type)
    if found is not None:
        yield found
