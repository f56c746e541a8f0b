"""What was signed of one stored sample, by whom, and whether it verifies now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from metering.environment import Environment
from metering.errors import MeteringError
from metering.models import Sample
from metering.signing import SCHEME, Keyring
from metering.store import reading

# What a stored text that somebody changed may raise.
_CHANGED = (MeteringError, ValueError, TypeError, LookupError, AttributeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Verification:
    """A sample's signature, judged by the secrets that this process has."""

    fault: str | None  # why it does not verify; None: it does
    scheme: str
    kid: str | None  # which master secret; a shared secret has no name
    publisher: str
    recorded_at: datetime
    message: dict[str, Any] | None  # as it was signed, with its signature; None: what is stored was changed
    signed: str | None  # the text that the signature is made over
    as_it_came: bool  # whether the message's own text is kept, because packing its row again would not give it


def verify(sample: Sample, settings: Environment) -> Verification:
    """The verification of a sample, which has series, metadata and signer at hand. Makes one query."""
    original = reading.originals([sample]).get(sample.pk)
    fault = reading.fault(sample, original, Keyring(settings.secrets), settings.ceilometer_secrets)
    message = signed = None
    try:
        message = reading.message(sample, original)
        signed = reading.signed_bytes(sample, original).decode()
    except _CHANGED as exc:
        fault = fault or f"what is stored is no metering message: {exc}"
    signer = sample.signer
    scheme = signer.scheme
    kid = signer.kid if scheme == SCHEME else None
    return Verification(fault, scheme, kid, signer.publisher, sample.recorded_at, message, signed, original is not None)
