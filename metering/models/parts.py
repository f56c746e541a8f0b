"""Which roll-ups and which samples together hold each sample of a question once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from metering.identity import EPOCH
from metering.models.questions import Window

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Stretch:
    """From ``start`` to before ``end``, both at full hours, or at midnights."""

    start: datetime
    end: datetime

    def __bool__(self) -> bool:
        return self.start < self.end


NOWHERE = Stretch(EPOCH, EPOCH)


@dataclass(frozen=True, slots=True)
class Parts:
    """The days and hours that roll-ups answer for, and the windows in which the samples are read.

    ``hours`` hold ``days``. Only what ``late`` names from ``raw_from`` on is not as its roll-up says.
    """

    samples: tuple[Window, ...]
    hours: Stretch = NOWHERE
    days: Stretch = NOWHERE
    raw_from: datetime = EPOCH

    @property
    def edges(self) -> tuple[Stretch, ...]:
        """The hours that no day of these holds."""
        if not self.days:
            return (self.hours,) if self.hours else ()
        edges = Stretch(self.hours.start, self.days.start), Stretch(self.days.end, self.hours.end)
        return tuple(filter(None, edges))


@dataclass(frozen=True, slots=True)
class Cut:
    """Time cut into periods of so many seconds, the first of which begins at ``start``; 0: it is not cut."""

    period: int
    start: datetime | None

    def spares(self, span: timedelta) -> bool:
        """Whether each such span, counted from midnight, lies in one period."""
        if not self.period:
            return True
        if self.start is None:
            return False  # the first sample says where
        return not timedelta(seconds=self.period % span.total_seconds()) and not (self.start - EPOCH) % span


def split(window: Window, cut: Cut, rolled: datetime, raw_from: datetime) -> Parts:
    """The window by what answers for it: whole days, whole hours, and samples for the rest.

    Where the periods cut hours the samples are asked. Those that have expired left their hours only, each of which
    then counts where its first sample lies.
    """
    start = EPOCH if window.lower is None else _up(window.lower, HOUR, beyond=window.without_start)
    end = rolled if window.upper is None else min(_down(window.upper, HOUR), rolled)
    hours = Stretch(start, end if cut.spares(HOUR) else min(end, raw_from))
    if not hours:
        return Parts((window,))
    days = NOWHERE
    if cut.spares(DAY):
        days = Stretch(_up(hours.start, DAY), _down(hours.end, DAY)) or NOWHERE
    return Parts(_edges(window, hours), hours, days, raw_from)


def _edges(window: Window, hours: Stretch) -> tuple[Window, ...]:
    edges = []
    if window.lower is not None and window.lower < hours.start:
        edges.append(Window(window.lower, hours.start, without_start=window.without_start))
    if window.upper is None or window.upper > hours.end or window.with_end:
        edges.append(Window(hours.end, window.upper, with_end=window.with_end))
    return tuple(edges)


def _down(moment: datetime, span: timedelta) -> datetime:
    return moment - (moment - EPOCH) % span


def _up(moment: datetime, span: timedelta, *, beyond: bool = False) -> datetime:
    """The next beginning of such a span; with ``beyond``, after the moment itself. Not past the calendar's end."""
    down = _down(moment, span)
    if down == moment and not beyond:
        return moment
    try:
        return down + span
    except OverflowError:
        return datetime.max.replace(tzinfo=moment.tzinfo)
