"""Event types as listeners want them: exact, globs of ``*`` and ``?``, or regular expressions between slashes."""

from __future__ import annotations

import fnmatch
import re
from functools import lru_cache

REMEMBERED = 4_096

# What is no literal beginning of a regular expression any more.
_LITERAL = re.compile(r"(?:\\[.\-/]|[\w\-/:@])*")


def is_pattern(wanted: str) -> bool:
    """Whether more than one event type may fit."""
    return "*" in wanted or "?" in wanted or is_regex(wanted)


def is_regex(wanted: str) -> bool:
    """Whether it stands between slashes."""
    return len(wanted) > 2 and wanted.startswith("/") and wanted.endswith("/")


def compiled(wanted: str) -> re.Pattern[str]:
    """The pattern, to be matched from the start. Raises ValueError for a regular expression that is none."""
    try:
        return re.compile(wanted[1:-1] if is_regex(wanted) else fnmatch.translate(wanted))
    except re.error as exc:
        raise ValueError(f"{wanted} is no regular expression: {exc}") from exc


@lru_cache(maxsize=REMEMBERED)
def overlap(one: str, other: str) -> bool:
    """Whether some event type fits both.

    Of a regular expression and another pattern that cannot be said for certain: they do where what both begin with
    does not rule it out, so that nothing is billed twice.
    """
    if is_regex(other):
        one, other = other, one
    if not is_regex(one):
        return _globs_overlap(one, other)
    if not is_pattern(other):
        return compiled(one).match(other) is not None
    mine, theirs = _beginning(one), _beginning(other)
    return mine.startswith(theirs) or theirs.startswith(mine)


def _beginning(wanted: str) -> str:
    """What every event type that fits begins with."""
    if not is_regex(wanted):
        return re.split(r"[*?]", wanted, maxsplit=1)[0]
    body = wanted[1:-1]
    found = _LITERAL.match(body)
    literal = found.group() if found else ""
    following = body[len(literal) :]
    if "|" in re.sub(r"\([^()]*\)", "", body):
        return ""  # another beginning may follow
    if following[:1] in ("*", "?", "{"):  # of the last character there may be none
        literal = literal[:-2] if literal[-2:-1] == "\\" else literal[:-1]
    return literal.replace("\\", "")


@lru_cache(maxsize=REMEMBERED)
def _globs_overlap(one: str, other: str) -> bool:
    if not one or not other:
        return not (one + other).strip("*")
    if one[0] == "*":
        return _globs_overlap(one[1:], other) or _globs_overlap(one, other[1:])
    if other[0] == "*":
        return _globs_overlap(other, one)
    return (one[0] == other[0] or "?" in (one[0], other[0])) and _globs_overlap(one[1:], other[1:])
