"""The figures that statistics consist of, each as SQL over the parts that samples were added up to.

A part is a sample alone, or a roll-up (metering/models/parts.py). ``before`` and ``before_at`` are the last volume
and time of the part before it of the same series, ``mean`` is that of the part's whole row of statistics.
"""

from __future__ import annotations

from typing import NamedTuple

from metering.models.arithmetic import mean_of, square_of

_STEP = "CASE WHEN first_volume < before THEN first_volume ELSE first_volume - before END"
_CUMULATIVE = "FILTER (WHERE type = 'cumulative')"
_DELTA = f"sum(increase + COALESCE({_STEP}, 0)) {_CUMULATIVE}"
_SECONDS = "extract(epoch FROM max(last_at) - min(COALESCE(before_at, first_at)))::float8"
_RATE = mean_of(f"({_DELTA})", _SECONDS)
_OWN_MEAN = mean_of("sum", "count")
_SQUARES = f"sum(m2 + count * {square_of(f'{_OWN_MEAN} - mean')})"
_EARLIEST = "first_at, series_id, message_id NULLS FIRST"
_LATEST = "last_at DESC, series_id DESC, message_id DESC NULLS LAST"

FUNCTIONS = {
    "avg": mean_of("sum(sum)", "sum(count)"),
    "count": "sum(count)::bigint",
    "delta": _DELTA,  # how far the readings of cumulative meters rose; after a drop, from zero
    "first": f"(array_agg(first_volume ORDER BY {_EARLIEST}))[1]",
    "gap": "GREATEST(max(gap), max(extract(epoch FROM first_at - before_at))::float8)",  # the longest, in seconds
    "last": f"(array_agg(last_volume ORDER BY {_LATEST}))[1]",
    "max": "max(max)",
    "min": "min(min)",
    "rate": f"CASE WHEN {_SECONDS} > 0 THEN {_RATE} END",  # delta a second
    "resets": f"(sum(resets + CASE WHEN first_volume < before THEN 1 ELSE 0 END) {_CUMULATIVE})::bigint",
    "stddev": f"sqrt({mean_of(_SQUARES, 'sum(count)')})",  # of the population, not of a sample of it
    "sum": "sum(sum)",
}
STANDARD = ("avg", "sum", "count", "min", "max")
COUNTABLE = ("project_id", "resource_id", "user_id")  # what cardinality counts the distinct ones of
_OF_NEIGHBOURS = ("delta", "gap", "rate", "resets")


class Figure(NamedTuple):
    """One figure asked for: a function of `FUNCTIONS`, ``cardinality`` of a ``param`` of `COUNTABLE`, or the
    ``percentile`` of a ``param`` from 0 to 100. A tuple, because every row of statistics asks for its hash.
    """

    function: str
    param: str | None = None

    @property
    def name(self) -> str:
        return f"{self.function}/{self.param}" if self.param else self.function

    @property
    def is_standard(self) -> bool:
        return self.function in STANDARD

    @property
    def needs_samples(self) -> bool:
        """Whether no roll-up tells it."""
        return self.function == "percentile"

    @property
    def needs_neighbours(self) -> bool:
        """Whether it is of the steps between samples, too."""
        return self.function in _OF_NEIGHBOURS

    @property
    def needs_mean(self) -> bool:
        return self.function == "stddev"

    @property
    def counted(self) -> str | None:
        """The column of a series that it counts; None of most."""
        return self.param if self.function == "cardinality" else None

    @property
    def sql(self) -> str:
        if self.counted:
            return f"count(DISTINCT {self.counted})"
        if self.param is not None:
            return f"percentile_cont({float(self.param) / 100!r}) WITHIN GROUP (ORDER BY sum)"
        return FUNCTIONS[self.function]
