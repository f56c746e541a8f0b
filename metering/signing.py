"""Keys and signatures: who signed a sample, and whether it still is what was signed. Pure Python.

The form is told in docs/message-format.md, with vectors; it is called ``canonical`` in the settings.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from metering.errors import BadSignature, MalformedMessage

SAMPLE_FORMAT = "nephometer-sample/1"
BATCH_FORMAT = "nephometer-batch/1"
SCHEME = "n1"
MOST_METADATA = 64 << 10  # bytes of the canonical text
DEEPEST_METADATA = 32

_BLOCK = 64  # bytes that SHA-256 takes at a time
_SIGNATURE = re.compile(r"n1:([A-Za-z0-9_-]{1,32}):([0-9a-f]{64})")


def derive(secret: bytes, publisher: str) -> bytes:
    """A publisher's key: HKDF-SHA256 (RFC 5869), no salt, 32 bytes, info ``nephometer/v1/`` + publisher."""
    extracted = hmac.digest(bytes(32), secret, "sha256")
    return hmac.digest(extracted, b"nephometer/v1/" + publisher.encode() + b"\x01", "sha256")


@dataclass(frozen=True, slots=True)
class Signer:
    """One publisher's right to sign. ``key`` is derived, so it signs as nobody else."""

    publisher: str  # <role>/<name>
    kid: str
    key: bytes = field(repr=False)
    _inner: Any = field(init=False, repr=False, compare=False)
    _outer: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Hash the key once: the standard library's `hmac` does so for each text, and takes three times as long."""
        key = self.key if len(self.key) <= _BLOCK else hashlib.sha256(self.key).digest()
        for name, pad in (("_inner", 0x36), ("_outer", 0x5C)):
            object.__setattr__(self, name, hashlib.sha256(bytes(byte ^ pad for byte in key.ljust(_BLOCK, b"\0"))))

    def digest(self, data: bytes) -> str:
        """The 64 hex digits of the HMAC-SHA256 (RFC 2104) of ``data``."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(data)
        outer.update(inner.digest())
        digits: str = outer.hexdigest()
        return digits

    def digests(self, texts: Iterable[bytes]) -> list[bytes]:
        """The HMAC-SHA256 of each, as its 32 bytes."""
        found = []
        copy_inner, copy_outer = self._inner.copy, self._outer.copy
        for text in texts:
            inner, outer = copy_inner(), copy_outer()
            inner.update(text)
            outer.update(inner.digest())
            found.append(outer.digest())
        return found

    def sign(self, data: bytes) -> str:
        """The signature as it is written: ``n1:<kid>:<hex>``."""
        return f"{SCHEME}:{self.kid}:{self.digest(data)}"


class Keyring:
    """Every key that the master secrets give: the first secret signs, all verify."""

    def __init__(self, secrets: Mapping[str, bytes]) -> None:
        self._secrets = dict(secrets)
        self._signers: dict[tuple[str, str], Signer] = {}

    def signer(self, publisher: str, kid: str | None = None) -> Signer:
        """The publisher's key by this master secret (by the first when ``kid`` is None).

        Raises `BadSignature` for a ``kid`` that is not in METERING_SECRETS.
        """
        if kid is None:
            kid = next(iter(self._secrets), "")
        signer = self._signers.get((publisher, kid))
        if signer is None:
            if kid not in self._secrets:
                raise BadSignature(f"no secret {kid!r} in METERING_SECRETS")
            if len(self._signers) > 10_000:  # a flood of made-up publishers must not fill the memory
                self._signers.clear()
            signer = self._signers[publisher, kid] = Signer(publisher, kid, derive(self._secrets[kid], publisher))
        return signer

    def check(self, publisher: str, signature: object, data: bytes) -> Signer:
        """Whose signature of ``data`` this is. Raises `BadSignature` with the reason."""
        kid, digits = split(signature)
        signer = self.signer(publisher, kid)
        if not hmac.compare_digest(signer.digest(data), digits):
            raise BadSignature(f"the signature does not fit what {publisher} is said to have sent")
        return signer


def split(signature: object) -> tuple[str, str]:
    """The kid and the hex digits of a written signature. Raises `BadSignature`."""
    found = _SIGNATURE.fullmatch(signature) if isinstance(signature, str) else None
    if found is None:
        raise BadSignature("there is no signature" if not signature else "the signature is not of the form n1:kid:hex")
    return found[1], found[2]


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
_PLAIN = frozenset({str, int, float, bool, type(None)})


def canonical(value: object) -> str:
    """The one JSON text of a value: keys sorted, no spaces, ASCII only, no NaN.

    Raises `MalformedMessage` for what JSON cannot say, or nests too deep to be read safely.
    """
    try:
        return _CANONICAL.encode(value)
    except (TypeError, ValueError, RecursionError) as exc:
        raise MalformedMessage(f"not plain JSON: {exc}") from exc


def canonical_metadata(metadata: Mapping[str, Any]) -> str:
    """The canonical text of a sample's metadata. Raises `MalformedMessage` when it is out of bounds."""
    if not isinstance(metadata, Mapping):
        raise MalformedMessage(f"resource_metadata must be an object, not {type(metadata).__name__}")
    text = canonical(metadata)
    if len(text) > MOST_METADATA:
        raise MalformedMessage(f"resource_metadata is longer than {MOST_METADATA} bytes")
    _check_shape(metadata)
    return text


