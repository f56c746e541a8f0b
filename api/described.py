"""What a view says of itself: `schema.py` makes its OpenAPI of that, and its page has a form made of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """What one method answers with when all is well.

    ``form`` is a name in `forms.py`, ``body`` that of the body it wants, ``headers`` those that mean something to it;
    ``refusals`` are the statuses that it may answer with beside those of every view.
    """

    form: str
    is_list: bool = False
    status: int = 200
    body: str | None = None
    needs_body: bool = True
    headers: tuple[str, ...] = ()
    refusals: tuple[int, ...] = ()


def rows(form: str, *refusals: int) -> dict[str, Answer]:
    """Of a view that lists things."""
    return {"GET": Answer(form, is_list=True, refusals=refusals)}


def one(form: str, *refusals: int) -> dict[str, Answer]:
    """Of a view that shows one thing, if it is there."""
    return {"GET": Answer(form, refusals=(404, *refusals))}
