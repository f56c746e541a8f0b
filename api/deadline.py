"""How long the database may work on one request."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from django.conf import settings
from django.db import connections

# PostgreSQL takes up to two seconds to compile a long statement to machine code, which no question here is worth.
_COMPILED_NOT = "SET LOCAL jit = off"
# In a transaction that failed nothing else is allowed before it; the other two go with it.
_AFTER_A_FAULT = ("ROLLBACK", "RELEASE", "SAVEPOINT")


class _Deadline:
    """What stands around each statement.

    The limit goes with the statement itself, as one message and one transaction: nothing of it stays on a connection
    that a pooler gives to somebody else next, and it costs no journey of its own.
    """

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        if many or sql.startswith(_AFTER_A_FAULT):
            return execute(sql, params, many, context)
        left = max(1, int(1_000 * (self._until - time.monotonic())))
        return execute(f"{_COMPILED_NOT}; SET LOCAL statement_timeout = {left}; {sql}", params, many, context)


@contextmanager
def deadline() -> Iterator[None]:
    """All statements within may take ``METERING_API_TIMEOUT`` seconds: then PostgreSQL cancels the one that runs."""
    limit = _Deadline(settings.METERING.serving.timeout)
    with ExitStack() as stack:
        for connection in connections.all():
            stack.enter_context(connection.execute_wrapper(limit))
        yield
