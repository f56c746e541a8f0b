from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from collector.hearing import Heard, hear
from collector.index import Index, load, subscribe
from metering import environment
from metering.counters import Counter
from tests.collector.bodies import body, recorded
from tests.collector.rows import loaded
from tests.commands import manage

HEAD = "exchange: cinder\nmeters:\n"
ROW = """\
  - name: acme.size
    event_type: volume.exists
    type: gauge
    unit: GiB
    volume: $.payload.size
    resource_id: $.payload.volume_id
"""


def faults(folder: Path, text: str) -> list[str]:
    return [plugin.reason for plugin in loaded(folder, text).values() if plugin.broken]


def heard(folder: Path, text: str, payload: Any = None, *, exchange: str = "cinder", **settings: str) -> Heard:
    """What the rows of a text make of a notification."""
    found = loaded(folder, text, **settings)
    assert not [plugin.reason for plugin in found.values() if plugin.broken]
    index = Index(subscribe(name, plugin.target) for name, plugin in found.items() if plugin.target is not None)
    message = recorded("volume.exists")
    return hear(body(message if payload is None else message | {"payload": payload}), exchange, index)


def one(result: Heard) -> Counter:
    assert result.failures == ()
    [counter] = result.counters
    return counter


def test_a_row_of_an_operators_folder_is_a_meter(tmp_path: Path) -> None:
    counter = one(heard(tmp_path, HEAD + ROW))

    assert (counter.name, str(counter.type), counter.unit, counter.volume) == ("acme.size", "gauge", "GiB", 10)
    assert counter.resource_id == "c2a3b4d5-6e7f-4081-92a3-b4c5d6e7f809"
    assert counter.project_id == recorded("volume.exists")["_context_project_id"]
    assert counter.timestamp == datetime(2026, 11, 23, 11, 0, 0, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("changed", "line", "said"),
    [
        (("    unit: GiB\n", ""), 3, "'unit' is a required property"),
        (("type: gauge", "type: level"), 5, "type: "),
        (("type: gauge", "kind: gauge"), 5, "unknown key 'kind'"),
        (("volume: $.payload.size", "volume: payload.size"), 7, "is no path"),
        (("volume: $.payload.size", "volume: $.payload..["), 7, "is no JSONPath"),
        (("volume: $.payload.size", "volume: $.payload.sizes[*]"), 7, "name it in lookup"),
        (("volume: $.payload.size", "volume: {fields: [$.a], plugin: timedelta}"), 7, "exactly two fields"),
        (("volume: $.payload.size", "volume: {fields: [$.a], plugin: sum}"), 7, "there is no plugin 'sum'"),
        (("event_type: volume.exists", "event_type: /volume.(/"), 4, "is no regular expression"),
        (("event_type: volume.exists", "event_type: volume.[ab]"), 4, "between slashes"),
        (
            ("resource_id: $.payload.volume_id", "resource_id: $.a\n    lookup: [volume, colour]"),
            9,
            "'colour' is no field",
        ),
        (("resource_id: $.payload.volume_id", "resource_id: $.a\n    metadata: {name: display_name}"), 9, "is no path"),
        (("name: acme.size", "name: ''"), 3, "name: "),
        (("    unit: GiB\n", "    unit: GiB\n    unit: MiB\n"), 7, "the key 'unit' comes twice"),
    ],
)
def test_a_fault_is_told_by_file_and_line_and_costs_only_its_row(
    tmp_path: Path, changed: tuple[str, str], line: int, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert changed[0] in ROW
    text = HEAD + ROW.replace(*changed) + ROW.replace("acme.size", "acme.good")

    found = loaded(tmp_path, text)

    [fault] = [plugin.reason for plugin in found.values() if plugin.broken]
    assert f"{tmp_path / 'mine.yaml'}:{line}: " in fault
    assert said in fault
    assert found["mine.acme.good"].state == "on"


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("exchange: cinder\n", 1, "not valid"),
        ("", 1, "object"),
        ("- a\n- b\n", 1, "object"),
        ("meters: 7\n", 1, "array"),
        ("meters: []\nmetres: []\n", 2, "unknown key 'metres'"),
        ("meters: [\n", 2, ""),
        ("meters: []\nnova_notifications: both\n", 2, "both"),
    ],
)
def test_a_file_that_is_none_of_meters_says_so(tmp_path: Path, text: str, line: int, said: str) -> None:
    [fault] = faults(tmp_path, text)

    assert f"{tmp_path / 'mine.yaml'}:{line}: " in fault
    assert said in fault


