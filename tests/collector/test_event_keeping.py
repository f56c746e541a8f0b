"""Events beside samples: what is heard, what is read for them, and that nothing a body says breaks them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from collector.events import files
from collector.events.converter import Converter
from collector.events.keeping import EventKeeper, keeper_of
from collector.hearing import hear
from collector.index import Index
from collector.notification import parse
from metering.event_messages import pack
from metering.event_settings import EXCHANGES, EventSettings
from metering.messages import MOST_BYTES_READ
from tests.collector.bodies import RECORDED, body, recorded
from tests.collector.line import SIGNER, index_of
from tests.collector.test_events import kept, values
from tests.metering.strategies import json_values, many

SHIPPED = files.load([])[0]


def keeping(**options: Any) -> Index:
    index = index_of()
    return Index(index.subscriptions, EventKeeper(Converter(SHIPPED, **options), EXCHANGES))


def test_an_event_comes_beside_the_samples() -> None:
    heard = hear(body(recorded("volume.create.end")), "cinder", keeping())

    assert len(heard.counters) == 2
    assert heard.event is not None
    assert not heard.failures


def test_a_type_that_no_listener_wants_becomes_an_event() -> None:
    heard = hear(body(recorded("volume.create.end") | {"event_type": "volume.boggle"}), "cinder", keeping())

    assert heard.event is not None
    assert heard.event.event_type == "volume.boggle"
    assert not heard.counters


def test_an_event_that_cannot_be_made_costs_no_sample_and_is_told() -> None:
    message = recorded("compute.instance.exists", vcpus="two", memory_mb=512)
    heard = hear(body(message), "nova", keeping())

    assert heard.event is None
    assert "its event could not be made: trait vcpus: 'two' is no integer" in [f.reason for f in heard.failures]


def test_a_listener_hears_only_the_priorities_it_asked_for() -> None:
    message = recorded("volume.create.end") | {"priority": "ERROR"}

    heard = hear(body(message), "cinder", keeping())

    assert not heard.counters
    assert heard.event is not None


def test_with_events_on_every_service_is_read_with_info_and_error() -> None:
    topics = keeping().topics

    assert set(topics) == set(EXCHANGES)
    assert set(topics.values()) == {("notifications.error", "notifications.info")}
    assert keeping().exchanges("unheard.of") == ("",)


def test_off_nothing_is_read_for_events_and_nothing_made() -> None:
    index = index_of()

    assert keeper_of(EventSettings()) is None
    assert set(index.topics) == {"cinder", "glance", "nova"}
    assert hear(body(recorded("volume.create.end")), "cinder", index).event is None


def test_the_settings_say_what_is_kept(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("- {event_type: image.delete, traits: {mine: payload.id}}\n- 7\n")

    keeper = keeper_of(EventSettings(kept=True, definitions=(str(tmp_path),), exchanges=("glance",)))

    assert keeper is not None
    assert keeper.exchanges == ("glance",)
    assert keeper.faults == (f"{tmp_path}/mine.yaml:2: a definition must be a mapping with event_type and traits",)
    assert "mine" in values(kept(keeper.converter, parse(recorded("image.delete"))))


known = st.sampled_from([*RECORDED, "identity.authenticate", "objectstore.http.request", "port.create.end", "x"])


@many
@given(known, json_values, st.booleans())
def test_whatever_a_payload_says_it_raises_nothing_and_what_is_made_can_be_sent(
    event_type: str, payload: Any, store_raw: bool
) -> None:
    keeper = EventKeeper(Converter(SHIPPED, store_raw=("info",) if store_raw else ()), EXCHANGES)
    message = {"event_type": event_type, "message_id": "m", "timestamp": "2026-01-01", "payload": payload}

    heard = hear(json.dumps(message), "nova", Index((), keeper))

    assert (heard.event is not None) != bool(heard.failures)
    if heard.event is not None:
        [sent] = pack([heard.event], SIGNER)
        assert len(sent) <= MOST_BYTES_READ


@many
@given(st.sampled_from(RECORDED), st.data())
def test_a_changed_field_costs_the_event_at_most(name: str, data: st.DataObject) -> None:
    message = recorded(name)
    field = data.draw(st.sampled_from(sorted(message["payload"])))
    message["payload"][field] = data.draw(json_values)

    heard = hear(json.dumps(message), "nova", Index((), EventKeeper(Converter(SHIPPED), EXCHANGES)))

    # JSON that no service can have sent (half a surrogate pair) is no notification at all.
    assert heard.event is not None or heard.failures[0].reason.startswith(
        ("its event could not be made: ", "malformed")
    )
    pack([heard.event] if heard.event is not None else [], SIGNER)
