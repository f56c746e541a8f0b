"""A day as a file, and back: the same samples, each with the signature it came with."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from metering import messages
from metering.errors import ArchiveFailed
from metering.models import LedgerDay, Sample, SampleOriginal
from metering.store import archive, closing, keys, partitions
from metering.store import reading as stored_reading
from tests.factories import KEYS, NOON, reading
from tests.metering.storing import batch, foreign, record, whole

pytestmark = pytest.mark.usefixtures("shared_ledger")

DAY = NOON.date()
NAME = f"samples-{DAY}.jsonl.gz"
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METERING_SECRETS", "k1:a secret of the tests,k0:an older secret of the tests")
    monkeypatch.setenv("METERING_CEILOMETER_SECRETS", "s3cret")


def store_some() -> None:
    """Samples of every kind: ours, foreign, handed on with more in them, with a text that is no tidy JSON."""
    ours = batch(
        *(reading(number / 7, number, origin=f"o{number}", metadata={"é": [1e22, -0.0]}) for number in range(9))
    )
    [handed_on] = messages.unpack(batch(reading(3, 100, origin="x")))
    record(ours, whole(foreign(), foreign(message_id="no uuid", timestamp="2026-11-23 10:00:00")))
    record(whole(handed_on | {"extra": "field"}))
    [text] = json.loads(whole(foreign(message_id="untidy", counter_volume=10**30)))["whole"]
    record(json.dumps(json.loads(ours) | {"rows": [], "whole": [json.dumps(json.loads(text), indent=1) + "\r\n"]}))


def stored() -> list[tuple[Any, ...]]:
    """Every column of what is stored but those that tell of the storing: when, and under which number."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT sample.ts, float8send(volume), message_id, signature, series.digest, signer.scheme, signer.kid,
                signer.publisher, resource_metadata.body, original.body
            FROM sample JOIN series ON series.id = sample.series_id JOIN signer ON signer.id = signer_id
                JOIN resource_metadata ON resource_metadata.id = metadata_id
                LEFT JOIN sample_original AS original USING (series_id, ts, message_id)
            ORDER BY digest, ts, message_id"""
        )
        return [tuple(bytes(one) if isinstance(one, memoryview) else one for one in row) for row in cursor.fetchall()]


def forget_everything() -> None:
    """As another installation, which has stored nothing yet."""
    with connection.cursor() as cursor:
        cursor.execute(
            "TRUNCATE sample, sample_original, series, resource_metadata, signer, foreign_id, resource, late"
        )
        cursor.execute("TRUNCATE rollup_state, ledger_day")
    keys.forget()
    partitions.forget()


def run(*arguments: object) -> str:
    out = StringIO()
    call_command(*map(str, arguments), stdout=out, stderr=StringIO())
    return out.getvalue()


def test_an_archive_holds_every_message_as_it_was_signed(tmp_path: Path) -> None:
    store_some()

    kept = archive.write(DAY, tmp_path)

    assert (kept.path, kept.rows) == (tmp_path / NAME, Sample.objects.count())
    told = list(archive.texts(kept.path))
    assert len(told) == 13
    assert {text for text in told if "extra" in text or "\n" in text or "no uuid" in text} <= set(
        SampleOriginal.objects.values_list("body", flat=True)
    )
    plain = [json.loads(line) for line in gzip.decompress(kept.path.read_bytes()).split(b"\n") if line]
    assert sum(isinstance(line, dict) for line in plain) == 12  # but for the one with line breaks in it
    assert list(archive.faults(kept.path, KEYS, ("s3cret",))) == [None] * 13


def test_its_messages_are_those_that_the_rows_give_singly_byte_for_byte(tmp_path: Path) -> None:
    store_some()
    texts = list(archive.texts(archive.write(DAY, tmp_path).path))

    [page] = stored_reading.pages(Sample.objects.all())
    originals = stored_reading.originals(page)
    assert texts == [archive.text_of(sample, originals.get(sample.pk)) for sample in page]
    assert len(texts) == 13


def test_the_same_samples_give_the_same_file_closed_or_open_and_its_checksum_lies_beside_it(tmp_path: Path) -> None:
    store_some()
    first = archive.write(DAY, tmp_path / "a")
    closing.close(DAY)

    second = archive.write(DAY, tmp_path / "b")

    assert first.path.read_bytes() == second.path.read_bytes()
    checksum = hashlib.sha256(first.path.read_bytes()).hexdigest()
    assert (tmp_path / "a" / f"{NAME}.sha256").read_text() == f"{checksum}  {NAME}\n"
    assert first.digest == LedgerDay.objects.get().archive_digest == checksum
    assert sorted(file.name for file in (tmp_path / "a").iterdir()) == [NAME, f"{NAME}.sha256"]


def test_an_archive_is_kept_until_a_late_sample_or_a_change_of_the_file_makes_it_stale(tmp_path: Path) -> None:
    store_some()
    first = archive.keep(DAY, tmp_path)
    inode = first.path.stat().st_ino
    assert archive.keep(DAY, tmp_path).path.stat().st_ino == inode

    record(batch(reading(1, 500, origin="late")))
    second = archive.keep(DAY, tmp_path)
    assert (second.rows, second.path.stat().st_ino != inode) == (first.rows + 1, True)

    second.path.write_bytes(b"something else")
    assert archive.keep(DAY, tmp_path) == second
    second.path.unlink()
    assert archive.keep(DAY, tmp_path) == second


def test_a_day_of_which_a_series_is_gone_is_not_archived_and_the_file_of_before_stays(tmp_path: Path) -> None:
    store_some()
    before = archive.write(DAY, tmp_path).path.read_bytes()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM series WHERE resource_id = 'web-1'")

    # Of ten samples of it, one was kept as the text that it came as, which needs no series.
    with pytest.raises(ArchiveFailed, match=r"9 samples of 2026-11-23 refer to a series, metadata or signer"):
        archive.write(DAY, tmp_path)

    assert (tmp_path / NAME).read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == [NAME, f"{NAME}.sha256"]


def test_what_a_killed_archiver_has_left_is_overwritten_and_a_living_one_is_not_disturbed(tmp_path: Path) -> None:
    store_some()
    left = tmp_path / f".{NAME}.unfinished"
    left.write_bytes(b"half of it")
    assert archive.write(DAY, tmp_path).rows == 13
    assert not left.exists()

    with (
        archive._unfinished(left),
        pytest.raises(ArchiveFailed, match="another process is writing"),
    ):
        archive.write(DAY, tmp_path)


def damaged(spoil: Callable[[bytes], bytes], tmp_path: Path) -> Path:
    """The archive, so spoilt, under a name that no checksum belongs to."""
    store_some()
    path = tmp_path / "damaged.gz"
    path.write_bytes(spoil(archive.write(DAY, tmp_path).path.read_bytes()))
    return path


@pytest.mark.parametrize(
    "spoil",
    [
        lambda all_: all_[:-9],
        lambda all_: all_[:-1] + b"x",
        lambda all_: b"\x1f\x8b",
        lambda all_: all_[:40] + all_[44:],
    ],
    ids=["cut off", "another length", "nothing but a beginning", "a hole"],
)
def test_a_damaged_archive_is_told(spoil: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = damaged(spoil, tmp_path)

    with pytest.raises(ArchiveFailed, match=r"damaged\.gz: damaged after line \d+"):
        list(archive.texts(path))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ArchiveFailed, match="No such file"):
        archive.inspect(tmp_path / "none")


# archive_samples


def test_archive_samples_writes_every_day_that_is_over_and_says_so(tmp_path: Path) -> None:
    record(batch(*(reading(day, -86_400 * day, origin=f"o{day}") for day in range(3))))

    assert "2026-11-22 would be archived" in run("archive_samples", "--directory", tmp_path, "--dry-run")
    assert list(tmp_path.iterdir()) == []
    run("archive_samples", "--directory", tmp_path)

    assert {file.name for file in tmp_path.glob("*.gz")} >= {f"samples-2026-11-{day}.jsonl.gz" for day in (21, 22, 23)}


def test_archive_samples_asks_where_to_and_for_days_that_are_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CommandError, match="METERING_ARCHIVE_DIR"):
        run("archive_samples")
    monkeypatch.setenv("METERING_ARCHIVE_DIR", str(tmp_path))
    with pytest.raises(CommandError, match="no samples of 1999-01-01 are stored"):
        run("archive_samples", "1999-01-01")


def test_archive_samples_checks_every_signature_of_a_file(tmp_path: Path) -> None:
    store_some()
    archive.write(DAY, tmp_path)
    assert run("archive_samples", "--check", tmp_path / NAME) == f"{tmp_path / NAME}: 13 of 13 samples verify\n"

    lines = gzip.decompress((tmp_path / NAME).read_bytes()).replace(b'"counter_volume":0.0', b'"counter_volume":1.0')
    forged = tmp_path / "forged.jsonl"
    forged.write_bytes(lines)
    with pytest.raises(CommandError, match="1 of 2 files do not verify"):
        run("archive_samples", "--check", tmp_path / NAME, forged)

    (tmp_path / NAME).write_bytes(gzip.compress(lines))
    with pytest.raises(CommandError, match="1 of 1 files do not verify"):
        run("archive_samples", "--check", tmp_path / NAME)
