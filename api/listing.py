"""How a listing is answered: a page of JSON that says where the next one is, or all of it as a stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import StreamingHttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from api.arguments import Arguments
from api.deadline import deadline
from api.markers import marker, read_marker
from api.rows import RowsOfOneForm
from api.streams import LongJSONRenderer, StreamRenderer
from metering.models.paging import Key, Page

PAGING = frozenset({"limit", "marker"})
MOST_AT_ONCE = 10_000  # rows of JSON that are put together before the first is sent; more are streamed
BLOCK = 2_000  # rows of a stream that are written at once
STEP = 10_000  # rows that a stream reads at once: of half as many each takes half as long again

ReadPage = Callable[[Key | None, int], Page[Any]]


def _nothing(rows: Sequence[Any]) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True)
class Listing:
    """Rows, and how they are read and shown.

    ``page`` gives the next rows behind a key, at most so many; ``kinds`` are the types of the key's parts.
    ``context`` is what the serializer must know of these rows. ``streamed`` makes what is read instead for a stream.
    """

    serializer: type[RowsOfOneForm[Any]]
    page: ReadPage
    kinds: tuple[type, ...]
    context: Callable[[Sequence[Any]], Mapping[str, Any]] = _nothing
    streamed: Callable[[], Listing] | None = None

    def form(self, rows: Sequence[Any]) -> RowsOfOneForm[Any]:
        """The serializer of these rows."""
        return self.serializer(context=self.context(rows))

    @classmethod
    def whole(cls, serializer: type[RowsOfOneForm[Any]], rows: Iterable[Any], **context: Any) -> Listing:
        """All of these at once, whatever the limit."""
        found = list(rows)
        return cls(serializer, lambda after, limit: Page(found, None), (), lambda rows: context)


def answer(request: Request, listing: Listing, arguments: Arguments, *, limit: int) -> Response | StreamingHttpResponse:
    """The rows that the arguments ask for, in the form that the request accepts; in JSON no more than ``limit``.

    A stream has all rows unless a limit is asked for.
    """
    after = read_marker(arguments.one("marker"), listing.kinds)
    asked = arguments.limit(limit) if arguments.all("limit") else None
    form = streaming(request, asked)
    if form is not None:
        return streamed(form, listing, after, asked)
    page = listing.page(after, min(asked or limit, MOST_AT_ONCE))
    response = Response(listing.form(page.rows).rows(page.rows))
    if page.next is not None:
        response["Link"] = f'<{_next(request, page.next)}>; rel="next"'
    return response


def streaming(request: Request, asked: int | None) -> StreamRenderer | None:
    """The form in which this request's rows are streamed; None where they are put together first."""
    chosen = request.accepted_renderer
    if isinstance(chosen, StreamRenderer):
        return chosen
    return LongJSONRenderer() if asked is not None and asked > MOST_AT_ONCE and chosen.format == "json" else None


def _next(request: Request, key: Key) -> str:
    """The address of the next page: this one's, with another marker."""
    asked = request.query_params.copy()
    asked["marker"] = marker(key)
    return request.build_absolute_uri(f"{request.path}?{asked.urlencode()}")


def streamed(form: StreamRenderer, listing: Listing, after: Key | None, limit: int | None) -> StreamingHttpResponse:
    """These rows, page by page, in that form."""
    read = listing if listing.streamed is None else listing.streamed()
    # Read before the answer begins: a question that fails at once is answered with its error.
    first = read.page(after, _step(limit))
    head = form.head(read.form(first.rows))
    return StreamingHttpResponse(form.parts(head, _blocks(form, read, first, limit)), content_type=form.type)


def _blocks(form: StreamRenderer, listing: Listing, page: Page[Any], limit: int | None) -> Iterator[bytes]:
    """Rows page by page. What fails in between ends the connection before the answer's end, so that it is noticed."""
    while True:
        for start in range(0, len(page.rows), BLOCK):
            rows = page.rows[start : start + BLOCK]
            yield form.block(listing.form(rows), rows)
        if limit is not None:
            limit -= len(page.rows)
        if page.next is None or limit == 0:
            return
        with deadline():
            page = listing.page(page.next, _step(limit))


def _step(limit: int | None) -> int:
    return STEP if limit is None else min(limit, STEP)