def _check_shape(metadata: Mapping[str, Any]) -> None:
    """Raises `MalformedMessage` for what nests too deep, and for a key that JSON made a text.

    Such a key (1, None, True) was sorted as what it was: read again, the text would be no longer canonical.
    """
    level: list[Any] = [metadata]
    depth = 0
    while level:
        depth += 1
        if depth > DEEPEST_METADATA:
            raise MalformedMessage(f"resource_metadata nests deeper than {DEEPEST_METADATA}")
        inner: list[Any] = []
        for item in level:
            if isinstance(item, Mapping):
                for key in item:
                    if not isinstance(key, str):
                        raise MalformedMessage("a key in resource_metadata is no text")
                inner += item.values()
            else:
                inner += item
        # Most are plain, which is found out in the least time.
        level = [item for item in inner if type(item) not in _PLAIN and isinstance(item, Mapping | list | tuple)]


def metadata_digest(text: str) -> str:
    """SHA-256 of a canonical metadata text, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def volume_digits(volume: float) -> str:
    """The 16 hex digits of a volume's big-endian IEEE-754 form: one text for one number."""
    return struct.pack(">d", volume).hex()


def sample_bytes(
    publisher: str,
    source: str,
    name: str,
    type_: str,
    unit: str,
    volume: float,
    user_id: str | None,
    project_id: str | None,
    resource_id: str,
    timestamp: str,
    metadata_sha256: str,
    message_id: str,
) -> bytes:
    """What a sample's signature is made over: a compact JSON array of texts and nulls, in UTF-8.

    Raises `MalformedMessage` for a text that has no UTF-8 form (a lone surrogate).
    """
    try:
        return orjson.dumps(
            (
                SAMPLE_FORMAT,
                publisher,
                source,
                name,
                type_,
                unit,
                struct.pack(">d", volume).hex(),
                user_id,
                project_id,
                resource_id,
                timestamp,
                metadata_sha256,
                message_id,
            )
        )
    except orjson.JSONEncodeError as exc:
        raise MalformedMessage(f"a text cannot be written as UTF-8: {exc}") from exc


def signed_head(publisher: str, source: str) -> str:
    """How `signed_text` begins for every sample of this publisher and source."""
    return orjson.dumps((SAMPLE_FORMAT, publisher, source)).decode()[:-1]


def signed_text(
    head: str, meter: str, volume: float, owner: str, timestamp: str, metadata_sha256: str, message_id: str
) -> bytes:
    """What `sample_bytes` gives, of parts that are JSON already.

    ``meter`` is name, type and unit, ``owner`` user, project and resource; the other texts have nothing that JSON
    would escape.
    """
    volume_hex = struct.pack(">d", volume).hex()
    return f'{head},{meter},"{volume_hex}",{owner},"{timestamp}","{metadata_sha256}","{message_id}"]'.encode()


def header_bytes(header: Mapping[str, Any]) -> bytes:
    """What a batch header's signature is made over: its canonical JSON without ``signature``."""
    unsigned = {key: value for key, value in header.items() if key != "signature"}
    return f"{BATCH_FORMAT}\n{canonical(unsigned)}".encode()
