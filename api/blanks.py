"""What the form of a page means by fields that were left empty: nothing. Whoever asks for JSON is taken at his word."""

from __future__ import annotations

from collections.abc import Mapping

CLAUSE = ("q.field", "q.op", "q.value", "q.type")
AGGREGATE = ("aggregate.func", "aggregate.param")


def without_blanks(asked: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """The parameters that say something. A row goes as a whole, so that what belongs together stays so."""
    rows = {name: list(asked[name]) for name in (*CLAUSE, *AGGREGATE) if name in asked}
    values = rows.get("q.value", [])
    unsaid = {place for place, text in enumerate(rows.get("q.field", [])) if not text and not any(values[place:][:1])}
    _drop(rows, CLAUSE, unsaid)
    _drop(rows, AGGREGATE, {place for place, text in enumerate(rows.get("aggregate.func", [])) if not text})
    single = {name: [value for value in values if value] for name, values in asked.items() if name not in rows}
    said = {name: values for name, values in {**rows, **single}.items() if any(values)}
    return {"q.value": rows["q.value"], **said} if "q.field" in said and "q.value" in rows else said


def _drop(rows: dict[str, list[str]], names: tuple[str, ...], places: set[int]) -> None:
    for name in names:
        if name in rows:
            rows[name] = [text for place, text in enumerate(rows[name]) if place not in places]
