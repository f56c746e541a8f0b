"""Settings kept in a file: one ``NAME=value`` a line, readable by their owner alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def read(path: Path) -> dict[str, str]:
    """What the file says; nothing when there is none."""
    if not path.exists():
        return {}
    lines = (line.partition("=") for line in path.read_text().splitlines() if not line.startswith("#"))
    return {name: value for name, equals, value in lines if equals}


def write(path: Path, values: Mapping[str, str]) -> None:
    """Put the file in place whole, mode 0600 from its first byte on; an equal one is left alone."""
    text = "".join(f"{name}={value}\n" for name, value in values.items())
    if path.exists() and path.read_text() == text:
        return
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    new.rename(path)
