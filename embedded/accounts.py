"""Tables, an admin user and an API token, for the database that DATABASE_URL names.

A program of its own, so that whoever starts the processes never loads Django: ``python -m embedded.accounts``
prints the token, and nothing else, on standard output.
"""

from __future__ import annotations

import os
import sys

import django
from django.core.management import call_command

ADMIN = "admin"


def main() -> None:
    """Make what is missing; safe to run again."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "metering.settings"
    django.setup()
    call_command("migrate", verbosity=0, interactive=False)
    _make_admin(os.environ["METERING_ADMIN_PASSWORD"])
    print(_token(os.environ.get("METERING_TOKEN", "")))


def _make_admin(password: str) -> None:
    """Make the user once. One that is there keeps its password, also when it is not ours."""
    from django.contrib.auth import get_user_model  # noqa: PLC0415 # needs Django set up

    user = get_user_model().objects.filter(username=ADMIN).first()
    if user is None:
        os.environ["DJANGO_SUPERUSER_PASSWORD"] = password
        call_command("createsuperuser", interactive=False, username=ADMIN, email="", verbosity=0)
    elif not user.check_password(password):
        print(f"the user {ADMIN!r} of this database has a password of its own", file=sys.stderr)


def _token(kept: str) -> str:
    """The kept token when it still opens the API, else a new one that sees every project."""
    from metering.models import Token  # noqa: PLC0415 # needs Django set up

    return kept if kept and Token.objects.valid(kept) else Token.issue("make run", is_admin=True)


if __name__ == "__main__":
    main()
