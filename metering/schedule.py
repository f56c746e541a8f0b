"""A beat schedule aligned to the clock. Pure Python: beat loads no Django."""

from __future__ import annotations

from datetime import datetime, timedelta

from celery.schedules import schedstate, schedule


class Aligned(schedule):
    """Due at each multiple of ``interval`` seconds since the epoch.

    Celery's own counts from its last run, so that two beats, or one restarted, would tick at other moments.
    """

    def __init__(self, interval: int) -> None:
        super().__init__(run_every=timedelta(seconds=interval))
        self.interval = interval

    def __reduce__(self) -> tuple[type[Aligned], tuple[int]]:
        return type(self), (self.interval,)

    def is_due(self, last_run_at: datetime) -> schedstate:
        """Whether a multiple of the interval lies between the last run and now; seconds until the next."""
        now = self.now().timestamp()
        due = now // self.interval > last_run_at.timestamp() // self.interval
        return schedstate(is_due=due, next=self.interval - now % self.interval)
