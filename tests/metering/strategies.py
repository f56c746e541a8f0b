"""What hypothesis may put into a sample: everything that a sample may hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from metering.counters import Counter, Kind
from tests.factories import NOON

# The same examples in every run, as many as the time of `make test` allows.
few = settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
many = settings(few, max_examples=50)

characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
texts = st.text(characters, min_size=1, max_size=40)
empty_texts = st.text(characters, max_size=40)
volumes = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**60), 2**60).map(float)
moments = st.datetimes(
    (NOON - timedelta(days=2)).replace(tzinfo=None), NOON.replace(tzinfo=None), timezones=st.just(UTC)
)

# Metadata may hold what a field may not: NUL and lone surrogates, written as escapes.
_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(), max_size=20)
)
json_values = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(), max_size=10), inner, max_size=4)
    ),
    max_leaves=12,
)
metadata = st.dictionaries(st.text(st.characters(), max_size=10), json_values, max_size=5)


def _counter(
    name: str,
    kind: Kind,
    unit: str,
    volume: float,
    user_id: str | None,
    project_id: str | None,
    resource_id: str,
    timestamp: datetime,
    about: dict[str, object],
) -> Counter:
    return Counter(name, kind, unit, volume, user_id, project_id, resource_id, timestamp, about, "an origin")


counters = st.builds(
    _counter,
    texts,
    st.sampled_from(Kind),
    empty_texts,
    volumes,
    st.none() | empty_texts,
    st.none() | empty_texts,
    texts,
    moments,
    metadata,
)
