"""An operator's command against the system that ``make run`` started: ``bin/manage COMMAND``."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from embedded import settings_file

ROOT = Path(__file__).resolve().parent.parent
FILE = "operator.env"
_TOLD = (
    "DATABASE_URL",
    "METERING_BROKER_URL",
    "METERING_CACHE_URL",
    "METERING_LIBVIRT_URI",
    "METERING_NODE",
    "METERING_NOTIFICATION_URLS",
    "METERING_RETENTION_DAYS",
    "METERING_ROLLUP_RETENTION_DAYS",
    "METERING_SECRETS",
)


def write(folder: Path, settings: Mapping[str, str]) -> None:
    """Keep what an operator's command needs of the running system's settings; it holds secrets, so mode 0600."""
    told = {name: settings[name] for name in _TOLD if settings.get(name)}
    settings_file.write(folder / FILE, told | {"METERING_SPOOL_DIR": str(folder / "spool" / "operator")})


def main() -> None:
    """Become ``manage.py``, told what the system runs on; what the environment says comes first."""
    folder = Path(os.environ.get("METERING_VAR") or ROOT / "var").absolute()
    told = settings_file.read(folder / FILE)
    if not told:
        sys.exit(f"bin/manage: there is no {folder / FILE}: start the system with make run")
    os.environ.update({name: value for name, value in told.items() if name not in os.environ})
    os.execv(sys.executable, [sys.executable, str(ROOT / "manage.py"), *sys.argv[1:]])  # noqa: S606 # our own program


if __name__ == "__main__":
    main()
