"""The original's signature: taken only with its secrets, and no more than it is worth."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest
from hypothesis import given

from metering import ceilometer
from metering.ceilometer import BYTES_IN_LISTS, TEXT_IN_LISTS, VARIANTS
from metering.errors import BadSignature
from tests.metering.strategies import many, metadata

MESSAGE: dict[str, Any] = {
    "counter_name": "cpu",
    "counter_volume": 1.5,
    "project_id": None,
    "resource_metadata": {"flavor": {"vcpus": 2}, "tags": ["x", "y"], "on": True},
}


def signed(secret: str, variant: str = BYTES_IN_LISTS, message: dict[str, Any] = MESSAGE) -> dict[str, Any]:
    return {**message, "message_signature": ceilometer.signature(message, secret, variant)}


@pytest.mark.parametrize(
    ("message", "signed_bytes"),
    [
        ({}, b""),
        ({"b": 1, "a": "x"}, b"axb1"),
        ({"a": True, "b": None, "c": 1.0, "d": 1e-07, "e": 10**25}, b"aTruebNonec1.0d1e-07e10000000000000000000000000"),
        ({"a": {"c": 1, "b": {"d": 2}}}, b"a:b:d2a:c1"),
        ({"a": {}}, b""),
        ({"a": []}, b"a[]"),
        ({"a": {"message_signature": "inner"}, "message_signature": "outer"}, b"a:message_signatureinner"),
        ({"é": "ü"}, "éü".encode()),
        ({"a": [[1, 2.5], {"z": False, "b": None}]}, b"a[[1, 2.5], {b'b': None, b'z': False}]"),
        ({"a": ["é", "'", '"']}, rb"""a[b'\xc3\xa9', b"'", b'"']"""),
    ],
)
def test_the_signed_bytes_are_names_and_values_in_order(message: dict[str, Any], signed_bytes: bytes) -> None:
    assert ceilometer.signed_bytes(message) == signed_bytes
    by_hand = hmac.new(b"s3cret", signed_bytes, hashlib.sha256).hexdigest()
    assert ceilometer.signature(message, "s3cret") == by_hand


def test_texts_in_lists_are_left_as_they_are_in_the_older_form() -> None:
    assert ceilometer.signed_bytes({"a": ["x", {"b": ("y", 1)}]}, TEXT_IN_LISTS) == b"a['x', {'b': ['y', 1]}]"


@pytest.mark.parametrize("secrets", [(), ("",), ("", "")])
@pytest.mark.parametrize("signature", ["", None, ceilometer.signature(MESSAGE, "")])
def test_an_empty_secret_accepts_nothing(secrets: tuple[str, ...], signature: str | None) -> None:
    with pytest.raises(BadSignature, match="METERING_CEILOMETER_SECRETS is empty"):
        ceilometer.check({**MESSAGE, "message_signature": signature}, secrets)


@pytest.mark.parametrize("secret", ["first", "second", "drittes Geheimnis ü"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_any_of_several_secrets_may_have_signed_in_any_release_s_form(secret: str, variant: str) -> None:
    secrets = ("first", "second", "drittes Geheimnis ü")

    assert ceilometer.check(signed(secret, variant), secrets) == variant


@pytest.mark.parametrize(
    "message",
    [
        signed("other"),
        {**signed("s3cret"), "counter_volume": 2.5},
        {**signed("s3cret"), "added": "field"},
        {name: value for name, value in signed("s3cret").items() if name != "counter_name"},
        {**signed("s3cret"), "resource_metadata": {**MESSAGE["resource_metadata"], "on": False}},
        MESSAGE,
        {**MESSAGE, "message_signature": None},
        {**MESSAGE, "message_signature": ""},
        {**MESSAGE, "message_signature": 7},
        {**MESSAGE, "message_signature": ["x"]},
        {**MESSAGE, "message_signature": "é" * 64},
        {**MESSAGE, "message_signature": signed("s3cret")["message_signature"].upper()},
        {**signed("s3cret"), "lone": "\ud800"},
    ],
)
def test_what_no_secret_signed_is_refused(message: dict[str, Any]) -> None:
    with pytest.raises(BadSignature):
        ceilometer.check(message, ("s3cret",))


@many
@given(metadata)
def test_whatever_was_signed_verifies_and_a_changed_value_does_not(about: dict[str, Any]) -> None:
    message = {**MESSAGE, "resource_metadata": about}
    try:
        whole = signed("s3cret", message=message)
    except UnicodeEncodeError:  # a lone surrogate: no agent could have signed it
        with pytest.raises(BadSignature):
            ceilometer.check({**message, "message_signature": "a" * 64}, ("s3cret",))
        return

    assert ceilometer.check(whole, ("another", "s3cret")) in VARIANTS
    with pytest.raises(BadSignature):
        ceilometer.check({**whole, "counter_name": "cpu_util"}, ("another", "s3cret"))


def test_a_list_that_only_the_older_releases_could_sign_is_theirs() -> None:
    about = {**MESSAGE, "resource_metadata": {"tags": ["\ud800"]}}  # they sign its escape, the newer ones want UTF-8
    message = signed("s3cret", TEXT_IN_LISTS, about)

    assert ceilometer.check(message, ("another", "s3cret")) == TEXT_IN_LISTS
    with pytest.raises(BadSignature, match="no form that could have been signed"):
        ceilometer.check(message, ("another",))


def test_a_message_that_nests_too_deep_is_refused_and_hurts_nobody() -> None:
    deep: Any = "x"
    for _ in range(3_000):
        deep = [deep]

    with pytest.raises(BadSignature, match="no form that could have been signed"):
        ceilometer.check({"a": deep, "message_signature": "a" * 64}, ("s3cret",))
