#!/usr/bin/env python
"""Nephometer's operator commands: ``nephometer`` once installed, ``manage.py`` in a checkout."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run one command; what an operator can mend is said in one line."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "metering.settings")
    from django.core.management import execute_from_command_line

    from metering.errors import MeteringError

    try:
        execute_from_command_line(sys.argv)
    except MeteringError as exc:
        sys.exit(f"nephometer: {exc}")


if __name__ == "__main__":
    main()
