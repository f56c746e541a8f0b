"""Samples that a client hands in: checked whole, completed, and stored by either way exactly once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from kombu import Connection

from metering import topology
from metering.models import Quarantine, RollupState, Sample, SampleOriginal
from metering.sifting import Rules, Sifter
from metering.signing import Keyring
from metering.store import keys, partitions, reading
from metering.tasks import storage
from tests.api import asking
from tests.api.asking import Asker
from tests.services import RabbitMQ

pytestmark = pytest.mark.django_db

NO_NUMBERS: list[Any] = ["abc", "", "nan", "inf", "1_000", "1e999", "٣", True, [], {}]
NO_OBJECTS: list[Any] = ["text", [], 1, True]
NO_TIMES: list[Any] = ["yesterday", "", 5, "2026-13-01T00:00:00", "1969-12-31T23:59:59", "0001-01-01T00:00:00+14:00"]
NOW_UTC = datetime.now(UTC).replace(microsecond=0)
NOW = NOW_UTC.replace(tzinfo=None)
TIME = NOW.isoformat()
APPLES: dict[str, Any] = {
    "counter_name": "apples",
    "counter_type": "gauge",
    "counter_unit": "instance",
    "counter_volume": 1,
    "resource_id": "bd9431c1-8d69-4ad3-803a-8d4a6b89fd36",
    "resource_metadata": {"name1": "value1", "name2": "value2"},
}


@pytest.fixture(autouse=True)
def _new_ledger() -> None:
    """What another test's transaction took with it is not remembered."""
    keys.forget()
    partitions.forget()


@pytest.fixture
def samples_in(rabbitmq: RabbitMQ) -> Iterator[Any]:
    """The storage workers' queue, with nothing in it."""
    with Connection(rabbitmq.url) as broker:
        queue = topology.SAMPLES(broker.default_channel)
        queue.declare()
        queue.purge()
        yield queue
        queue.delete()


def post(asker: Asker, *samples: Any, path: str = "/v2/meters/apples", key: str | None = None) -> Any:
    headers = asker.headers | ({} if key is None else {"Idempotency-Key": key})
    return asker.client.post(path, json.dumps(list(samples)), content_type="application/json", headers=headers)


def stored(asker: Asker, *samples: Any, **told: Any) -> list[dict[str, Any]]:
    """What a post is answered with that goes straight to the store."""
    response = post(asker, *samples, path="/v2/meters/apples?direct=True", **told)
    assert response.status_code == 201, response.content
    answer: list[dict[str, Any]] = response.json()
    return answer


def refused(asker: Asker, *samples: Any) -> str:
    status, text = asking.refusal(post(asker, *samples, path="/v2/meters/apples?direct=1"))
    assert status == 400
    assert not Sample.objects.exists()
    return text


def work(samples_in: Any) -> int:
    """Do what a storage worker does, until there is nothing more to do; how many batches there were."""
    done = 0
    while (message := samples_in.get(no_ack=True)) is not None:
        [[text], *_] = json.loads(message.body)
        storage.record(text, Sifter(Rules.of(settings.METERING)))
        done += 1
    return done


def test_a_posted_sample_is_answered_as_completed_and_found() -> None:
    asker = asking.of("red")

    [answer] = stored(asker, APPLES)

    assert answer == {
        **APPLES,
        "user_id": "user of red",
        "project_id": "red",
        "source": "red:openstack",
        "timestamp": answer["timestamp"],
        "message_id": answer["message_id"],
    }
    [found] = asker.ask("/v2/meters/apples")
    assert {name: value for name, value in found.items() if name != "recorded_at"} == answer
    sample = Sample.objects.select_related("signer", "series", "metadata").get()
    assert sample.signer.publisher == "api/test-host"
    assert reading.fault(sample, None, Keyring(settings.METERING.secrets), ()) is None
    assert not SampleOriginal.objects.exists()


def test_a_posted_sample_goes_to_a_storage_worker_and_is_the_same_there(samples_in: Any) -> None:
    asker = asking.of("red")
    response = post(asker, {**APPLES, "timestamp": TIME}, {**APPLES, "counter_volume": "2.5e1"})
    assert response.status_code == 201
    assert not Sample.objects.exists()

    assert work(samples_in) == 1

    shown = asker.ask("/v2/meters/apples")
    assert sorted(row["message_id"] for row in shown) == sorted(row["message_id"] for row in response.json())
    assert sorted(row["counter_volume"] for row in shown) == [1.0, 25.0]
    assert response.json()[0]["timestamp"] == TIME
    assert not Quarantine.objects.exists()


