"""What Django itself finds wrong with the project."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from embedded.services import Postgres

ROOT = Path(__file__).resolve().parent.parent


def manage(*arguments: str, **settings: str) -> str:
    """What manage.py says; the test fails with it when it fails."""
    ran = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_the_deployment_checks_find_nothing() -> None:
    said = manage("check", "--deploy", "--fail-level", "WARNING", METERING_ROLE="api", METERING_HTTPS="1")

    assert "no issues" in said


def test_no_migration_is_missing(postgres: Postgres) -> None:
    said = manage("makemigrations", "--check", "--dry-run", DATABASE_URL=postgres.create("migrations"))

    assert "No changes" in said
