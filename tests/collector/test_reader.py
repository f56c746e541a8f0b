"""Reading through kombu, from Redis."""

from __future__ import annotations

from collector.bus import attach, connection_to
from collector.reader import KombuReader
from tests.collector.bodies import recorded
from tests.collector.line import Services, eventually


def test_what_was_on_its_way_when_a_reader_ends_is_there_for_the_next(redis_url: str) -> None:
    """kombu asks for a message ahead of time: one that comes between its question and the end has no taker."""
    services = Services(redis_url)
    with connection_to(redis_url) as connection:
        assert attach(connection, "cinder", ("notifications.info",)) is None
        reader = KombuReader(connection, 10)
        reader.consume("cinder")
        assert reader.take(0.0) == []
        assert reader.take(0.05) == []
        services.say("cinder", recorded("volume.exists"))
        assert eventually(lambda: services.waiting("cinder") == 0)

        reader.cancel()

    assert services.waiting("cinder") == 1
    with connection_to(redis_url) as connection:
        reader = KombuReader(connection, 10)
        reader.consume("cinder")
        [delivery] = reader.take(5.0)
        assert delivery.exchange == "cinder"
        reader.acknowledge([delivery.receipt])
