"""How a setting is read: by its name, or from the file of ``NAME_FILE``; checked, and named when it is refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from environ.fileaware_mapping import FileAwareMapping

from metering import tls
from metering.bounds import check_text
from metering.errors import BadSetting, MalformedMessage

BROKERS = ("amqp", "amqps", "redis", "rediss", "redis+socket")
CACHES = ("redis", "rediss", "unix", "redis+socket")
DATABASES = ("postgres", "postgresql", "psql", "pgsql")
WEB = ("http", "https")


class Reader:
    """One environment, asked by name; each answer is checked, and a refusal names the setting."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        # Not django-environ's Env: it takes a value that begins with $ for the name of another setting.
        self._told = FileAwareMapping(env=dict(environ))

    def text(self, name: str, default: str | None = None) -> str | None:
        try:
            value: str = self._told.get(name, "")
        except (OSError, UnicodeDecodeError) as exc:
            raise BadSetting(f"{name}_FILE cannot be read: {exc}") from exc
        return value.strip() or default

    def field(self, name: str, default: str | None = None) -> str | None:
        """A text that will stand in samples."""
        got = self.text(name, default)
        try:
            check_text(name, got, null=True)
        except MalformedMessage as exc:
            raise BadSetting(f"{exc}: it got {(got or '')[:40]!r}") from exc
        return got

    def names(self, name: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in (self.text(name) or "").split(",") if part.strip())

    def number(self, name: str, default: int, least: int, most: int) -> int:
        got = self.text(name)
        if got is None:
            return default
        if not re.fullmatch(r"[0-9]{1,12}", got) or not least <= int(got) <= most:
            raise BadSetting(f"{name} must be a whole number from {least} to {most}, not {got!r}")
        return int(got)

    def flag(self, name: str) -> bool:
        got = (self.text(name) or "0").lower()
        if got not in ("0", "1", "true", "false", "yes", "no", "on", "off"):
            raise BadSetting(f"{name} must be 1 or 0, not {got!r}")
        return got in ("1", "true", "yes", "on")

    def choice(self, name: str, default: str | None, choices: tuple[str, ...]) -> str | None:
        got = self.text(name, default)
        if got is not None and got not in choices:
            raise BadSetting(f"{name} must be one of {', '.join(choices)}, not {got!r}")
        return got

    def choices(self, name: str, choices: tuple[str, ...]) -> tuple[str, ...]:
        got = self.names(name)
        for item in got:
            if item not in choices:
                raise BadSetting(f"{name} must be a list of {', '.join(choices)}, not {item!r}")
        return got

    def url(self, name: str, schemes: tuple[str, ...]) -> str | None:
        got = self.text(name)
        if got is not None:
            check_url(name, got, schemes)
        return got

    def path(self, name: str) -> Path | None:
        got = self.text(name)
        return Path(got) if got else None


def check_url(name: str, got: str, schemes: tuple[str, ...]) -> None:
    """Raises `BadSetting` unless it is a URL of one of these schemes; what it holds beside the scheme is not shown."""
    scheme, colon, _ = got.partition("://")
    if scheme not in schemes or not colon:
        # The rest of a URL may hold a password, as may a text that is none: say the scheme only.
        seen = repr(scheme[:20]) if colon else "a text without a scheme"
        raise BadSetting(f"{name} must be a URL that starts with {' or '.join(schemes)}://, not {seen}")
    try:
        parts = [urlsplit(url) for url in got.split(";")]  # kombu takes several brokers so
        ports = [part.port for part in parts]
    except ValueError:  # its text shows what it could not read
        raise BadSetting(f"{name} has a host or a port that cannot be read ({scheme}://…)") from None
    if schemes is DATABASES and not all(part.path.strip("/") for part in parts):
        raise BadSetting(f"{name} names no database ({scheme}://{parts[0].hostname}:{ports[0]}/)")
    tls.split(name, got)
