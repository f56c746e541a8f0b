"""The entries of an answer, over all its pages."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from metering.errors import PollError
from pollsters.declared import responses
from pollsters.declared.asking import Way
from pollsters.declared.definitions import Question
from pollsters.declared.evaluator import BadExpression
from pollsters.declared.paths import MISSING
from pollsters.runner import Place

MOST_PAGES = 1_000
LONGEST = 3_600.0  # seconds that an answer may take where nothing else says how long


def entries(question: Question, way: Way, place: Place, target: str, until: float) -> Iterator[Any]:
    """Each entry, as its page comes. Raises `PollError`, after the entries of the pages before."""
    asked: set[str] = set()
    while True:
        asked.add(target)
        answer = responses.read(_text(question, way, place, target, until), question.handlers)
        yield from _of_page(question, answer)
        link = _link(question, answer)
        if not link:
            return
        target = way.following(place, target, link)
        if target in asked:
            raise PollError(f"{place}: its pages go round in circles")
        if len(asked) >= MOST_PAGES:
            raise PollError(f"{place}: more than {MOST_PAGES} pages")


def _text(question: Question, way: Way, place: Place, target: str, until: float) -> str:
    left = min(until - time.monotonic(), LONGEST)
    seconds = left if question.seconds is None else min(question.seconds, left)
    if seconds <= 0:
        raise PollError(f"{place}: no time was left in this poll")
    return way.ask(place, target, question.headers, seconds)


def _of_page(question: Question, answer: Any) -> list[Any]:
    """The list where the definition says, or the answer's first value; a single entry is a list of one."""
    if isinstance(answer, list) or not answer:
        found = answer
    elif question.entries is not None:
        found = question.entries.of(answer)
    else:
        found = next(iter(answer.values())) if isinstance(answer, dict) else answer
    if found is MISSING:
        told = question.entries.text if question.entries else ""
        raise PollError(f"the answer has no {told!r}")
    if isinstance(found, list):
        return found
    return [] if found is None or found in ({}, "") else [found]


def _link(question: Question, answer: Any) -> str | None:
    """The next page; none where the path to it leads to nothing, or fails on what the last page has there."""
    if question.following is None or not isinstance(answer, dict):
        return None
    head = question.following.of_keys(answer)
    if head is MISSING or head in (None, "", [], {}):
        return None
    try:
        link = question.following.of(answer)
    except BadExpression as exc:
        if isinstance(exc.__cause__, IndexError):  # of the links there, none is that to the next page
            return None
        raise
    if link in (None, "", MISSING):
        return None
    if not isinstance(link, str) or len(link) > 10_000:
        raise PollError("what should name the next page is no text")
    return link
