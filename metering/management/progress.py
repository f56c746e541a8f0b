"""How far a long command has got, where somebody is watching."""

from __future__ import annotations

from django.core.management.base import OutputWrapper

_WIDTH = 40


def show(stream: OutputWrapper, done: int, of: int, what: str) -> None:
    """Draw a bar over the one before, on a terminal only. The last one stays."""
    if stream.isatty():
        bar = "#" * (_WIDTH * done // of)
        stream.write(f"\r{bar:{_WIDTH}} {done}/{of} {what}", ending="\n" if done == of else "")
