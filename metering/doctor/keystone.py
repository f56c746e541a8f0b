"""Can the API ask Keystone whose a token is? No Django."""

from __future__ import annotations

from collections.abc import Iterator

from metering.access_settings import KeystoneSettings
from metering.doctor.finding import Finding, good, note, one_line, wrong
from metering.keystone import Keystone

_MAY_ASK = {"service", "admin"}  # unless Keystone's policy was changed: no answer tells before a token is asked for


def examine(settings: KeystoneSettings | None) -> Iterator[Finding]:
    """Each URL is asked once, as the API asks; without any there is nothing to say."""
    if settings is None:
        return
    for url, fault, roles in Keystone(settings).examine():
        if fault is not None:
            remedy = "are METERING_KEYSTONE_URLS, _USER, _PASSWORD and _PROJECT right, and the network open?"
            yield wrong("keystone", one_line(fault), remedy)
        elif not _MAY_ASK.intersection(roles):
            said = f"{url} answers; {settings.user} has only the roles {', '.join(sorted(roles))}"
            yield note("keystone", said, "Keystone's own policy lets service or admin ask whose a token is")
        else:
            yield good("keystone", f"{url} answers, and lets {settings.user} ask whose a token is")
