"""A sample's signature, shown to whoever may see the sample."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from django.conf import settings

from metering.models import ResourceMetadata, Sample, SampleOriginal
from tests.api import asking
from tests.factories import CEILOMETER_SECRET, KEYS, reading, store, store_foreign

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _the_keys_of_the_factories(monkeypatch: pytest.MonkeyPatch) -> None:
    told = dataclasses.replace(
        settings.METERING, secrets={"k1": b"a secret of the tests"}, ceilometer_secrets=(CEILOMETER_SECRET,)
    )
    monkeypatch.setattr(settings, "METERING", told)


def verification(message_id: str) -> dict[str, Any]:
    shown: dict[str, Any] = asking.of("red").ask(f"/v2/samples/{message_id}/verification")
    return shown


def test_a_sample_shows_what_was_signed_and_by_whom() -> None:
    store(reading(1.5, metadata={"a": {"b": 10**30}}))
    sample = Sample.objects.get()

    shown = verification(str(sample.message_id))

    message, signed = shown.pop("message"), shown.pop("signed")
    assert shown == {
        "id": str(sample.message_id),
        "verifies": True,
        "reason": None,
        "scheme": "n1",
        "kid": "k1",
        "publisher": "compute/node-1",
        "recorded_at": sample.recorded_at.replace(tzinfo=None).isoformat(),
        "as_it_came": False,
    }
    assert message["resource_metadata"] == {"a": {"b": 10**30}}
    assert (message["timestamp"], message["counter_volume"]) == ("2026-11-23T12:00:00.000000+00:00", 1.5)
    signer = KEYS.signer("compute/node-1")
    assert message["message_signature"] == signer.sign(signed.encode())
    assert json.loads(signed)[-1] == str(sample.message_id)


def test_a_sample_of_ceilometers_shows_it_as_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    store_foreign("an id of old", reading(7))
    shown = verification("an id of old")
    assert (shown["verifies"], shown["kid"], shown["as_it_came"]) == (True, None, True)
    assert shown["scheme"].startswith("ceilometer/")
    assert shown["message"]["timestamp"] == "2026-11-23T12:00:00"
    assert shown["signed"].startswith("counter_namecpu")
    monkeypatch.setattr(settings, "METERING", dataclasses.replace(settings.METERING, ceilometer_secrets=()))
    assert "METERING_CEILOMETER_SECRETS is empty" in verification("an id of old")["reason"]


def test_a_sample_that_was_changed_says_so() -> None:
    store(reading())
    message_id = str(Sample.objects.get().message_id)
    unfit = "the signature does not fit what is stored"
    Sample.objects.update(volume=2)
    assert (verification(message_id)["verifies"], verification(message_id)["reason"]) == (False, unfit)
    ResourceMetadata.objects.update(body="{")
    shown = verification(message_id)
    assert (shown["verifies"], shown["reason"]) == (False, unfit)
    assert shown["message"] is None


def test_a_kept_text_that_was_changed_says_so() -> None:
    store_foreign("an id of old", reading(7))
    SampleOriginal.objects.update(body='{"message_id": "an id of old"}')
    assert verification("an id of old")["verifies"] is False


def test_a_sample_that_is_not_there_or_another_projects_has_none() -> None:
    store(reading())
    message_id = str(Sample.objects.get().message_id)
    for asker, name in ((asking.of("blue"), message_id), (asking.of("red"), "none")):
        assert asker.refusal(f"/v2/samples/{name}/verification") == (404, f"Sample {name} Not Found")
    assert asking.of("red").refusal(f"/v2/samples/{message_id}/verification", limit=1)[0] == 400
