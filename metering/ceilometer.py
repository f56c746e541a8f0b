"""The original's signature, exactly, in each form that its releases wrote.

The form is ambiguous (``{"ab": "c"}`` and ``{"a": "bc"}`` sign alike) and its secret is shared by all agents,
so it is accepted only when METERING_CEILOMETER_SECRETS says so. Source: the behaviour of Ceilometer's releases
from 2014.2 on, told in docs/message-format.md.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from metering.errors import BadSignature

SCHEME = "ceilometer"
# Ceilometer 8 and later on Python 3 turn texts inside lists into bytes before they are made text again.
BYTES_IN_LISTS = "bytes-in-lists"
TEXT_IN_LISTS = "text-in-lists"  # 2014.2 to 7
VARIANTS = (BYTES_IN_LISTS, TEXT_IN_LISTS)


def _in_list(value: Any, text: Callable[[str], Any]) -> Any:
    """An element of a list, as the releases rebuilt it: keys sorted, tuples made lists."""
    if isinstance(value, Mapping):
        return {_in_list(key, text): _in_list(value[key], text) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [_in_list(item, text) for item in value]
    return text(value) if isinstance(value, str) else value


def _pairs(message: Mapping[str, Any], text: Callable[[str], Any], outer: str = "") -> Iterator[str]:
    for key in sorted(message):
        value, name = message[key], f"{outer}{key}"
        if isinstance(value, Mapping):
            yield from _pairs(value, text, f"{name}:")
        elif name != "message_signature":
            yield name
            yield str(_in_list(value, text)) if isinstance(value, list | tuple) else str(value)


def signed_bytes(message: Mapping[str, Any], variant: str = BYTES_IN_LISTS) -> bytes:
    """Names and values in sorted order, as text, with nothing between them."""
    text: Callable[[str], Any] = str.encode if variant == BYTES_IN_LISTS else str
    return "".join(_pairs(message, text)).encode()


def signature(message: Mapping[str, Any], secret: str, variant: str = BYTES_IN_LISTS) -> str:
    """The hex HMAC-SHA256 that Ceilometer's agents put into ``message_signature``."""
    return _digest(signed_bytes(message, variant), secret)


def _digest(signed: bytes, secret: str) -> str:
    return hmac.digest(secret.encode(), signed, "sha256").hex()


def check(message: Mapping[str, Any], secrets: tuple[str, ...]) -> str:
    """The variant in which one of the secrets signed the message.

    Raises `BadSignature` when none did, also where no secret is configured: an empty one accepts nothing.
    """
    secrets = tuple(filter(None, secrets))
    if not secrets:
        raise BadSignature("messages signed the original's way are not accepted (METERING_CEILOMETER_SECRETS is empty)")
    given = message.get("message_signature")
    if not isinstance(given, str) or not given.isascii():
        raise BadSignature("there is no signature")
    fault: Exception | None = None
    for variant in VARIANTS:
        try:
            signed = signed_bytes(message, variant)
            if any(hmac.compare_digest(_digest(signed, secret), given) for secret in secrets):
                return variant
        except (TypeError, ValueError, RecursionError) as exc:  # keys that do not sort, texts without UTF-8 form
            fault = exc  # of the other form it may be all the same
    if fault is not None:
        raise BadSignature(f"the message has no form that could have been signed: {fault}") from fault
    raise BadSignature("no secret of METERING_CEILOMETER_SECRETS made this signature")
