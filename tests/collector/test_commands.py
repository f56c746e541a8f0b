"""The commands of this part, as an operator starts them: in a process of their own, with no database named."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from metering.errors import BrokerAway, MalformedNotification
from metering.signing import Keyring
from tests.collector.bodies import enveloped, recorded
from tests.collector.line import OurBus, Services, eventually, volumes

ROOT = Path(__file__).parent.parent.parent
SECRETS = "k1:a-secret-that-only-these-tests-know"


def environ(url: str, **more: str) -> dict[str, str]:
    """Of a consumer's host: its own key, no secret, no database."""
    key = Keyring({"k1": SECRETS.partition(":")[2].encode()}).signer("consumer/test").key.hex()
    told = {"METERING_NODE": "test", "METERING_BROKER_URL": url, "METERING_NOTIFICATION_URLS": url}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("METERING_", "DATABASE_"))}
    return kept | told | {"METERING_ROLE": "consumer", "METERING_NODE_KEY": f"k1:{key}", **more}


def manage(url: str, *arguments: str, stdin: str | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environ(url, **more),
        input=stdin,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def consumer(tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts ``manage.py collect_notifications``; what still runs after the test is killed."""
    with ExitStack() as stack:

        def started(url: str) -> subprocess.Popen[str]:
            command = [sys.executable, "manage.py", "collect_notifications"]
            with (tmp_path / "consumer.log").open("a") as log:
                process = subprocess.Popen(command, cwd=ROOT, env=environ(url), stderr=log, text=True)
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        yield started


def said(file: Path, *messages: Any) -> str:
    file.write_text("".join(json.dumps(message) + "\n" for message in messages))
    return str(file)


def attached(services: Services) -> bool:
    """Whether a consumer has bound its queues: what is said from now on is kept."""
    with contextlib.suppress(BrokerAway):
        services.say("cinder", {"event_type": "probe", "payload": {}})
        return True
    return False


def test_a_notification_that_was_sent_by_hand_comes_out_signed(
    broker_url: str, consumer: Callable[[str], subprocess.Popen[str]], tmp_path: Path
) -> None:
    ours = OurBus(broker_url)
    ours.listen()
    process = consumer(broker_url)
    assert eventually(lambda: attached(Services(broker_url)), seconds=30)

    sent = manage(broker_url, "send_notification", said(tmp_path / "one.json", recorded("volume.create.end")))

    assert sent.returncode == 0, sent.stderr
    assert sent.stdout == "sent volume.create.end 7d2c2f84-2f8d-4f6b-9f4d-2a4db03d9c31 to exchange cinder\n"
    got = eventually(ours.samples)
    assert {sample["counter_name"] for sample in got} == {"volume", "volume.size", "volume.create.end"}
    assert {sample["publisher_id"] for sample in got} == {"consumer/test"}
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def test_consumers_that_are_killed_lose_nothing(
    amqp_url: str, consumer: Callable[[str], subprocess.Popen[str]]
) -> None:
    ours, services = OurBus(amqp_url), Services(amqp_url)
    ours.listen()
    process = consumer(amqp_url)
    assert eventually(lambda: attached(services), seconds=30)
    ids: set[str] = set()
    for start in (0, 250):
        services.say("cinder", *volumes(250, start))
        process.kill()
        process.wait()
        process = consumer(amqp_url)

    def all_came() -> bool:
        ids.update(sample["message_id"] for sample in ours.samples())
        return len(ids) >= 3 * 500

    assert eventually(all_came, seconds=40)
    assert len(ids) == 3 * 500
    assert eventually(lambda: services.waiting("cinder") == 0)


def test_a_notification_that_nobody_waits_for_is_said_to_be_lost(broker_url: str) -> None:
    sent = manage(broker_url, "send_notification", str(ROOT / "tests/data/notifications/image.upload.json"))

    assert sent.returncode == 1
    assert "no queue listens to exchange glance" in sent.stderr or "NOT_FOUND" in sent.stderr
    assert "Traceback" not in sent.stderr


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("not json", "not JSON"),
        ('{"payload": {}}', "event_type"),
        ('{"event_type": "some.thing", "payload": {}}', "--exchange"),
        ('{"event_type": "a.b", "payload": {}}\n{"event_type": \n', "notification 2"),
    ],
)
def test_what_cannot_be_sent_is_refused_before_anything_is(content: str, complaint: str, tmp_path: Path) -> None:
    file = tmp_path / "odd.json"
    file.write_text(content)

    with pytest.raises((CommandError, MalformedNotification), match=complaint):
        call_command("send_notification", str(file), url="redis://127.0.0.1:9/0")


def test_a_replay_gives_the_same_samples_again_and_again(amqp_url: str, tmp_path: Path) -> None:
    ours = OurBus(amqp_url)
    ours.listen()
    file = tmp_path / "recorded.jsonl"
    file.write_bytes(b"\n".join([enveloped(message) for message in volumes(150)] + [b"", b""]))

    first = manage(amqp_url, "replay_notifications", str(file))
    once = {sample["message_id"] for sample in ours.samples()}
    second = manage(amqp_url, "replay_notifications", str(file), "--skip", "100")
    again = {sample["message_id"] for sample in ours.samples()}

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert first.stdout == "150 notifications, 450 samples, 0 of types that nobody wants, 0 refused\n"
    assert len(once) == 450
    assert len(again) == 150
    assert again < once


def test_a_dry_run_sends_nothing_and_says_what_is_wrong_where(amqp_url: str, tmp_path: Path) -> None:
    ours = OurBus(amqp_url)
    ours.listen()
    file = said(
        tmp_path / "mixed.jsonl",
        recorded("volume.exists"),
        {"event_type": "x.y"},
        recorded("volume.exists", size="big"),
    )

    replay = manage(amqp_url, "replay_notifications", file, "--dry-run")

    assert replay.returncode == 1
    assert replay.stdout.startswith("3 notifications, 5 samples, 1 of types that nobody wants, 1 refused (dry run")
    assert (
        f"{file}:3: listener cinder.volume.size failed (ValueError: volume ($.payload.size) is not a number: 'big')"
        in replay.stderr
    )
    assert ours.samples() == []


def test_a_replay_says_where_to_go_on_when_our_broker_is_away(tmp_path: Path) -> None:
    file = said(tmp_path / "recorded.jsonl", *volumes(3))

    replay = manage("redis://127.0.0.1:9/0", "replay_notifications", file)

    assert replay.returncode == 1
    assert "go on with --skip 0" in replay.stderr
    assert "Traceback" not in replay.stderr


def test_a_consumer_without_brokers_to_read_says_so() -> None:
    started = manage("redis://127.0.0.1:9/0", "collect_notifications", METERING_NOTIFICATION_URLS="", METERING_ROLE="")

    assert started.returncode == 1
    assert "METERING_NOTIFICATION_URLS" in started.stderr