def test_a_broker_that_does_not_take_samples_is_worth_another_try(rabbitmq: RabbitMQ) -> None:
    with Connection(rabbitmq.url) as broker:
        topology.SAMPLES(broker.default_channel).delete()
    response = post(asking.of("red"), APPLES)
    status, text = asking.refusal(response)
    assert (status, response["Retry-After"]) == (503, "5")
    assert text.startswith("The broker did not confirm the samples")
    assert not Sample.objects.exists()


@pytest.mark.parametrize("direct", [True, False])
def test_a_post_repeated_with_its_key_is_the_same_samples(samples_in: Any, direct: bool) -> None:
    asker, other = asking.of("red"), asking.of("blue")
    path = f"/v2/meters/apples?direct={direct}"
    first, again = (post(asker, APPLES, APPLES, path=path, key="k").json() for _ in range(2))
    assert first == again
    post(other, APPLES, path=path, key="k")  # his key is another
    post(asker, APPLES, path=path)  # and so is none
    post(asker, APPLES, path=path, key="l")
    work(samples_in)
    assert len(asking.admin().ask("/v2/samples")) == 5
    assert not Quarantine.objects.exists()


def test_a_key_cannot_be_used_for_something_else(samples_in: Any) -> None:
    asker = asking.of("red")
    stored(asker, {**APPLES, "timestamp": TIME}, key="k")
    changes: list[dict[str, Any]] = [{"counter_volume": 2}, {"resource_metadata": {}}]
    for changed in changes:
        for direct in ("1", "0"):
            sample = {**APPLES, "timestamp": TIME, **changed}
            refusal = asking.refusal(post(asker, sample, path=f"/v2/meters/apples?direct={direct}", key="k"))
            assert refusal == (400, "The samples are refused: differs from what is stored")
    assert (samples_in.get(no_ack=True), Quarantine.objects.count(), Sample.objects.count()) == (None, 0, 1)
    for key in ("", "x" * 256, "a\tb"):
        assert asking.refusal(post(asker, APPLES, key=key))[0] == 400


def test_a_post_of_more_than_a_batch_holds_is_stored_whole_and_at_once() -> None:
    asker = asking.of("red")
    many = [{**APPLES, "resource_id": f"r-{number}", "resource_metadata": {}} for number in range(1_001)]
    response = post(asker, *many)
    assert response.status_code == 201
    assert [row["resource_id"] for row in response.json()] == [row["resource_id"] for row in many]
    assert Sample.objects.count() == 1_001


def test_an_admin_posts_for_several_projects_and_nobody_else_does() -> None:
    mine = {**APPLES, "project_id": "red", "source": "mine"}
    answer = stored(asking.admin(), mine, {**APPLES, "project_id": "blue"}, APPLES)
    assert [row["source"] for row in answer] == ["red:mine", "blue:openstack", "None:openstack"]
    ids = {str(sample.message_id): sample.series.project_id for sample in Sample.objects.select_related("series")}
    assert [ids[row["message_id"]] for row in answer] == ["red", "blue", None]


def test_a_project_that_is_not_the_callers_is_refused() -> None:
    assert refused(asking.of("red"), APPLES, {**APPLES, "project_id": "blue"}) == (
        "Invalid input for field/attribute project_id. Value: 'blue'. can not post samples to other projects"
    )


