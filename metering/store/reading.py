"""Stored samples as the messages that were signed, and whether they still verify."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC
from typing import Any

from django.db.models import Exists, OuterRef

from metering import ceilometer
from metering.bounds import check_volume, parse_timestamp, timestamp_text
from metering.errors import BadSignature, MeteringError
from metering.models import ResourceMetadata, Sample, SampleOriginal, Series, Signer
from metering.models.queries import SampleQuerySet
from metering.sifting import identity_of, key_of
from metering.signing import SCHEME, Keyring, canonical_metadata, metadata_digest, sample_bytes, volume_digits

PAGE = 5_000  # rows; pages go by key, because a pooled connection keeps no server-side cursor


def pages(samples: SampleQuerySet, size: int = PAGE) -> Iterator[list[Sample]]:
    """All samples of a query in the order of their key, a page at a time, with what they refer to."""
    query = samples.order_by("series_id", "ts", "message_id").select_related("series", "metadata", "signer")
    last: tuple[Any, ...] | None = None
    while page := list((query if last is None else query.filter(pk__gt=last))[:size]):
        yield page
        last = page[-1].pk


def orphans(samples: SampleQuerySet) -> SampleQuerySet:
    """Samples of which a row that they refer to is gone, so that no page holds them."""
    return samples.filter(
        ~Exists(Series.objects.filter(pk=OuterRef("series_id")))
        | ~Exists(ResourceMetadata.objects.filter(pk=OuterRef("metadata_id")))
        | ~Exists(Signer.objects.filter(pk=OuterRef("signer_id")))
    ).order_by("ts", "message_id")


def originals(page: Iterable[Sample]) -> dict[tuple[Any, ...], str]:
    """The texts that were kept beside these samples, by their keys."""
    wanted = {sample.pk for sample in page}
    ids = {key[2] for key in wanted}
    found = SampleOriginal.objects.filter(
        series_id__in={key[0] for key in wanted}, ts__in={key[1] for key in wanted}, message_id__in=ids
    )
    return {original.pk: original.body for original in found if original.pk in wanted}


def message(sample: Sample, original: str | None = None) -> dict[str, Any]:
    """The metering message that was signed, exactly."""
    if original is not None:
        body: dict[str, Any] = json.loads(original)
        return body
    series, digits = sample.series, bytes(sample.signature).hex()
    ours = sample.signer.scheme == SCHEME
    return {
        "source": series.source,
        "counter_name": series.meter,
        "counter_type": series.type,
        "counter_unit": series.unit,
        "counter_volume": sample.volume,
        "user_id": series.user_id,
        "project_id": series.project_id,
        "resource_id": series.resource_id,
        "timestamp": timestamp_text(sample.ts.astimezone(UTC)),
        "resource_metadata": json.loads(sample.metadata.body),
        "message_id": str(sample.message_id),
        "publisher_id": sample.signer.publisher,
        "message_signature": f"{SCHEME}:{sample.signer.kid}:{digits}" if ours else digits,
    }


def fault(sample: Sample, original: str | None, keyring: Keyring, ceilometer_secrets: tuple[str, ...]) -> str | None:
    """Why a stored sample does not verify from what is stored; None when it does."""
    try:
        if sample.signer.scheme == SCHEME:
            _check_ours(sample, original, keyring)
        else:
            ceilometer.check(message(sample, original), ceilometer_secrets)
        differs = original is not None and _differs(sample, json.loads(original))
    except MeteringError as exc:
        return str(exc)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as exc:  # a stored text was changed
        return f"what is stored is no metering message: {exc}"
    return "the row is not what the original message says" if differs else None


def signed_bytes(sample: Sample, original: str | None = None) -> bytes:
    """What a stored sample's signature was made over. Raises, as `message` does, where a stored text was changed."""
    if sample.signer.scheme != SCHEME:
        variant = sample.signer.scheme.partition("/")[2]
        return ceilometer.signed_bytes(message(sample, original), variant or ceilometer.BYTES_IN_LISTS)
    series = sample.series
    timestamp, message_id = timestamp_text(sample.ts), str(sample.message_id)
    if original is not None:
        body = json.loads(original)
        timestamp, message_id = body["timestamp"], body["message_id"]
    return sample_bytes(
        sample.signer.publisher, series.source, series.meter, series.type, series.unit, sample.volume, series.user_id,
        series.project_id, series.resource_id, timestamp, metadata_digest(sample.metadata.body), message_id,
    )  # fmt: skip


def _check_ours(sample: Sample, original: str | None, keyring: Keyring) -> None:
    signer = keyring.signer(sample.signer.publisher, sample.signer.kid)
    if signer.digest(signed_bytes(sample, original)) != bytes(sample.signature).hex():
        raise BadSignature("the signature does not fit what is stored")


def _differs(sample: Sample, body: dict[str, Any]) -> bool:
    """Whether the row says something else than the text kept beside it."""
    series = sample.series
    row = (
        (series.source, series.meter, series.type, series.unit, series.resource_id, series.user_id, series.project_id),
        volume_digits(sample.volume),
        sample.ts,
        sample.metadata.body,
        str(sample.message_id),
        bytes(sample.signature).hex(),
        sample.signer.publisher,
    )
    told = (
        key_of(body),
        volume_digits(check_volume(body["counter_volume"])),
        parse_timestamp(body["timestamp"]),
        canonical_metadata(body.get("resource_metadata", {})),
        identity_of(body["message_id"])[0],
        body["message_signature"].rpartition(":")[2],
        body.get("publisher_id") or "",
    )
    return row != told
