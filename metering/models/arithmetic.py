"""How samples are added up, and roll-ups after them: what the SQL of both shares."""

from __future__ import annotations

FIGURES = (
    "count", "sum", "min", "max", "first_at", "first_volume", "last_at", "last_volume",
    "m2", "increase", "resets", "gap",
)  # fmt: skip
# From this size on a volume's square, or a sum of such, may overflow: the hour's sum, m2 and increase are infinite,
# and as long as its samples are there it stays in ``late``, so that they are read instead.
LARGE = "1e140::float8"


def mean_of(total: str, count: str) -> str:
    """SQL of an average. PostgreSQL raises an error where a quotient is too small for a float."""
    return f"CASE WHEN abs({total}) < 1e-300 THEN 0 ELSE {total} / {count} END"


def square_of(number: str) -> str:
    """SQL of a square, where PostgreSQL would raise an error for one too small for a float."""
    return f"CASE WHEN abs({number}) < 1e-150 THEN 0 ELSE ({number}) ^ 2 END"
