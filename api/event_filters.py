"""The simple query of events: four fields of their own, and any other name is a trait."""

from __future__ import annotations

from dataclasses import replace

from api.arguments import Arguments
from api.errors import Fault, invalid_input
from api.filters import Clause, read_clauses, read_timestamp
from metering.errors import MalformedMessage
from metering.events import TraitType, Value, read_value
from metering.identity import stored_id
from metering.models.event_queries import Comparison, EventQuestion

MOST_COMPARISONS = 50  # of traits: each is a join
FIELDS = ("event_type", "message_id", "start_timestamp", "end_timestamp")
TYPES = ("integer", "float", "string", "datetime")


def read_event_query(arguments: Arguments) -> EventQuestion:
    """What the query asks. Of several clauses with one field of an event the last holds, of a trait all.

    Raises a 400 with the reason.
    """
    question = EventQuestion()
    clauses = read_clauses(arguments, TYPES)
    if sum(clause.field not in FIELDS for clause in clauses) > MOST_COMPARISONS:
        raise Fault(f"The query compares more than {MOST_COMPARISONS} traits")
    for clause in clauses:
        if clause.op == "in" or (clause.field in FIELDS and clause.op != "eq"):
            raise invalid_input("op", clause.op, f"unimplemented operator for {clause.field}")
        question = _narrowed(question, clause)
    return question


def _narrowed(question: EventQuestion, clause: Clause) -> EventQuestion:
    match clause.field:
        case "event_type":
            return replace(question, event_type=clause.value)
        case "message_id":
            return replace(question, message_id=stored_id(clause.value))
        case "start_timestamp":
            return replace(question, start=read_timestamp(clause.value))
        case "end_timestamp":
            return replace(question, end=read_timestamp(clause.value))
    return replace(question, comparisons=(*question.comparisons, _comparison(clause)))


def _comparison(clause: Clause) -> Comparison:
    kind = TraitType(clause.type or TraitType.STRING)
    return Comparison(clause.field, kind, clause.op, _value(clause, kind))


def _value(clause: Clause, kind: TraitType) -> Value:
    try:
        if kind == TraitType.DATETIME:
            return read_timestamp(clause.value)
        number = {TraitType.INTEGER: int, TraitType.FLOAT: float}.get(kind)
        return read_value(kind, clause.value if number is None else repr(number(clause.value) + 0))
    except (ValueError, Fault, MalformedMessage) as exc:
        text = f"Unable to convert the value {clause.value} to the expected data type {clause.type}."
        raise Fault(text) from exc
