"""The secrets of one ``make run``: made once, kept in ``secrets.env``, handed out by role."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Mapping
from pathlib import Path

from embedded import settings_file
from metering import environment
from metering.signing import Keyring

NODE_KEY = "METERING_NODE_KEY"


def make(path: Path, outer: Mapping[str, str]) -> dict[str, str]:
    """The secrets in force: what the environment gives, else what was kept, else new ones.

    A node's key is derived, so the keys in the file follow the master secret and the node's name.
    """
    kept = settings_file.read(path)
    values = {
        "METERING_SECRETS": f"first:{secrets.token_hex(32)}",
        "DJANGO_SECRET_KEY": secrets.token_urlsafe(50),
        "METERING_ADMIN_PASSWORD": secrets.token_urlsafe(18),
        "METERING_NODE": socket.gethostname(),
    }
    values |= {name: (outer.get(name) or kept.get(name) or value) for name, value in values.items()}
    values |= {f"{NODE_KEY}_{role.upper()}": key for role, key in _node_keys(values).items()}
    settings_file.write(path, values)
    return values


def _node_keys(values: Mapping[str, str]) -> dict[str, str]:
    """Each signing process's own key, as ``manage.py node_key`` prints it."""
    settings = environment.load({name: values[name] for name in ("METERING_SECRETS", "METERING_NODE")})
    keyring = Keyring(settings.secrets)
    names = dict.fromkeys(environment.WITH_NODE_KEY, settings.node) | {"central": environment.CENTRAL}
    signers = {role: keyring.signer(f"{role}/{name}") for role, name in names.items()}
    return {role: f"{signer.kid}:{signer.key.hex()}" for role, signer in signers.items()}
