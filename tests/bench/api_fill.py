"""What `api` asks of, put into its database: ``python -m tests.bench.api_fill 500000`` prints what to ask for."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime


def main(size: int) -> None:
    import django

    import metering.celery  # noqa: F401 # the application, before Django is set up by it

    django.setup()
    from django.core.management import call_command

    from metering.models import Series, Token
    from metering.store import closing, rollups
    from tests.bench import ledger_queries

    logging.disable(logging.INFO)
    call_command("migrate", verbosity=0)
    end = rollups.day_of(datetime.now(UTC))
    start = end - ledger_queries.DAYS * rollups.DAY
    ledger_queries.fill(end, size)
    for number in range(ledger_queries.DAYS - 1):  # yesterday may still have late samples
        closing.close((start + number * rollups.DAY).date())
    ledger_queries.poll(datetime.now(UTC))
    project = ledger_queries.BUSY
    told = {
        "admin": Token.issue("the bench", is_admin=True),
        "project": Token.issue("the bench", project_id=project),
        "resource": Series.objects.filter(project_id=project).values_list("resource_id", flat=True)[0],
        "start": start.replace(tzinfo=None).isoformat(),
        "end": end.replace(tzinfo=None).isoformat(),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(int(sys.argv[1]))
