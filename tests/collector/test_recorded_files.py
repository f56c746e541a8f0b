"""Files of recorded notifications: whole, private, and of a bounded size and age."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from collector import archive
from collector.recorded_files import RecordedFiles


def read(folder: Path) -> list[list[bytes]]:
    """The lines of each file, in the order of their names."""
    found = []
    for file in sorted(folder.iterdir()):
        with file.open("rb") as stream:
            found.append(list(archive.lines(stream)))
    return found


def test_a_new_file_begins_when_one_is_large_enough(tmp_path: Path) -> None:
    files = RecordedFiles(tmp_path, "host-1", most_bytes=1, most_seconds=3_600)
    files.write([b"1\n", b"2\n"])
    files.write([b"3\n"])
    files.close()

    assert read(tmp_path) == [[b"1", b"2"], [b"3"]]


def test_a_new_file_begins_when_one_is_old_enough(tmp_path: Path) -> None:
    for seconds, expected in ((3_600.0, 1), (0.0, 3)):
        files = RecordedFiles(tmp_path, "host-1", most_bytes=1 << 20, most_seconds=seconds)
        files.write([b"1\n"])
        files.write([b"2\n"])
        files.close()
        assert len(read(tmp_path)) == expected


def test_what_is_recorded_is_for_its_owner_only(tmp_path: Path) -> None:
    files = RecordedFiles(tmp_path, "host-1", 1 << 20, 3_600)
    files.write([b"1\n"])
    files.close()

    [file] = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.name.endswith("-host-1.jsonl.zst")


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_of_what_the_disk_did_not_take_nothing_stays(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = RecordedFiles(tmp_path, "host-1", 1 << 20, 3_600)
    files.write([b"1\n"])
    with monkeypatch.context() as full:
        full.setattr(os, call, _full)
        with pytest.raises(OSError, match="No space left"):
            files.write([b"2\n"])

    files.write([b"2\n"])
    files.close()

    assert read(tmp_path) == [[b"1"], [b"2"]]


def _full(*_: object) -> int:
    raise OSError(28, "No space left on device")


def test_a_folder_that_is_gone_is_an_error_of_the_disk(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        RecordedFiles(tmp_path / "gone", "host-1", 1, 1).write([b"1\n"])