def test_a_row_that_is_no_object_or_has_no_exchange_is_told(tmp_path: Path) -> None:
    found = faults(tmp_path, "meters:\n  - 7\n" + ROW)

    assert len(found) == 2
    assert "is not of type 'object'" in found[0]
    assert "'exchange' is a required property" in found[1]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    found = loaded(tmp_path, HEAD + ROW, METERING_METER_DEFINITIONS=f"{tmp_path},{tmp_path}/none")

    assert found[f"{tmp_path}/none"].broken
    assert found["mine.acme.size"].state == "on"


def test_in_the_form_of_ceilometers_files_event_types_are_regular_expressions(tmp_path: Path) -> None:
    text = "exchange: [cinder, acme]\nmetric:\n" + ROW.replace("volume.exists", "volume.e.i.t")

    found = loaded(tmp_path, text)

    assert set(found) == {"mine.acme.size@cinder", "mine.acme.size@acme"}
    assert one(heard(tmp_path, text)).volume == 10
    assert one(heard(tmp_path, text, exchange="acme")).volume == 10


def test_what_is_said_once_holds_for_every_row_that_says_nothing_else(tmp_path: Path) -> None:
    defaults = "exchange: cinder\ndefaults:\n  project_id: $.payload.host\n  user_id: null\nmeters:\n"
    own = ROW.replace("acme.size", "acme.own") + "    project_id: $.payload.status\n"

    result = heard(tmp_path, defaults + ROW + own)

    assert [(c.name, c.project_id, c.user_id) for c in result.counters] == [
        ("acme.own", "available", None),
        ("acme.size", "controller-1@lvm#LVM", None),
    ]


def test_rows_that_keep_the_same_share_the_very_metadata(tmp_path: Path) -> None:
    kept = "    metadata: {name: $.payload.display_name, none: $.payload.snapshot_id}\n"

    rows = [ROW + kept, ROW.replace("acme.size", "acme.same") + kept, ROW.replace("acme.size", "acme.whole")]

    result = heard(tmp_path, HEAD + "".join(rows))

    other, same, whole = sorted(result.counters, key=lambda counter: counter.name)[:3]
    assert other.resource_metadata is same.resource_metadata
    assert same.resource_metadata == {"name": "data"}
    assert whole.resource_metadata["event_type"] == "volume.exists"
    assert whole.resource_metadata["host"] == recorded("volume.exists")["publisher_id"]
    assert whole.resource_metadata["size"] == 10


def test_a_payload_that_is_kept_whole_is_kept_without_secrets(tmp_path: Path) -> None:
    payload = {"volume_id": "v", "size": 1, "auth_token": "x", "inner": {"password": "x", "seen": 1}}

    counter = one(heard(tmp_path, HEAD + ROW, payload))

    assert "auth_token" not in counter.resource_metadata
    assert counter.resource_metadata["inner"] == {"seen": 1}


def test_users_metadata_is_what_the_settings_say(tmp_path: Path) -> None:
    row = ROW + "    metadata: {}\n    user_metadata: $.payload.metadata\n"
    payload = {"volume_id": "v", "size": 1, "metadata": {"bill.to": "4711", "team": "web", "note": "mine"}}
    settings = {"METERING_USER_METADATA_PREFIXES": "bill.", "METERING_USER_METADATA_KEYS": "team"}

    counter = one(heard(tmp_path, HEAD + row, payload, **settings))

    assert counter.resource_metadata == {"user_metadata": {"to": "4711", "team": "web"}}


