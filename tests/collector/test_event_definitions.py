"""Files of event definitions: what they may say, and how a fault of one is told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from collector.events import files
from collector.events.definition import EventTypes
from metering import environment
from tests.collector.line import eventually
from tests.collector.test_commands import ROOT, environ
from tests.commands import manage

TOO_MANY = ", ".join(f"t{number}: a" for number in range(181))
X = "- event_type: a\n  traits:\n    x: "
GOOD = "- event_type: a.*\n  traits: {name: payload.name}\n"


def faults(tmp_path: Path, text: str) -> list[str]:
    """What is wrong with a file, each without the file's name; nothing of it is taken."""
    file = tmp_path / "events.yaml"
    file.write_text(text)
    found, wrong = files.of_file(file)
    assert not found
    return [fault.removeprefix(f"{file}:") for fault in wrong]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{}", "1: it must hold a list of definitions"),
        ("", "1: it must hold a list of definitions"),
        ("- event_type: a\n  traits: {", "2: "),
        ("- a", "1: a definition must be a mapping with event_type and traits"),
        ("- event_type: a", "1: traits must be a mapping of names; {} keeps the default ones only"),
        ("- traits: {}", "1: event_type must be a text or a list of texts, not None"),
        ("- event_type: [a, 7]\n  traits: {}", "1: event_type must be a text or a list of texts, not 7"),
        ("- event_type: a\n  event_type: b\n  traits: {}", "2: the definition: the key 'event_type' comes twice"),
        ("- event_type: a\n  trait: {}\n  traits: {}", "2: the definition: unknown key 'trait' (known: "),
        (X + "7", "3: trait x: it must be a path, a list of paths, or a mapping"),
        (X + "a b", "3: trait x: 'a b' is no JSONPath: "),
        (X + "{type: int}", "3: trait x: fields must be a path or a list of paths"),
        (X + "{fields: [a, 3]}", "3: trait x: fields must be a path or a list of paths, not 3"),
        (X + "{type: bool, fields: a}", "3: trait x: type must be one of text, int, float,"),
        (X + "{fields: a, more: 1}", "3: trait x: unknown key 'more'"),
        ("- event_type: a\n  traits:\n    ? ''\n    : a", "4: a trait's name must be a printable text"),
        (X + "\n      fields: a\n      plugin: sum", "5: trait x: there is no plugin 'sum'"),
        (X + "{fields: a, plugin: 7}", "3: trait x: plugin must be a name, or a mapping"),
        (
            X + "{fields: a, plugin: {name: split, parameters: {segment: x}}}",
            "3: trait x: segment must be a whole number, not 'x'",
        ),
        (
            X + "{fields: a, plugin: {name: map, parameters: [1]}}",
            "3: trait x: parameters must be a mapping",
        ),
        (f"- event_type: a\n  traits: {{{TOO_MANY}}}", "2: a definition has at most 180 traits"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_line(tmp_path: Path, text: str, fault: str) -> None:
    [told] = faults(tmp_path, text)

    assert told.startswith(fault)


def test_every_fault_of_a_definition_is_told_at_once(tmp_path: Path) -> None:
    text = "- event_type: 1\n  traits:\n    x: {type: bool, fields: a}\n    y: 'a b'\n"

    assert [fault.partition(":")[0] for fault in faults(tmp_path, text)] == ["1", "3", "4"]


def test_a_bad_definition_costs_only_itself(tmp_path: Path) -> None:
    file = tmp_path / "some.yaml"
    file.write_text(GOOD + "- event_type: b\n" + GOOD)

    found, wrong = files.of_file(file)

    assert [definition.where for definition in found] == [f"{file}:1", f"{file}:4"]
    assert wrong == [f"{file}:3: traits must be a mapping of names; {{}} keeps the default ones only"]


def test_a_file_that_cannot_be_read_costs_only_itself(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(GOOD)
    (tmp_path / "a.yml").write_bytes(b"\xff\xfe\xff")
    (tmp_path / "large.yaml").write_text("#" * (files.LARGEST + 1))
    (tmp_path / "notes.txt").write_text("no definitions")
    ours = len(files.load([])[0])

    found, wrong = files.load([tmp_path, tmp_path / "absent.yaml"])

    assert len(found) == ours + 1
    assert [fault.replace(str(tmp_path), "").split(":")[0] for fault in wrong] == [
        "/a.yml", "/large.yaml", "/absent.yaml cannot be read",
    ]  # fmt: skip


def test_what_is_shipped_is_sound() -> None:
    found, wrong = files.load([])

    assert found
    assert not wrong


@pytest.mark.parametrize(
    ("patterns", "fits", "does_not"),
    [
        (("a.b",), ["a.b"], ["a.b.c", "xa.b", "A.B"]),
        (("a.*", "b.?"), ["a.", "a.b.c", "b.x"], ["b.xx", "c"]),
        (("a.*", "!a.exists"), ["a.create"], ["a.exists", "b"]),
        (("!a.*", "!b"), ["c", "anything"], ["a.x", "b"]),
        (("*",), ["anything"], []),
        (("identity.OS-TRUST:trust.*",), ["identity.OS-TRUST:trust.created"], ["identity.OS-TRUST:x"]),
    ],
)
def test_event_types_are_globs_and_exclusions(patterns: tuple[str, ...], fits: list[str], does_not: list[str]) -> None:
    types = EventTypes(patterns)

    assert [name for name in fits + does_not if name in types] == fits


def test_check_looks_at_the_files_once_events_are_kept_or_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("- 7\n")
    told = {"METERING_EVENT_DEFINITIONS": str(tmp_path)}

    assert list(files.faults(environment.load(told), told)) == [
        f"{tmp_path}/bad.yaml:1: a definition must be a mapping with event_type and traits"
    ]
    assert list(files.faults(environment.load({}), {})) == []


def test_the_check_tells_each_fault_with_its_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(GOOD + "- {event_type: b, traits: {x: 'a b'}}\n")

    said = manage("check", METERING_EVENT_DEFINITIONS=str(tmp_path))

    assert f"(metering.W005) left out: {tmp_path}/mine.yaml:3: trait x: 'a b' is no JSONPath: " in said
    assert said.count("metering.W005") == 1


def test_the_consumer_says_what_it_leaves_out_and_goes_on(tmp_path: Path, amqp_url: str) -> None:
    (tmp_path / "mine.yaml").write_text("- 7\n")
    told = environ(amqp_url, METERING_EVENTS="1", METERING_EVENT_EXCHANGES="cinder")
    told |= {"METERING_EVENT_DEFINITIONS": str(tmp_path), "METERING_DISABLED_PLUGINS": "image,instance,volume"}
    log = tmp_path / "log"
    with log.open("w") as file:
        consumer = subprocess.Popen(
            [sys.executable, "manage.py", "collect_notifications"], cwd=ROOT, env=told, stderr=file
        )
    try:
        assert eventually(lambda: "for exchange cinder" in log.read_text(), 30)
        assert f"left out: {tmp_path}/mine.yaml:1: a definition must be a mapping" in log.read_text()
    finally:
        consumer.terminate()
        assert consumer.wait(30) == 0
