"""What a caller may ask for. Which rows he then sees, the querysets say: ``visible_to``."""

from __future__ import annotations

from collections.abc import Iterable

from rest_framework import status

from api.errors import Fault, not_your_project
from metering.models import Caller


def check_projects(caller: Caller, named: Iterable[str]) -> None:
    """Raises a 401 when anybody but an admin names a project that is not his own."""
    for project_id in named:
        if not caller.is_admin and project_id != caller.project_id:
            raise not_your_project(project_id)


def check_admin(caller: Caller) -> None:
    """Raises a 401, as the original has it, for what names every project's data at once."""
    if not caller.is_admin:
        raise Fault("Not Authorized", status.HTTP_401_UNAUTHORIZED)
