"""What a doctor finds: one line each, with a remedy where there is one. Pure Python."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """What a finding is worth."""

    GOOD = "good"
    NOTE = "note"  # worth knowing; it stops nothing that anybody asked for
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    about: str  # such as broker, plugin disk, meter cpu
    verdict: Verdict
    said: str
    remedy: str = ""

    def __str__(self) -> str:
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{self.verdict:5}  {self.about}: {self.said}{remedy}"

    @property
    def fields(self) -> dict[str, Any]:
        return asdict(self)


def good(about: str, said: str) -> Finding:
    """It is as it should be."""
    return Finding(about, Verdict.GOOD, said)


def note(about: str, said: str, remedy: str = "") -> Finding:
    """It is worth knowing, and stops nothing that was asked for."""
    return Finding(about, Verdict.NOTE, said, remedy)


def wrong(about: str, said: str, remedy: str = "") -> Finding:
    """It costs samples, or will."""
    return Finding(about, Verdict.WRONG, said, remedy)


def anything_wrong(findings: Iterable[Finding]) -> bool:
    """Whether the doctor's exit status is 1."""
    return any(finding.verdict is Verdict.WRONG for finding in findings)


def one_line(text: object) -> str:
    """Another's words, on one line and not endless."""
    line = " ".join(str(text).split())
    return line if len(line) <= 300 else f"{line[:299]}…"