def test_dotted_names_of_metadata_are_nested_again_and_shown_as_they_came() -> None:
    flat = {"a.b": "1", "a.c.d": 2, "e": {"f": None}, "e.g": True, "h": 1, "h.i": 2, "e.f": 3}
    [answer] = stored(asking.of("red"), {**APPLES, "resource_metadata": flat})
    assert answer["resource_metadata"] == flat
    assert json.loads(Sample.objects.get().metadata.body) == {
        "a": {"b": "1", "c": {"d": 2}},
        "e": {"f": None, "g": True},
        "e.f": 3,  # where something is already
        "h": 1,
        "h.i": 2,
    }
    assert len(asking.of("red").ask("/v2/samples", ("metadata.a.c.d", "2"))) == 1


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        *[
            ({name: value}, f"Invalid input for field/attribute {name}. Value: 'None'. Mandatory field missing.")
            for name in ("counter_name", "counter_type", "counter_unit", "counter_volume", "resource_id")
            for value in (..., None)
        ],
        ({"counter_name": "pears"}, "Invalid input for field/attribute counter_name. Value: 'pears'. should be apples"),
        (
            {"message_id": "x"},
            "Invalid input for field/attribute message_id. Value: 'x'. The message_id must not be set",
        ),
        (
            {"counter_type": "INVALID_TYPE"},
            "Invalid input for field/attribute counter_type. Value: 'INVALID_TYPE'. "
            "The counter type must be: gauge, delta, cumulative",
        ),
        ({"counter_type": ["gauge"]}, "Invalid input for field/attribute counter_type."),
        ({"counter_unit": 5}, "Invalid input for field/attribute counter_unit. Value: '5'. counter_unit must be text"),
        ({"resource_id": ""}, "Invalid input for field/attribute resource_id. Value: ''. resource_id is empty"),
        ({"resource_id": "x" * 1_025}, "Invalid input for field/attribute resource_id. Value: 'xxx"),
        (
            {"resource_id": "a\x00b"},
            "Invalid input for field/attribute resource_id. Value: 'a\\x00b'. resource_id holds",
        ),
        ({"user_id": 7}, "Invalid input for field/attribute user_id. Value: '7'."),
        ({"source": "s" * 1_024}, "Invalid input for field/attribute source."),
        *[({"counter_volume": value}, "Invalid input for field/attribute counter_volume.") for value in NO_NUMBERS],
        *[({"timestamp": value}, "Invalid input for field/attribute samples.") for value in NO_TIMES],
        *[({"resource_metadata": value}, "Invalid input for field/attribute samples.") for value in NO_OBJECTS],
        ({"resource_metadata": {"x": "y" * 65_536}}, "Invalid input for field/attribute resource_metadata."),
        ({"resource_metadata": {".".join("a" * 40): 1}}, "Invalid input for field/attribute resource_metadata."),
        ({"timestamp": (NOW + timedelta(days=1)).isoformat()}, "The samples are refused: timestamp"),
        ({"timestamp": (NOW - timedelta(days=40)).isoformat()}, "The samples are refused: timestamp"),
        ({"wrong": 1}, 'Unknown argument: "wrong"'),
    ],
)
def test_what_is_wrong_with_one_sample_refuses_all(changed: dict[str, Any], text: str) -> None:
    sample = {name: value for name, value in {**APPLES, **changed}.items() if value is not ...}
    body = json.dumps([APPLES, sample])
    asker = asking.of("red")
    for direct in ("yes", "no"):  # no broker is asked
        path = f"/v2/meters/apples?direct={direct}"
        response = asker.client.post(path, body, content_type="application/json", headers=asker.headers)
        status, said = asking.refusal(response)
        assert (status, said[: len(text)]) == (400, text)
    assert not Sample.objects.exists()


@pytest.mark.parametrize(
    ("body", "kind", "status", "text"),
    [
        ("", "application/json", 400, "Samples should be included in request body"),
        ("null", "application/json", 400, "Samples should be included in request body"),
        ("[]", "application/json", 400, "Samples should be included in request body"),
        ('{"a": 1}', "application/json", 400, "Invalid input for field/attribute samples."),
        ('"x"', "application/json", 400, "Invalid input for field/attribute samples."),
        ("[1]", "application/json", 400, "Invalid input for field/attribute samples."),
        ('[{"counter_name"', "application/json", 400, "The body of the request is not JSON"),
        ("[{}]", "text/plain", 415, "Unsupported media type"),
        ("[{}]", "application/x-www-form-urlencoded", 415, "Unsupported media type"),
    ],
)
def test_a_body_that_holds_no_samples_is_refused(body: str, kind: str, status: int, text: str) -> None:
    asker = asking.of("red")
    response = asker.client.post("/v2/meters/apples/", body, content_type=kind, headers=asker.headers)
    got, said = asking.refusal(response)
    assert (got, said[: len(text)]) == (status, text)


@pytest.mark.parametrize(
    ("query", "status"), [("direct=maybe", 503), ("limit=1", 400), ("direct=1&direct=1", 400), ("q.field=x", 400)]
)
def test_a_post_takes_one_parameter(rabbitmq: RabbitMQ, query: str, status: int) -> None:
    """What is no yes is a no, and the bus, which nobody reads here, is asked."""
    with Connection(rabbitmq.url) as broker:
        topology.SAMPLES(broker.default_channel).delete()
    assert post(asking.of("red"), APPLES, path=f"/v2/meters/apples?{query}").status_code == status


def test_who_posts_must_be_known() -> None:
    assert post(asking.nobody(), APPLES).status_code == 401


@pytest.mark.parametrize("direct", ["1", "0"])
def test_a_sample_of_a_day_that_has_expired_is_refused(direct: str) -> None:
    RollupState.objects.create(id=1, rolled=NOW_UTC, closing=NOW_UTC, raw_from=NOW_UTC - timedelta(days=2))
    old = {**APPLES, "timestamp": (NOW - timedelta(days=3)).isoformat()}
    response = post(asking.of("red"), APPLES, old, path=f"/v2/meters/apples?direct={direct}")
    status, text = asking.refusal(response)
    assert (status, text[:38]) == (400, "The samples are refused: samples befor")
    assert (Sample.objects.count(), Quarantine.objects.count()) == (0, 0)
