"""Extra metadata: further questions about an entry, whose answers are kept for a while."""

from __future__ import annotations

import ast
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from metering.errors import PollError
from pollsters.declared import pages
from pollsters.declared.asking import Way
from pollsters.declared.definitions import SEEN_BY_EXTRAS, Extra, Metadata
from pollsters.declared.evaluator import evaluate, measure
from pollsters.declared.paths import MISSING
from pollsters.runner import Place

MOST_KEPT = 2_000  # answers
FAILURE_SECONDS = 30.0  # a question that failed is not repeated for each of a thousand entries

Ways = Callable[[Extra, Place], tuple[Way, Place]]  # how an extra field of an entry read at that place is asked


@dataclass
class Extras:
    """The extra fields of one definition, and the answers that still hold."""

    fields: Sequence[Extra]
    ways: Ways
    _kept: OrderedDict[tuple[Any, ...], tuple[float, list[Any] | PollError]] = field(default_factory=OrderedDict)

    def of(
        self, sample: Mapping[str, Any], place: Place, until: float, failed: Callable[[str], None]
    ) -> dict[str, Any]:
        """The metadata that the answers give. A field that fails is left out, and ``failed`` told why."""
        captured: dict[str, Any] = {}
        by_name: dict[str, Any] = {}
        for extra in self.fields:
            if any(holds(skip, sample) for skip in extra.skips if skip):
                continue
            seen = dict(zip(SEEN_BY_EXTRAS, (dict(sample), captured, by_name), strict=True))
            try:
                self._capture(extra, place, until, seen)
            except PollError as exc:
                failed(f"{extra.name}: {exc}")
        return captured

    def _capture(self, extra: Extra, place: Place, until: float, seen: Mapping[str, Any]) -> None:
        target = _target(extra, seen)
        captured, by_name = seen["extra_metadata_captured"], seen["extra_metadata_by_name"]
        for entry in self._entries(extra, place, target, until):
            value = plain(extra.value.of(entry))
            metadata = fields_of(entry, extra.metadata)
            captured[extra.name] = value
            captured |= {key: told for key, told in metadata.items() if told is not None or key not in captured}
            by_name[extra.name] = {"value": value, "metadata": metadata}

    def _entries(self, extra: Extra, place: Place, target: str, until: float) -> list[Any]:
        way, where = self.ways(extra, place)
        key = (extra.name, where.parts, target)
        holds_until, kept = self._kept.get(key, (0.0, []))
        if time.monotonic() >= holds_until:
            try:
                kept = list(pages.entries(extra.question, way, where, target, until))
                seconds = extra.cache_seconds
            except PollError as exc:
                kept, seconds = exc, FAILURE_SECONDS
            self._kept[key] = (time.monotonic() + seconds, kept)
            self._kept.move_to_end(key)
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        if isinstance(kept, PollError):
            raise PollError(str(kept))
        return kept


def _target(extra: Extra, seen: Mapping[str, Any]) -> str:
    told = extra.question.target
    target = evaluate(told, seen) if isinstance(told, ast.Expression) else told
    if not isinstance(target, str) or not target or len(target) > 10_000 or not target.isprintable():
        raise PollError("what should be asked is no text")
    return target


def holds(part: Any, whole: Any) -> bool:
    """Whether a condition is met: each of its keys is there, and holds the same."""
    if isinstance(part, Mapping) and isinstance(whole, Mapping):
        return all(key in whole and holds(value, whole[key]) for key, value in part.items())
    return bool(part == whole)


def fields_of(entry: Any, told: Metadata) -> dict[str, Any]:
    """The metadata fields of an entry, under their names; what is not there is left out."""
    found: dict[str, Any] = {}
    for path in told.fields:
        value = path.of(entry)
        if value is MISSING:
            continue
        value = plain(value)
        if path.text not in told.renamed or told.both:
            found[path.text] = value
        if path.text in told.renamed:
            found[told.renamed[path.text]] = value
    return found


def plain(value: Any) -> Any:
    """A value as JSON can say it; `MISSING` as None. Raises `PollError`."""
    measure(value)
    if value is MISSING:
        return None
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(part) for part in value]
    raise PollError(f"{type(value).__name__} is nothing that a sample can hold")