LOOKUP = """\
  - name: $.payload.metrics[*].name
    event_type: volume.exists
    type: gauge
    unit: $.payload.metrics[*].unit
    volume: $.payload.metrics[*].value
    resource_id: $.payload.volume_id
    lookup: [name, unit, volume]
    metadata: {}
"""


def metrics(*rows: tuple[Any, Any, Any]) -> dict[str, Any]:
    return {"volume_id": "v", "metrics": [dict(zip(("name", "unit", "value"), row, strict=True)) for row in rows]}


def test_a_row_may_make_several_samples_of_one_payload(tmp_path: Path) -> None:
    result = heard(tmp_path, HEAD + LOOKUP, metrics(("a", "B", 1), ("b", "s", "2.5"), ("c", "s", None)))

    assert result.failures == ()
    made = [(c.name, c.unit, c.volume, c.resource_id) for c in result.counters]
    assert made == [("a", "B", 1, "v"), ("b", "s", 2.5, "v")]


def test_of_several_one_that_cannot_be_used_costs_only_itself_and_is_told(tmp_path: Path) -> None:
    result = heard(tmp_path, HEAD + LOOKUP, metrics(("a", "B", 1), ("b", "s", "much"), ("", "s", 1)))

    assert [c.name for c in result.counters] == ["a"]
    assert [failure.reason for failure in result.failures] == ["listener mine.line-3 failed in part"] * 2
    assert "2 of 3: volume" in result.failures[0].error
    assert "3 of 3: it has no name" in result.failures[1].error


def test_fields_that_do_not_go_together_are_told(tmp_path: Path) -> None:
    payload = metrics(("a", "B", 1), ("b", "s", 2))
    del payload["metrics"][1]["value"]

    result = heard(tmp_path, HEAD + LOOKUP, payload)

    assert result.counters == ()
    assert "has 1 values, where 2 samples are told of" in result.failures[0].error


def test_a_time_of_its_own_is_read_and_an_absurd_one_is_told(tmp_path: Path) -> None:
    row = ROW + "    timestamp: $.payload.at\n"
    payload = {"volume_id": "v", "size": 1}

    good = one(heard(tmp_path, HEAD + row, payload | {"at": "2026-11-23 10:00:00+01:00"}))
    [bad] = heard(tmp_path, HEAD + row, payload | {"at": "soon"}).failures
    [early] = heard(tmp_path, HEAD + row, payload | {"at": "0001-01-01T00:00:00"}).failures

    assert good.timestamp == datetime(2026, 11, 23, 9, tzinfo=UTC)
    assert "is no time" in bad.error
    assert "before 1970" in early.error


SECONDS = "{fields: [$.payload.a, $.payload.b], plugin: timedelta}"
SPLIT = "{fields: $.payload.a, plugin: {name: split, parameters: {%s}}}"
MAP = "{fields: $.payload.a, plugin: {name: map, parameters: {values: {UP: 1}%s}}}"
BITS = (
    "{fields: [$.payload.a, $.payload.b], plugin: {name: bitfield, parameters: "
    "{flags: [{path: $.payload.a, bit: 1}, {path: $.payload.b, bit: 2, value: x}]}}}"
)


