"""What a plugin host needs besides what it reads: its name and key, a broker, a spool. No database, no Django."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

from metering.doctor.finding import Finding, good, note, wrong
from metering.environment import CENTRAL, Environment
from metering.signing import Keyring, Signer
from metering.spool import Spool

ASIDE = ".broken"  # what the spool set aside


def name_and_key(settings: Environment) -> Iterator[Finding]:
    """Under which name this process sends, and whether it can sign."""
    if settings.role is None:
        remedy = "run it with the worker's own environment to see what the worker sees"
        yield note("name", "METERING_ROLE is not set: this is an operator's command", remedy)
    machine = socket.gethostname()
    if settings.node not in (machine, CENTRAL):
        yield note("name", f"METERING_NODE is {settings.node!r}; the machine calls itself {machine!r}")
    publisher = settings.publisher
    own = f"manage.py node_key {publisher} prints it, on the control plane"
    if settings.node_key is None:
        if settings.secrets:
            yield good("key", f"signs as {publisher}, by a master secret")
        else:
            yield wrong("key", f"METERING_NODE_KEY of {publisher} is not set: nothing can be signed", own)
        return
    master = settings.secrets.get(settings.node_key.kid)
    if master is not None and not _is_of(publisher, settings.node_key.kid, settings.node_key.key, master):
        yield wrong("key", f"METERING_NODE_KEY is not the key of {publisher}", own)
        return
    yield good("key", f"signs as {publisher} with the key {settings.node_key.kid}")


def _is_of(publisher: str, kid: str, key: bytes, master: bytes) -> bool:
    """Whether the key is derived from the master secret for this publisher."""
    return Signer(publisher, kid, key).sign(b"doctor") == Keyring({kid: master}).signer(publisher).sign(b"doctor")


def spool(settings: Environment) -> Iterator[Finding]:
    """What waits for the broker, and what was given up."""
    folder = settings.spool_dir / settings.publisher.replace("/", "-")
    if not folder.is_dir():
        yield _not_made(settings.spool_dir)
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        owner = f"it belongs to uid {folder.stat().st_uid}, this is uid {os.geteuid()}"
        yield note("spool", f"{folder} cannot be written by this user", f"{owner}: run it as the worker's user")
        return
    polls = sorted(folder.glob("*.poll"), key=lambda file: file.stat().st_mtime)
    held = sum(file.stat().st_size for file in polls)
    if polls:
        said = f"polls in {folder} that wait for the broker: {len(polls)} ({held:,} bytes)"
        remedy = "they go out at the next order; if they stay, look at this user's right to write to samples-in"
        yield wrong("spool", said, remedy)
    else:
        yield good("spool", f"{folder} is empty: the broker has all that was read")
    if dropped := Spool(folder, settings.spool_bytes).dropped:
        told = ", ".join(f"{count:,} {name}" for name, count in dropped.items())
        yield note("spool", f"given up since it was made: {told}", f"METERING_SPOOL_BYTES is {settings.spool_bytes:,}")
    if broken := list(folder.glob(f"*{ASIDE}")):
        yield wrong(
            "spool", f"{len(broken)} polls could not be read and were set aside as *{ASIDE}", "look at the disk"
        )


def _not_made(folder: Path) -> Finding:
    """No worker of this name has started here: could one make its folder?"""
    above = next(path for path in (folder, *folder.parents) if path.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        return wrong("spool", f"{above} cannot be written by this user", "METERING_SPOOL_DIR must be the worker's own")
    return note("spool", f"nothing was ever spooled in {folder}", "no worker of this name has polled here")
