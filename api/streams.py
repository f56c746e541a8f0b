"""The forms in which a listing is streamed: CSV, JSON Lines, and JSON that is too long to be put together first."""

from __future__ import annotations

import csv
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

import orjson
from rest_framework.renderers import BaseRenderer

from api.media import JSONRenderer
from api.rows import RowsOfOneForm, json_text

_TEXTS = {str, type(None)}


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
    columns = map(_quoted, zip(*lines, strict=True))
    text = "".join([",".join(line) + "\r\n" for line in zip(*columns, strict=True)])
    return text.encode("utf-8", "backslashreplace")  # ids are UTF-8; anything else is shown as it is escaped


def _quoted(column: Sequence[Any]) -> list[str]:
    """The cells of a column. Each text is quoted once: most rows share most of theirs, and to write each anew takes
    three times as long.
    """
    if not set(map(type, column)) <= _TEXTS:
        return _cells(column)  # 0.0 is not -0.0, though equal
    distinct = dict.fromkeys(column)
    texts = dict(zip(distinct, _cells(distinct), strict=True))
    return [texts[value] for value in column]


def _cells(values: Iterable[Any]) -> list[str]:
    lines = _Written()
    csv.writer(lines, lineterminator="").writerows([value, ""] for value in values)  # alone, '' would be no cell
    return [line[:-1] for line in lines]


class _Written(list[str]):
    """What a writer of CSV writes, line by line."""

    write = list.append


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
