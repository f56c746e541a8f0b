"""A row of a file of definitions, as a listener: one meter, made of the notifications of some event types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from collector.definitions.description import Description
from collector.definitions.values import Document, document_of, every, is_path, one
from collector.event_types import is_pattern
from collector.notification import DEFAULT_TOPICS, Notification, parse_time
from collector.paths import Value
from collector.payload import mapping, number, resource, text
from metering.counters import Counter, Kind, Meter
from metering.errors import BadReading, MeteringError

LITERAL = ("name", "unit", "type")  # they may be paths; without a $ they are what they say
READ = (*LITERAL, "volume", "resource_id", "project_id", "user_id", "timestamp")
EVENT_TYPE = "$.event_type"

_KINDS = {kind.value: kind for kind in Kind}

Told = Mapping[str, Any]


def event_types_of(told: Told) -> tuple[str, ...]:
    """The event types that a row wants, which says one or a list."""
    event_types = told["event_type"]
    return (event_types,) if isinstance(event_types, str) else tuple(event_types)


def meters_of(told: Told) -> tuple[Meter, ...]:
    """The meters that a row makes. A name that only the notification tells stands there as it is written.

    Where it is that of the event type, and these are exact, all of them are known.
    """
    names: Sequence[str] = [told["name"]]
    if told["name"] == EVENT_TYPE and not any(map(is_pattern, event_types_of(told))):
        names = event_types_of(told)
    kind = Kind.GAUGE if is_path(told["type"]) else Kind(told["type"])
    return tuple(Meter(name, kind, told["unit"]) for name in dict.fromkeys(names))


def lookup_of(told: Told) -> tuple[str, ...]:
    """The fields of which one notification has several values; ``multi`` is the older name."""
    lookup = told.get("lookup", told.get("multi", ()))
    return (lookup,) if isinstance(lookup, str) else tuple(lookup)


def row(told: Told, exchange: str, description: Description) -> Row:
    """The listener. Raises ValueError for what is no definition."""
    return (RowOfSeveral if lookup_of(told) else Row)(told, exchange, description)


class Row:
    """Makes one sample of a notification, or none where there is no volume."""

    def __init__(self, told: Told, exchange: str, description: Description) -> None:
        self.exchange = exchange
        self.topics = tuple(told.get("topics", DEFAULT_TOPICS))
        self.event_types = event_types_of(told)
        self.meters = meters_of(told)
        self._description = description
        self._labels = {key: f"{key} ({told[key]})" if key in told else key for key in READ}
        name, unit, kind = (told[key] for key in LITERAL)
        self._fixed = None if any(map(is_path, (name, unit, kind))) else (name, Kind(kind), unit)
        self._literals = tuple(_reader(told, key) for key in LITERAL)
        volume = told["volume"]
        self._constant = float(volume) if isinstance(volume, int | float) else None
        self._volume, self._resource = _reader(told, "volume"), _reader(told, "resource_id")
        self._project, self._user = _reader(told, "project_id"), _reader(told, "user_id")
        self._timestamp = _reader(told, "timestamp") if "timestamp" in told else None
        # An id that is null on purpose stays so; one that is not spoken of is that of the context.
        self._has_project, self._has_user = (told.get(key, "") is not None for key in ("project_id", "user_id"))

    def counters(self, notification: Notification) -> Sequence[Counter | BadReading]:
        """Raises ValueError or `MeteringError` where the notification does not say what the row needs of it."""
        document = document_of(notification)
        volume = self._constant
        if volume is None:
            volume = number(self._volume(document), self._labels["volume"])
        if volume is None:
            mapping(notification.payload, "its payload")  # what cannot say a volume has not said that there is none
            return ()
        meter = self._fixed or self._meter(*(read(document) for read in self._literals))
        time = None if self._timestamp is None else self._timestamp(document)
        resource_id, project, user = self._resource(document), self._project(document), self._user(document)
        return (self._counter(notification, document, meter, volume, resource_id, project, user, time),)

    def _meter(self, name: Any, unit: Any, kind: Any) -> tuple[str, Kind, str]:
        """Of a name, a unit and a type that the notification may tell."""
        if kind not in _KINDS:
            raise ValueError(f"{self._labels['type']} must be gauge, delta or cumulative, not {str(kind)[:40]!r}")
        return resource(name, self._labels["name"]), _KINDS[kind], text(unit, self._labels["unit"]) or ""

    def _counter(
        self,
        notification: Notification,
        document: Document,
        meter: tuple[str, Kind, str],
        volume: float,
        resource_id: Any,
        project: Any,
        user: Any,
        time: Any,
    ) -> Counter:
        # Nearly every id is a text, and there: that is found out in the least time.
        if type(resource_id) is not str or not resource_id:
            resource_id = resource(resource_id, self._labels["resource_id"])
        if type(project) is not str or not project:
            project = text(project, self._labels["project_id"])
            project = notification.project_id if project is None and self._has_project else project
        if type(user) is not str or not user:
            user = text(user, self._labels["user_id"])
            user = notification.user_id if user is None and self._has_user else user
        name, kind, unit = meter
        return Counter(
            name,
            kind,
            unit,
            volume,
            user,
            project,
            resource_id,
            notification.timestamp if time is None else parse_time(time),
            self._description.of(notification, document),
            notification.message_id,
        )


class RowOfSeveral(Row):
    """Makes several samples of a notification: fields named by ``lookup`` have a value for each of them."""

    def __init__(self, told: Told, exchange: str, description: Description) -> None:
        super().__init__(told, exchange, description)
        self._lookup = lookup_of(told)
        self._columns = {key: _column(told, key) for key in READ}

    def counters(self, notification: Notification) -> Sequence[Counter | BadReading]:
        """One that cannot be used is told as a `BadReading`, and costs itself only."""
        mapping(notification.payload, "its payload")
        document = document_of(notification)
        columns = {key: read(document) for key, read in self._columns.items()}
        count = len(columns["name" if "name" in self._lookup else self._lookup[0]])
        for key, values in columns.items():
            if key in self._lookup and len(values) != count:
                raise ValueError(f"{self._labels[key]} has {len(values)} values, where {count} samples are told of")
            if key not in self._lookup:
                if len(values) > 1:
                    raise ValueError(f"{self._labels[key]} has {len(values)} values and is not in lookup")
                columns[key] = (values or [None]) * count
        return list(self._made(notification, document, columns, count))

    def _made(
        self, notification: Notification, document: Document, columns: Mapping[str, Sequence[Any]], count: int
    ) -> Iterator[Counter | BadReading]:
        for index in range(count):
            name, unit, kind, volume, resource_id, project, user, time = (columns[key][index] for key in READ)
            try:
                known = number(volume, self._labels["volume"])
                if known is not None:
                    meter = self._meter(name, unit, kind)
                    yield self._counter(notification, document, meter, known, resource_id, project, user, time)
            except (ValueError, MeteringError) as exc:
                yield BadReading(f"{index + 1} of {count}: {exc}")


def _reader(told: Told, key: str) -> Value:
    """How a field is read. Raises ValueError, which names it."""
    value = told.get(key)
    try:
        return (lambda _: value) if key in LITERAL and not is_path(value) else one(value)
    except ValueError as exc:
        raise ValueError(f"{key}: {exc}") from exc


def _column(told: Told, key: str) -> Any:
    value = told.get(key)
    return (lambda _: [value]) if value is None or (key in LITERAL and not is_path(value)) else every(value)
