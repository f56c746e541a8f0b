"""Foreign text on a page: escaped, without characters that a reader could not see, and not endless."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import urlencode

from django.db.models import Model
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

MOST = 65_536  # characters of one text, so that a page stays readable


def visible(text: str) -> str:
    """The text with control, direction and unassigned characters written as escapes."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in "\n\t" else char.encode("unicode_escape").decode() for char in text
    )


def block(text: str) -> SafeString:
    """The text as it stands, in a box, cut after `MOST` characters with a word about it."""
    cut = f"\n… and {len(text) - MOST:,} characters more" if len(text) > MOST else ""
    return format_html(
        '<pre class="text-xs" style="white-space: pre-wrap; overflow-wrap: anywhere">{}{}</pre>',
        visible(text[:MOST]),
        cut,
    )


def document(text: str) -> SafeString:
    """JSON with a line for each entry; what is none, as it stands."""
    try:
        return block(json.dumps(json.loads(text), indent=2, sort_keys=True, ensure_ascii=False))
    except (ValueError, RecursionError):
        return block(text)


def shortened(text: str, most: int = 120) -> str:
    """The beginning of the text, on one line."""
    line = visible(" ".join(text[: most * 2].split()))
    return line if len(line) <= most and len(text) <= most * 2 else line[: most - 1] + "…"


def counts(figures: Mapping[str, object]) -> str:
    """``cpu 3, disk 1``, or empty when there are none."""
    return shortened(", ".join(f"{name} {figure}" for name, figure in sorted(figures.items())))


def rows_link(model: type[Model], text: str, **chosen: str) -> SafeString:
    """A link to the admin's list of ``model``, with these filters chosen."""
    address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return format_html('<a class="text-primary-600 underline" href="{}?{}">{}</a>', address, urlencode(chosen), text)
