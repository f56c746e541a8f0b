"""The SQL that makes an hour's roll-up of its samples, and a day's of its hours.

Each takes a relation ``wanted`` of (series_id, hour) or (series_id, day), and looks up each of its rows by key, so
that an hour costs what it holds, however large its day is.
"""

from __future__ import annotations

from metering.models.arithmetic import FIGURES, LARGE, mean_of, square_of

COLUMNS = ", ".join(FIGURES)
_REPLACED = ", ".join(f"{figure} = excluded.{figure}" for figure in FIGURES)
HOUR, DAY = "interval '1 hour'", "interval '24 hours'"

_TAME = f"abs(volume) < {LARGE}"
_RISE = "CASE WHEN volume < before THEN volume ELSE volume - before END"
# lag and lead are null at the first and at the last sample. The bounds tell the planner which partitions to plan for.
HOURS_MADE = f"""
SELECT wanted.series_id, wanted.hour, made.*
FROM wanted CROSS JOIN LATERAL (
    SELECT
        count(*) AS count,
        CASE WHEN bool_and({_TAME}) THEN sum(volume ORDER BY ts, message_id) FILTER (WHERE {_TAME})
            ELSE 'Infinity' END AS sum,
        min(volume) AS min,
        max(volume) AS max,
        min(ts) AS first_at,
        max(volume) FILTER (WHERE before_at IS NULL) AS first_volume,
        max(ts) AS last_at,
        max(volume) FILTER (WHERE after_at IS NULL) AS last_volume,
        CASE WHEN bool_and({_TAME}) THEN var_pop(volume) FILTER (WHERE {_TAME}) * count(*) ELSE 'Infinity' END AS m2,
        CASE WHEN bool_and({_TAME}) THEN
            COALESCE(sum({_RISE}) FILTER (WHERE {_TAME} AND abs(before) < {LARGE}), 0) ELSE 'Infinity' END AS increase,
        count(*) FILTER (WHERE volume < before) AS resets,
        COALESCE(max(extract(epoch FROM ts - before_at)), 0)::float8 AS gap
    FROM (
        SELECT ts, message_id, volume, lag(volume) OVER read AS before, lag(ts) OVER read AS before_at,
            lead(ts) OVER read AS after_at
        FROM sample
        WHERE series_id = wanted.series_id AND ts >= wanted.hour AND ts < wanted.hour + {HOUR}
            AND ts >= %(start)s AND ts < %(end)s
        WINDOW read AS (ORDER BY ts, message_id)
    ) AS reading
    HAVING count(*) > 0
) AS made
"""

_MEAN = mean_of("sum", "count")
_ALL_TAME = "bool_and(sum < 'Infinity')"
_STEP = "CASE WHEN first_volume < before THEN first_volume ELSE first_volume - before END"
DAYS_MADE = f"""
SELECT wanted.series_id, wanted.day, made.*
FROM wanted CROSS JOIN LATERAL (
    SELECT
        sum(count)::bigint AS count,
        sum(sum ORDER BY hour) AS sum,
        min(min) AS min,
        max(max) AS max,
        min(first_at) AS first_at,
        max(first_volume) FILTER (WHERE before_at IS NULL) AS first_volume,
        max(last_at) AS last_at,
        max(last_volume) FILTER (WHERE after_at IS NULL) AS last_volume,
        CASE WHEN {_ALL_TAME} THEN
            COALESCE(sum(m2 + count * {square_of(f"{_MEAN} - mean")}) FILTER (WHERE mean < 'Infinity'), 0)
            ELSE 'Infinity' END AS m2,
        CASE WHEN {_ALL_TAME} THEN sum(increase) + COALESCE(
            sum({_STEP}) FILTER (WHERE abs(first_volume) < {LARGE} AND abs(before) < {LARGE}), 0)
            ELSE 'Infinity' END AS increase,
        (sum(resets) + count(*) FILTER (WHERE first_volume < before))::bigint AS resets,
        GREATEST(max(gap), max(extract(epoch FROM first_at - before_at))::float8) AS gap
    FROM (
        SELECT hour, {COLUMNS}, lag(last_volume) OVER read AS before, lag(last_at) OVER read AS before_at,
            lead(first_at) OVER read AS after_at, {mean_of("sum(sum) OVER ()", "sum(count) OVER ()")} AS mean
        FROM sample_hour
        WHERE series_id = wanted.series_id AND hour >= wanted.day AND hour < wanted.day + {DAY}
            AND hour >= %(start)s AND hour < %(end)s
        WINDOW read AS (ORDER BY hour)
    ) AS hours
    HAVING count(*) > 0
) AS made
"""

# What is too large to be added up goes to ``late`` again, for its samples to be read.
STORE_HOURS = f"""
made AS (
    INSERT INTO sample_hour AS known (series_id, hour, {COLUMNS})
    {HOURS_MADE}
    ON CONFLICT (series_id, hour) DO UPDATE SET {_REPLACED}
    RETURNING series_id, hour, sum
), untamed AS (
    INSERT INTO late (series_id, hour) SELECT series_id, hour FROM made WHERE sum = 'Infinity'
)
"""
STORE_DAYS = f"""
INSERT INTO sample_day AS known (series_id, day, {COLUMNS})
{DAYS_MADE}
ON CONFLICT (series_id, day) DO UPDATE SET {_REPLACED}
"""
