"""The documentation's verifier and vectors, run as they stand there."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metering import ceilometer, event_messages, signing
from metering.bounds import parse_timestamp
from metering.events import Event, Trait, TraitType, read_value

DOCUMENT = (Path(__file__).parents[2] / "docs" / "message-format.md").read_text()
SECRETS = {"doc": b"a secret of the documentation"}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT, re.DOTALL)


def documented_verifier() -> Callable[[dict[str, Any], dict[str, bytes]], bool]:
    """The function ``verify`` of the document: nothing of ours runs in it."""
    names: dict[str, Any] = {}
    exec(blocks("python")[0], names)  # the document's own code, run to prove it
    verify: Callable[[dict[str, Any], dict[str, bytes]], bool] = names["verify"]
    return verify


VECTORS: list[dict[str, Any]] = json.loads(blocks("json")[0])


def test_there_are_ten_vectors() -> None:
    assert len(VECTORS) == 10


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector["why"]))
def test_the_documented_verifier_accepts_a_vector_and_nothing_else(vector: dict[str, Any]) -> None:
    verify, message = documented_verifier(), vector["message"]

    assert verify(message, SECRETS)
    for name in message:
        if name not in {"message_signature", "resource_metadata", "counter_volume"}:
            assert not verify({**message, name: f"{message[name]}x"}, SECRETS), name
    assert not verify({**message, "counter_volume": message["counter_volume"] / 2 + 1}, SECRETS)
    assert not verify({**message, "resource_metadata": {"other": 1}}, SECRETS)
    assert not verify(message, {"doc": b"another secret, as long as it"})


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector["why"]))
def test_we_sign_a_vector_as_the_document_says(vector: dict[str, Any]) -> None:
    m = vector["message"]
    digest = signing.metadata_digest(signing.canonical_metadata(m["resource_metadata"]))
    data = signing.sample_bytes(
        m["publisher_id"], m["source"], m["counter_name"], m["counter_type"], m["counter_unit"], m["counter_volume"],
        m["user_id"], m["project_id"], m["resource_id"], m["timestamp"], digest, m["message_id"],
    )  # fmt: skip

    assert signing.Keyring(SECRETS).signer(m["publisher_id"]).sign(data) == m["message_signature"]


@pytest.mark.parametrize("number", [1, 2])
def test_a_documented_header_verifies(number: int) -> None:
    header = json.loads(blocks("json")[number])

    assert ("signed_at" in header) == (number == 2)
    signing.Keyring(SECRETS).check(header["publisher"], header["signature"], signing.header_bytes(header))


def documented_ceilometer_vectors() -> list[tuple[dict[str, Any], str, str]]:
    rows = re.findall(r"^\| `(\{.*\})` \| (.*?) \| ([0-9a-f]{64}) \|$", DOCUMENT, re.MULTILINE)
    return [(json.loads(message), form, digits) for message, form, digits in rows]


@pytest.mark.parametrize(("message", "form", "digits"), documented_ceilometer_vectors())
def test_the_original_s_signature_is_made_exactly(message: dict[str, Any], form: str, digits: str) -> None:
    forms = {
        "both": ceilometer.VARIANTS,
        "from 8": (ceilometer.BYTES_IN_LISTS,),
        "2014.2 to 7": (ceilometer.TEXT_IN_LISTS,),
    }
    made = {variant: ceilometer.signature(message, "s3cret", variant) for variant in ceilometer.VARIANTS}

    assert [variant for variant in ceilometer.VARIANTS if made[variant] == digits] == list(forms[form])


def test_the_documented_batch_of_events_verifies_and_is_written_as_the_document_says() -> None:
    text = blocks("json")[3].strip()
    batch = event_messages.read(text)
    [row] = batch.rows

    signed = json.dumps(["nephometer-event/1", batch.publisher, *row[:5]], ensure_ascii=False, separators=(",", ":"))
    signer = signing.Keyring(SECRETS).signer(batch.publisher, batch.kid)
    assert signer.digest(signed.encode()) == row[5]
    event = Event(row[0], row[1], parse_timestamp(row[2]), tuple(_trait(*trait) for trait in row[3]), row[4])
    assert event_messages.pack([event], signer) == [text]


def _trait(name: str, type_: str, text: str) -> Trait:
    return Trait(name, TraitType(type_), read_value(TraitType(type_), text))
