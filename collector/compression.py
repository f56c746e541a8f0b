"""Undoing what oslo.messaging's ``kombu_compression`` did to a body, within bounds: a few bytes may claim gigabytes."""

from __future__ import annotations

import bz2
import zlib
from collections.abc import Callable
from typing import Any

from collector.notification import LARGEST_BODY
from metering.errors import MalformedNotification

# By the names that kombu puts into the header ``compression``; its "gzip" has zlib's form.
_FORMS: dict[str, Callable[[], Any]] = {
    "application/x-gzip": zlib.decompressobj,
    "application/x-bz2": bz2.BZ2Decompressor,
}


def decompress(body: bytes, form: object) -> bytes:
    """The body as it was. Raises `MalformedNotification`."""
    decompressor = _FORMS.get(form) if isinstance(form, str) else None
    if decompressor is None:
        raise MalformedNotification(f"its body is compressed as {str(form)[:40]!r}, which is not read here")
    try:
        unpacking = decompressor()
        plain: bytes = unpacking.decompress(body, LARGEST_BODY)
    except (zlib.error, OSError, ValueError) as exc:
        raise MalformedNotification(f"its body cannot be decompressed: {exc}") from exc
    if not unpacking.eof:
        raise MalformedNotification(f"its body is cut off, or larger than {LARGEST_BODY} bytes when unpacked")
    return plain
