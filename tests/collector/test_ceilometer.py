"""What Ceilometer's agents publish comes in as samples, each believed by the agent's own signature only."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from collector.again import hear_again
from collector.archive import Recorded, line_of, recorded_in
from collector.hearing import Heard, hear
from collector.index import Index, load, subscribe
from collector.listeners.ceilometer import CeilometerListener
from metering import environment
from metering.models import Quarantine, Sample
from tests.collector.bodies import body, enveloped, recorded
from tests.collector.ceilometer_agent import RELEASES, SECRET, metered, signed
from tests.collector.conftest import Start
from tests.collector.line import OurBus, Services, bytes_of, eventually, index_of, reads
from tests.collector.notifier import notify
from tests.installation import Installation, installed, wait_for

RELAY = CeilometerListener()


def said(payload: Any, event_type: str = "telemetry.polling") -> dict[str, Any]:
    return {
        "event_type": event_type, "payload": payload, "message_id": "m-1", "publisher_id": "ceilometer.polling",
        "timestamp": "2026-11-23 12:00:00.000000", "priority": "SAMPLE",
    }  # fmt: skip


def heard(payload: Any, event_type: str = "telemetry.polling") -> Heard:
    return hear(enveloped(said(payload, event_type)), "ceilometer", index_of(ceilometer=RELAY))


@pytest.mark.parametrize("wrapped", [enveloped, body])
@pytest.mark.parametrize(
    ("event_type", "listed"),
    [
        ("telemetry.polling", lambda samples: {"samples": samples}),
        ("telemetry.api", lambda samples: {"samples": samples}),
        ("metering", lambda samples: samples),
    ],
)
def test_each_metering_message_is_handed_on_with_every_value_as_it_was(
    event_type: str, listed: Any, wrapped: Any
) -> None:
    samples = [signed(metered()), signed(metered(counter_volume=0.30000000000000004))]

    got = hear(wrapped(said(listed(samples), event_type)), "ceilometer", index_of(ceilometer=RELAY))

    assert [json.loads(text) for text in got.whole] == samples
    assert [json.dumps(json.loads(text)) for text in got.whole] == [json.dumps(sample) for sample in samples]
    assert (got.counters, got.failures, got.message_id) == ((), (), "m-1")


HARD = {"big": 2**70, "surrogate": "\ud800", "nan": float("nan"), "infinite": float("-inf")}


@pytest.mark.parametrize("value", HARD.values(), ids=HARD)
def test_a_value_that_only_python_s_json_writes_spoils_no_message_beside_it(value: Any) -> None:
    odd, good = metered(resource_metadata={"odd": value}), signed(metered())

    got = heard({"samples": [odd, good, "no message"]})

    assert [json.dumps(json.loads(text)) for text in got.whole] == [json.dumps(odd), json.dumps(good), '"no message"']


def test_what_was_recorded_is_handed_on_as_it_was_when_it_is_heard_again() -> None:
    samples = [metered(resource_metadata=HARD), signed(metered())]
    line = line_of(Recorded(enveloped(said({"samples": samples})), "ceilometer"), "2026-11-23T12:00:00")
    found = recorded_in(line)

    got = hear_again(found.body, found.exchange, index_of(ceilometer=RELAY))

    assert [json.dumps(json.loads(text)) for text in got.whole] == [json.dumps(sample) for sample in samples]


@pytest.mark.parametrize("payload", [None, 7, "text", {}, {"samples": None}, {"samples": {"a": 1}}])
def test_a_payload_without_a_list_of_samples_is_kept_with_its_reason(payload: Any) -> None:
    got = heard(payload)

    assert got.whole == ()
    [failure] = got.failures
    assert failure.reason == "listener ceilometer failed"
    assert "samples are not a list" in failure.error


def test_an_empty_list_is_no_fault() -> None:
    assert heard({"samples": []}) == Heard("telemetry.polling", "m-1")


@pytest.mark.parametrize("field", ["event_type", "message_id"])
def test_a_name_that_no_broker_can_carry_is_malformed(field: str) -> None:
    message = said({"samples": []}) | {field: "telemetry.\ud800"}

    got = hear(body(message), "ceilometer", Index([subscribe("any", AnyRelay())]))

    assert "lone surrogate" in got.failures[0].reason


class AnyRelay(CeilometerListener):
    event_types = ("*",)


def test_what_is_nested_too_deep_to_be_walked_is_malformed() -> None:
    got = hear(b'{"event_type": "metering", "payload": ' + b"[" * 100_000, "ceilometer", index_of(ceilometer=RELAY))

    assert got.failures[0].reason.startswith("malformed")


def test_the_plugin_is_installed_and_is_switched_off_by_its_name() -> None:
    topics = ("metering.sample", "notifications.sample")

    assert load(environment.load({}), {}).topics["ceilometer"] == topics
    assert "ceilometer" not in load(environment.load({"METERING_DISABLED_PLUGINS": "ceilometer"}), {}).topics


def test_messages_and_samples_of_one_batch_are_acknowledged_together(broker_url: str, start: Start) -> None:
    ours, services = OurBus(broker_url), Services(broker_url)
    ours.listen()
    running = start(broker_url, broker_url, index_of(ceilometer=SampleTopic(), volume=VolumeOfCeilometer()))
    assert reads(running, "ceilometer")

    services.say("ceilometer", said([signed(metered())], "metering"), recorded("volume.exists"))

    assert eventually(lambda: running.acknowledged == 2)
    assert {sample["counter_name"] for sample in ours.samples()} == {"cpu", "volume", "volume.size"}
    assert services.waiting("ceilometer") == 0


class SampleTopic(CeilometerListener):
    topics = ("notifications.info",)


def volume_listener() -> Any:
    return index_of().find("cinder", "volume.exists")[0].listener


class VolumeOfCeilometer:
    """A listener of another kind on the same exchange."""

    exchange = "ceilometer"
    event_types = ("volume.exists",)

    def __init__(self) -> None:
        self._volume = volume_listener()
        self.meters = self._volume.meters

    def counters(self, notification: Any) -> Any:
        return self._volume.counters(notification)


def test_a_listener_that_quotes_half_a_surrogate_pair_stops_nobody(
    amqp_url: str, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "collector.hearing")  # pytest's processes cannot tell each other such a text
    ours, services = OurBus(amqp_url), Services(amqp_url)
    ours.listen()
    running = start(amqp_url, amqp_url, index_of(quoting=Quoting()))
    assert reads(running, "ceilometer")

    services.say_raw("ceilometer", body(said("\ud800")))

    assert eventually(lambda: running.acknowledged == 1)
    [letter] = ours.dead()
    assert letter.headers["traceback"] == "ValueError: ?"
    assert json.loads(bytes_of(letter))["payload"] == "\ud800"


class Quoting(SampleTopic):
    def whole(self, notification: Any) -> Iterator[str]:
        raise ValueError(notification.payload)


@pytest.fixture
def installation(tmp_path: Path, rabbitmq_url: str, database_url: str) -> Iterator[Installation]:
    with installed(tmp_path, rabbitmq_url, database_url, METERING_CEILOMETER_SECRETS=f"another,{SECRET}") as made:
        made.start("samples", "consumer")
        yield made


def test_what_agents_of_every_release_send_is_stored_once_and_what_they_did_not_sign_is_kept_apart(
    installation: Installation,
) -> None:
    url = installation.broker_url
    by_release = [signed(metered(resource_id=release), release=release) for release in RELEASES]
    forged = {**signed(metered(resource_id="forged")), "counter_volume": 1}
    strangers = signed(metered(resource_id="stranger"), secret="not ours")
    polled = ("telemetry.polling", {"samples": [*by_release, forged, {"no": "message"}]})
    posted = ("telemetry.api", {"samples": [signed(metered(resource_id="posted")), strangers]})
    notify(url, "ceilometer", polled, posted, priority="sample")
    notify(url, "ceilometer", ("metering", by_release), topic="metering", priority="sample", driver="messaging")
    last = signed(metered(resource_id="last"))
    notify(url, "ceilometer", ("metering", [last]), topic="metering", priority="sample")
    wait_for(lambda: Sample.objects.count() == 4, "every genuine message stored")
    wait_for(lambda: Quarantine.objects.count() == 3, "the others in quarantine")

    assert set(Sample.objects.values_list("series__resource_id", flat=True)) == {*RELEASES, "posted", "last"}
    assert "4 of 4 samples verify" in installation.manage("verify_samples")
    reasons = sorted(Quarantine.objects.values_list("reason", flat=True))
    assert [reason.partition("(")[0] for reason in reasons] == [
        "no secret of METERING_CEILOMETER_SECRETS made this signature",
        "no secret of METERING_CEILOMETER_SECRETS made this signature",
        "source is missing",
    ]
