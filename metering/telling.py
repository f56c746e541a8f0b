"""What the store has taken, told to others on their exchanges."""

from __future__ import annotations

from collections.abc import Sequence

from celery import Celery

from metering import ceilometer_bus, plain
from metering.environment import Environment
from metering.sifting import Genuine


def tell_others(app: Celery, genuine: Sequence[Genuine], settings: Environment) -> None:
    """Publish what the store holds, where a setting says so. Raises `BrokerAway`; again, it repeats what went out."""
    if settings.plain_messages:
        plain.publish(app, genuine, settings)
    if settings.ceilometer_url:
        ceilometer_bus.publish(genuine, settings)
