"""Keys and signed bytes, against what the standard libraries make of the document by hand."""

from __future__ import annotations

import hashlib
import hmac
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.errors import BadSignature, MalformedMessage
from metering.signing import (
    DEEPEST_METADATA,
    MOST_METADATA,
    Keyring,
    Signer,
    canonical,
    canonical_metadata,
    derive,
    header_bytes,
    metadata_digest,
    sample_bytes,
    split,
)
from tests.metering.strategies import empty_texts, json_values, many, metadata, texts, volumes

NEW, OLD = b"the newer master secret", b"the older master secret"
DATA = b"what is signed"


def hkdf(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869 with SHA-256, as its section 2 says it."""
    extracted = hmac.new(salt or bytes(hashlib.sha256().digest_size), secret, hashlib.sha256).digest()
    block, made = b"", b""
    for number in range(1, -(-length // 32) + 1):
        block = hmac.new(extracted, block + info + bytes([number]), hashlib.sha256).digest()
        made += block
    return made[:length]


def test_the_computation_by_hand_is_the_standard_s() -> None:
    """RFC 5869, appendix A: test cases 1 and 3."""
    secret = bytes([0x0B] * 22)

    first = hkdf(secret, bytes(range(13)), bytes(range(0xF0, 0xFA)), 42)
    assert first.hex().startswith("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf")
    third = hkdf(secret, b"", b"", 42)
    assert third.hex() == "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"


@many
@given(st.binary(min_size=1, max_size=200), texts)
def test_a_publisher_s_key_is_hkdf_of_the_master_secret(secret: bytes, publisher: str) -> None:
    assert derive(secret, publisher) == hkdf(secret, b"", b"nephometer/v1/" + publisher.encode(), 32)


def test_the_key_of_one_publisher_verifies_nobody_else_s() -> None:
    keyring = Keyring({"k1": NEW})
    publishers = ["compute/host-1", "compute/host-10", "compute/host-2", "central/host-1", "api/host-1", "compute/"]
    signatures = {name: keyring.signer(name).sign(DATA) for name in publishers}

    for publisher in publishers:
        for signer, signature in signatures.items():
            if signer == publisher:
                assert keyring.check(publisher, signature, DATA).publisher == publisher
            else:
                with pytest.raises(BadSignature, match="does not fit"):
                    keyring.check(publisher, signature, DATA)
    assert len({keyring.signer(name).key for name in publishers}) == len(publishers)


def test_the_first_secret_signs_and_all_verify() -> None:
    before, after = Keyring({"k1": OLD}), Keyring({"k2": NEW, "k1": OLD})
    signature = before.signer("compute/host-1").sign(DATA)

    assert after.signer("compute/host-1").kid == "k2"
    assert after.check("compute/host-1", signature, DATA).kid == "k1"
    with pytest.raises(BadSignature, match="no secret 'k2'"):
        before.check("compute/host-1", after.signer("compute/host-1").sign(DATA), DATA)


def test_a_kid_that_now_names_another_secret_verifies_nothing_of_the_old_one() -> None:
    signature = Keyring({"k1": OLD}).signer("compute/host-1").sign(DATA)

    with pytest.raises(BadSignature, match="does not fit"):
        Keyring({"k1": NEW}).check("compute/host-1", signature, DATA)


def test_a_keyring_of_nothing_signs_and_verifies_nothing() -> None:
    with pytest.raises(BadSignature):
        Keyring({}).signer("compute/host-1")
    with pytest.raises(BadSignature):
        Keyring({}).check("compute/host-1", Signer("compute/host-1", "k1", bytes(32)).sign(DATA), DATA)


def test_a_flood_of_made_up_publishers_does_not_stay_in_memory() -> None:
    keyring = Keyring({"k1": NEW})
    signature = keyring.signer("compute/host-1").sign(DATA)
    for number in range(10_050):
        keyring.signer(f"compute/made-up-{number}")

    assert len(keyring._signers) <= 10_001
    assert keyring.check("compute/host-1", signature, DATA)


def test_a_key_is_not_shown() -> None:
    signer = Keyring({"k1": NEW}).signer("compute/host-1")

    assert signer.key.hex() not in repr(signer)
    assert str(signer.key) not in repr(signer)


@pytest.mark.parametrize(
    "signature",
    [None, "", 1, [], {}, b"n1:k1:" + b"a" * 64, "n1:k1", "n1:k1:" + "a" * 63, "n1:k1:" + "A" * 64, "n2:k1:" + "a" * 64,
     "n1::" + "a" * 64, "n1:k 1:" + "a" * 64, "n1:k1:" + "a" * 64 + "\n", " n1:k1:" + "a" * 64,
     "n1:" + "k" * 33 + ":" + "a" * 64,
     "n1:k1:" + "é" * 64, "a" * 64],
)  # fmt: skip
def test_what_is_no_signature_is_refused_before_any_key_is_looked_for(signature: object) -> None:
    with pytest.raises(BadSignature):
        split(signature)
    with pytest.raises(BadSignature):
        Keyring({"k1": NEW}).check("compute/host-1", signature, DATA)


@many
@given(*[texts] * 4, empty_texts, volumes, st.none() | empty_texts, st.none() | empty_texts, texts, texts, texts)
def test_the_signed_bytes_are_the_documented_json(
    publisher: str, source: str, name: str, type_: str, unit: str, volume: float, user: str | None,
    project: str | None, resource: str, timestamp: str, identity: str,
) -> None:  # fmt: skip
    made = sample_bytes(
        publisher, source, name, type_, unit, volume, user, project, resource, timestamp, "ab", identity
    )

    fields = [
        "nephometer-sample/1", publisher, source, name, type_, unit, struct.pack(">d", volume).hex(), user, project,
        resource, timestamp, "ab", identity,
    ]  # fmt: skip
    assert made == json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    "character", [chr(code) for code in (*range(0x20), 0x22, 0x5C, 0x7F, 0x80, 0x2028, 0xFFFF, 0x10FFFF)]
)
def test_every_character_is_written_as_the_document_says(character: str) -> None:
    made = sample_bytes("p", "s", "n", "t", "u", 1.0, None, None, character, "t", "m", "i")

    short = {"\b": r"\b", "\t": r"\t", "\n": r"\n", "\f": r"\f", "\r": r"\r", '"': r"\"", "\\": r"\\"}
    written = short.get(character) or (f"\\u{ord(character):04x}" if character < " " else character)
    assert f',null,null,"{written}","t","m","i"]'.encode() in made


@pytest.mark.parametrize("place", range(12))
def test_a_text_without_utf_8_form_is_refused(place: int) -> None:
    fields: list[Any] = ["x"] * 12
    fields[5] = 1.0
    if place != 5:
        fields[place] = "a\ud800"
        with pytest.raises(MalformedMessage):
            sample_bytes(*fields)


def test_fields_cannot_be_shifted_into_one_another() -> None:
    one = sample_bytes("p", "s", "ab", "c", "u", 1.0, None, "", "r", "t", "m", "i")
    two = sample_bytes("p", "s", "a", "bc", "u", 1.0, None, "", "r", "t", "m", "i")
    three = sample_bytes("p", "s", "ab", "c", "u", 1.0, "", None, "r", "t", "m", "i")

    assert len({one, two, three}) == 3


@many
@given(metadata)
def test_canonical_metadata_is_ascii_sorted_and_says_the_same(about: dict[str, Any]) -> None:
    text = canonical_metadata(about)

    assert text.isascii()
    assert json.loads(text) == about
    assert canonical_metadata(json.loads(text)) == text
    assert canonical_metadata(dict(reversed(about.items()))) == text
    assert metadata_digest(text) == hashlib.sha256(text.encode("ascii")).hexdigest()


@many
@given(json_values, json_values)
def test_two_values_have_one_text_only_when_they_are_the_same(one: Any, two: Any) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(two, sort_keys=True)

    assert (canonical(one) == canonical(two)) == same


def test_one_and_one_point_zero_and_true_differ_in_metadata() -> None:
    assert len({canonical_metadata({"a": value}) for value in (1, 1.0, True, "1", None, [1], {"1": 1})}) == 7


@pytest.mark.parametrize(
    "value",
    [
        {"a": float("nan")},
        {"a": float("inf")},
        {"a": b"x"},
        {"a": {1, 2}},
        {"a": object()},
        {"a": 1j},
        {(1, 2): 1},
        {1: "a", "1": "b"},
        None,
        "text",
        [],
    ],
)
def test_what_is_no_json_object_is_refused(value: Any) -> None:
    with pytest.raises(MalformedMessage):
        canonical_metadata(value)


@pytest.mark.parametrize("value", [{1: "a", 9: "b", 10: "c"}, {"a": [{None: 1}]}, {True: 1}, {1.5: 1}])
def test_a_key_that_is_no_text_is_refused_for_it_would_sort_elsewhere_once_it_is_one(value: dict[Any, Any]) -> None:
    with pytest.raises(MalformedMessage, match="key"):
        canonical_metadata(value)


def nested(depth: int) -> dict[str, Any]:
    value: Any = 1
    for level in range(depth):
        value = {"a": value} if level % 2 else [value]
    return {"a": value}


@pytest.mark.parametrize("depth", [1, DEEPEST_METADATA - 1])
def test_metadata_may_nest(depth: int) -> None:
    assert canonical_metadata(nested(depth))


@pytest.mark.parametrize("depth", [DEEPEST_METADATA, 900, 100_000])
def test_metadata_that_nests_too_deep_is_refused(depth: int) -> None:
    with pytest.raises(MalformedMessage):
        canonical_metadata(nested(depth))


def test_metadata_up_to_its_bound_is_taken_and_beyond_it_refused() -> None:
    room = MOST_METADATA - len('{"a":""}')

    assert len(canonical_metadata({"a": "x" * room})) == MOST_METADATA
    with pytest.raises(MalformedMessage, match="longer than 65536 bytes"):
        canonical_metadata({"a": "x" * (room + 1)})


def test_a_header_s_signature_is_over_all_of_it_but_itself() -> None:
    header = {"b": 1, "a": None, "signature": "n1:x"}

    assert header_bytes(header) == b'nephometer-batch/1\n{"a":null,"b":1}'
    assert header_bytes({**header, "signature": "other"}) == header_bytes(header)
