"""The forms in which a listing is streamed: CSV, JSON Lines, and JSON that is too long to be put together first."""

from __future__ import annotations

import csv
import io
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

import orjson
from rest_framework.renderers import BaseRenderer

from api.media import JSONRenderer
from api.rows import RowsOfOneForm, json_text


class StreamRenderer(BaseRenderer, ABC):
    """A form whose parts are made page by page. ``type`` is what an answer in it says of itself."""

    charset = "UTF-8"
    type: ClassVar[str] = ""

    def head(self, form: RowsOfOneForm[Any]) -> bytes:
        """What comes before the first row."""
        return b""

    @abstractmethod
    def block(self, form: RowsOfOneForm[Any], rows: Sequence[Any]) -> bytes:
        """Some rows, at least one."""

    def parts(self, head: bytes, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """All of an answer."""
        yield head
        yield from blocks

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        """Anything but a listing: what OPTIONS says."""
        return JSONRenderer().render(data)


class CSVRenderer(StreamRenderer):
    """A line for each row (RFC 4180), below one of the fields' names. Objects and lists are cells of JSON."""

    media_type = "text/csv"
    format = "csv"
    type = "text/csv; charset=UTF-8; header=present"

    def head(self, form: RowsOfOneForm[Any]) -> bytes:
        return _lines([form.columns()])

    def block(self, form: RowsOfOneForm[Any], rows: Sequence[Any]) -> bytes:
        return _lines(form.lines(rows))


def _lines(lines: Iterable[Sequence[Any]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(lines)
    return text.getvalue().encode("utf-8", "backslashreplace")  # ids are UTF-8; anything else is shown as it is escaped


class NDJSONRenderer(StreamRenderer):
    """A JSON object a line."""

    media_type = "application/x-ndjson"
    format = "ndjson"
    type = "application/x-ndjson; charset=UTF-8"

    def block(self, form: RowsOfOneForm[Any], rows: Sequence[Any]) -> bytes:
        made = form.rows(rows)
        try:
            return b"".join([orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in made])
        except orjson.JSONEncodeError:
            return "".join(f"{json_text(row)}\n" for row in made).encode()


class LongJSONRenderer(StreamRenderer):
    """One JSON list of all rows. Not for a request to choose: it is how JSON is sent when it is long."""

    media_type = "application/json"
    format = "json"
    type = "application/json; charset=UTF-8"

    def block(self, form: RowsOfOneForm[Any], rows: Sequence[Any]) -> bytes:
        return JSONRenderer().render(form.rows(rows))[1:-1]

    def parts(self, head: bytes, blocks: Iterable[bytes]) -> Iterator[bytes]:
        between = b"["
        for block in blocks:
            yield between + block
            between = b","
        yield b"]" if between == b"," else b"[]"