@pytest.mark.parametrize(
    ("told", "payload", "volume"),
    [
        (SECONDS, {"a": "2026-01-01T00:01:00Z", "b": "2026-01-01"}, 60),
        (SECONDS, {"a": "", "b": "2026-01-01"}, None),
        (SPLIT % "separator: '#', segment: 1", {"a": "x#7"}, 7),
        (SPLIT % "segment: 4", {"a": "x.7"}, None),
        (MAP % ", default: 0, case_sensitive: false", {"a": "up"}, 1),
        (MAP % ", default: 0", {"a": "up"}, 0),
        (MAP % "", {}, None),
        (BITS, {"a": 0, "b": "x"}, 6),
        (BITS, {"b": "y"}, 0),
        ("{fields: [$.payload.b, $.payload.a]}", {"a": 3}, 3),
        ("[$.payload.b, $.payload.a]", {"b": "", "a": "4"}, 4),
        ("0.5", {}, 0.5),
        ("$.payload.a * 100", {"a": 0.25}, 25),
        ("$.payload.a.`split(-, 1, -1)`", {"a": "x-8"}, 8),
    ],
)
def test_a_volume_may_be_computed(tmp_path: Path, told: str, payload: dict[str, Any], volume: float | None) -> None:
    row = ROW.replace("$.payload.size", told)

    result = heard(tmp_path, HEAD + row, payload | {"volume_id": "v"})

    assert result.failures == ()
    assert [counter.volume for counter in result.counters] == ([] if volume is None else [volume])


@pytest.mark.parametrize(
    "parameters",
    [
        "{name: split, parameters: {separator: ''}}",
        "{name: split, parameters: {segment: one}}",
        "{name: map}",
        "{name: map, parameters: {value: {}}}",
        "{name: bitfield, parameters: {flags: []}}",
        "{name: bitfield, parameters: {flags: [{path: $.other, bit: 1}]}}",
        "{name: bitfield, parameters: {flags: [{path: $.payload.a, bit: 64}]}}",
    ],
)
def test_parameters_that_make_no_sense_are_told(tmp_path: Path, parameters: str) -> None:
    row = ROW.replace("$.payload.size", f"{{fields: $.payload.a, plugin: {parameters}}}")

    [fault] = faults(tmp_path, HEAD + row)

    assert f"{tmp_path / 'mine.yaml'}:7: volume" in fault


def test_a_label_names_a_row_and_switches_it_off(tmp_path: Path) -> None:
    text = HEAD + "  - label: mine\n" + ROW.replace("  - ", "    ")

    assert loaded(tmp_path, text)["mine.mine"].state == "on"
    off = loaded(tmp_path, text, METERING_DISABLED_PLUGINS="mine.mine")["mine.mine"]
    assert (off.state, off.reason) == ("off", "named in METERING_DISABLED_PLUGINS")


def test_of_two_rows_of_one_name_and_file_both_have_a_name(tmp_path: Path) -> None:
    again = ROW.replace("volume.exists", "volume.create.end")

    assert set(loaded(tmp_path, HEAD + ROW + again)) == {"mine.acme.size", "mine.acme.size.line-9"}


def test_a_row_that_a_shipped_one_makes_already_is_left_out_with_its_reason(tmp_path: Path) -> None:
    found = loaded(tmp_path, HEAD + ROW.replace("acme.size", "volume.size"))

    index = load(environment.load({"METERING_METER_DEFINITIONS": str(tmp_path)}), {})

    assert found["mine.volume.size"].state == "on"
    assert index.left_out == {"mine.volume.size": "'cinder.volume.size' makes volume.size of volume.exists too"}


def test_a_row_that_is_wrong_is_shown_where_an_operator_looks(tmp_path: Path) -> None:
    bad, rival = ROW.replace("$.payload.size", "payload.size"), ROW.replace("acme.size", "volume.size")
    (tmp_path / "mine.yaml").write_text(HEAD + bad + ROW + rival)
    where = f"{tmp_path / 'mine.yaml'}:7: volume: 'payload.size' is no path"

    checked = manage("check", METERING_METER_DEFINITIONS=str(tmp_path))
    listed = manage("plugins", METERING_METER_DEFINITIONS=str(tmp_path))

    assert where in checked
    assert where in listed
    assert f"metering.collector  mine.acme.size.line-9  ({tmp_path / 'mine.yaml'} line 9)  on" in listed
    assert "left out, 'cinder.volume.size' makes volume.size of volume.exists too" in listed
    assert "metering.collector  nova.memory  (" in listed
