from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering import sources, sources_file, yaml_lines
from metering.errors import BadSetting
from metering.sources import Source
from pollsters.runner import Place
from tests.commands import manage, python


def load(folder: Path, text: str) -> tuple[Source, ...]:
    return sources.load(written(folder, text), 60)


def written(folder: Path, text: str) -> Path:
    path = folder / "sources.yaml"
    path.write_text(text)
    return path


def faults(folder: Path, text: str) -> list[str]:
    """What is said of a file, a fault a line."""
    with pytest.raises(BadSetting) as caught:
        load(folder, text)
    first, *others = str(caught.value).splitlines()
    assert first == f"METERING_SOURCES_FILE {folder}/sources.yaml:"
    return [line.strip() for line in others]


def one(*meters: str, discovery: tuple[str, ...] = ()) -> Source:
    return Source("one", 60, meters, discovery)


def test_without_a_file_one_source_reads_everything_at_the_global_interval() -> None:
    [source] = sources.load(None, 60)

    assert (source.name, source.interval) == ("default", 60)
    assert source.wants("cpu")
    assert source.wants_at("image.size", Place("image"))


def test_a_source_has_an_interval_of_its_own_or_the_global_one(tmp_path: Path) -> None:
    hourly, rest = load(
        tmp_path, "sources: [{name: slow, interval: 3600, meters: [image.*]}, {name: b, meters: ['*']}]"
    )

    assert (hourly.interval, rest.interval) == (3600, 60)


@pytest.mark.parametrize(
    ("meters", "named", "not_named"),
    [
        (("cpu",), ("cpu",), ("cpu_util", "vcpus")),
        (("cpu", "disk.*"), ("cpu", "disk.device.read.bytes"), ("disk", "memory")),
        (("disk.device.*.bytes",), ("disk.device.read.bytes",), ("disk.device.read.requests",)),
        (("!cpu",), ("memory", "disk.read.bytes"), ("cpu",)),
        (("!cpu", "!disk.*"), ("memory",), ("cpu", "disk.read.bytes")),
        (("*", "!disk.*"), ("cpu",), ("disk.read.bytes",)),
        (("*",), ("cpu", "anything.else"), ()),
    ],
)
def test_a_source_names_its_meters_by_name_glob_and_exclusion(
    meters: tuple[str, ...], named: tuple[str, ...], not_named: tuple[str, ...]
) -> None:
    assert all(one(*meters).matches(meter) for meter in named)
    assert not any(one(*meters).matches(meter) for meter in not_named)


def test_a_meter_that_two_sources_name_belongs_to_the_first(tmp_path: Path) -> None:
    fast, rest = load(
        tmp_path, "sources: [{name: fast, interval: 5, meters: [cpu, 'disk.*']}, {name: rest, meters: ['*']}]"
    )

    assert (fast.wants("cpu"), rest.wants("cpu")) == (True, False)
    assert rest.matches("cpu")
    assert (fast.wants("memory"), rest.wants("memory")) == (False, True)


def test_discovery_narrows_where_central_meters_are_read(tmp_path: Path) -> None:
    source = one("*", discovery=("endpoint:block-*", "region:north", "region:south"))

    assert source.wants_at("volume.size", Place("block-storage", "north"))
    assert source.wants_at("volume.size", Place("block-storage", "south"))
    assert not source.wants_at("volume.size", Place("block-storage", "east"))
    assert not source.wants_at("volume.size", Place("block-storage"))
    assert not source.wants_at("image.size", Place("image", "north"))
    assert source.wants("cpu")  # of guests, which are where the worker is
    assert not one("*", discovery=("cloud:ours",)).wants_at("image.size", Place("image", cloud="theirs"))


def test_a_meter_that_one_source_reads_at_some_places_is_read_elsewhere_by_the_next(tmp_path: Path) -> None:
    north, rest = load(
        tmp_path,
        "sources: [{name: north, meters: [volume.size], discovery: ['region:north']}, {name: rest, meters: ['*']}]",
    )

    for region, reader in (("north", north), ("south", rest)):
        place = Place("block-storage", region)
        assert [source.wants_at("volume.size", place) for source in (north, rest)] == [reader is north, reader is rest]
    assert north.wants_somewhere("volume.size")
    assert rest.wants_somewhere("volume.size")


def test_a_source_whose_meter_is_read_everywhere_already_reads_it_nowhere(tmp_path: Path) -> None:
    _, late = load(tmp_path, "sources: [{name: first, meters: ['*']}, {name: late, meters: [volume.size]}]")

    assert not late.wants_somewhere("volume.size")


FAULTY = """\
sources:
  - name: disks
    interval: often
    meters:
      - disk.*
      - "!disk.device.*"
  - name: disks
    meters: cpu
    sinks: [meter_sink]
  - meters: ["*", cpu, 3]
    discovery: [tenant]
    interval:
  - cpu
  - {name: ten, interval: 0, meters: [], name: ten}
  - {name: "a\\tb", interval: 1.5, meters: ["!"], discovery: [], resources: ["snmp://switch"]}
surces: []
"""


def test_every_fault_of_a_file_is_said_at_once_with_its_line(tmp_path: Path) -> None:
    said = faults(tmp_path, FAULTY)

    assert said == [
        "line 3: source 'disks': 'interval' must be whole seconds, from 1 to 86400, not 'often'",
        "line 6: source 'disks': '!disk.device.*' beside inclusions; exclusions stand alone or with '*'",
        "line 7: the source on line 2 has the name 'disks' as well",
        "line 8: source 'disks': 'meters' must be a list of names, globs and !exclusions, not empty",
        "line 9: source 'disks': unknown key 'sinks' (every sample goes to the store, and from there to whoever "
        "wants it)",
        "line 10: source 3: 'cpu' beside '*', which names all meters already",
        "line 10: source 3: 'name' must be a text of at most 200 printable characters",
        "line 10: source 3: a meter must be a name, a glob or an !exclusion, not 3",
        "line 11: source 3: discovery must be one of endpoint: region: cloud: and a name or glob, not 'tenant'",
        "line 12: source 3: 'interval' must be whole seconds, from 1 to 86400, not None",
        "line 13: source 4 must be a mapping with name, interval, meters, discovery",
        "line 14: source 'ten': 'interval' must be whole seconds, from 1 to 86400, not 0",
        "line 14: source 'ten': 'meters' must be a list of names, globs and !exclusions, not empty",
        "line 14: source 'ten': the key 'name' comes twice",
        "line 15: source 'a\\tb': 'discovery' must be a list, not empty; without it everything is asked",
        "line 15: source 'a\\tb': 'interval' must be whole seconds, from 1 to 86400, not 1.5",
        "line 15: source 'a\\tb': a meter must be a name, a glob or an !exclusion, not '!'",
        "line 15: source 'a\\tb': unknown key 'resources' (a pollster's own options say what it reads "
        "(see manage.py plugins))",
        "line 15: source 6: 'name' must be a text of at most 200 printable characters",
        "line 16: the file: unknown key 'surces' (known: sources)",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: it must hold a list, 'sources', that is not empty"),
        ("# nothing\n", "line 1: it must hold a list, 'sources', that is not empty"),
        ("sources: []\n", "line 1: it must hold a list, 'sources', that is not empty"),
        ("\n\n- name: x\n", "line 3: it must hold a list, 'sources', that is not empty"),
        ("sources:\n  - name: x\n   meters: [cpu]\n", "line 3: while parsing a block collection"),
        ("sources: [{name: x, meters: [cpu]\n", "line 2: while parsing a flow mapping"),
        ("sources:\n- !!python/name:os.system x\n", "line 2: could not determine a constructor"),
        ("sources: &a\n- *a\n", "line 1: an alias of what it stands in"),
        ("sources:\n- 2026-13-45\n", "line 2: month must be in 1..12"),
        ("sources: 1\n--- \nsources: 2\n", "line 2: expected a single document"),
        ("sources:\n- \x07\n", "line 2: unacceptable character"),
    ],
)
def test_a_file_that_is_no_list_of_sources_is_refused_with_the_line(tmp_path: Path, text: str, said: str) -> None:
    [fault] = faults(tmp_path, text)

    assert fault.startswith(said)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match=r"METERING_SOURCES_FILE .*nowhere.*\n.*No such file"):
        sources.load(tmp_path / "nowhere.yaml", 60)


@given(st.text(alphabet="sourcenamt:[]{}-!&*|>'\"#%@,\n\t 019.~\\?é\x00", max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    try:
        line = yaml_lines.read(text).line
    except yaml_lines.BadYAML as exc:
        line = exc.line
    assert 1 <= line <= text.count("\n") + 1


def test_the_documentations_file_is_sound_and_does_what_it_says(tmp_path: Path) -> None:
    document = (Path(__file__).parents[2] / "docs" / "sources.md").read_text()

    fast, north, rest = load(tmp_path, document.split("```yaml\n")[1].split("```")[0])

    assert (fast.interval, north.interval, rest.interval) == (10, 3600, 60)
    assert fast.wants("cpu")
    assert not rest.wants("cpu")
    assert north.wants_at("volume.size", Place("block-storage", "north"))
    assert rest.wants_at("volume.size", Place("block-storage", "south"))
    assert not rest.wants("perf.instructions")


def test_the_check_says_each_fault_of_the_file(tmp_path: Path) -> None:
    _, faults_there = sources_file.read(written(tmp_path, FAULTY))

    said = manage("check", status=1, METERING_SOURCES_FILE=str(tmp_path / "sources.yaml"))

    assert len(faults_there) == said.count("metering.E002") == 20
    assert all(fault in said for fault in faults_there)


def test_the_check_says_who_reads_a_meter_that_two_sources_name_and_what_is_asked_in_vain(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "sources:\n- {name: fast, meters: [cpu, vcpuss]}\n- {name: slow, meters: [cpu, memory]}\n"
        "- {name: idle, meters: [cpu]}\n",
    )

    said = manage("check", METERING_SOURCES_FILE=str(path))

    assert "(metering.I001) cpu is matched by fast and slow and idle; fast reads it" in said
    assert "(metering.W003) source 'fast': 'vcpuss' fits no meter of a pollster that is installed here" in said
    assert "(metering.W004) source 'idle' reads no meter that earlier ones leave" in said
    assert "(metering.I002) no source reads " in said
    assert "power.state" in said.partition("I002")[2]


# What the others load first is Celery's application.
STARTS = {
    "consumer": "import manage, sys; sys.argv[1:] = ['collect_notifications']; manage.main()",
    "api": "import metering.wsgi",
}


@pytest.mark.parametrize("role", ["compute", "central", "samples", "control", "beat", "consumer", "api"])
def test_no_process_starts_with_a_faulty_file(tmp_path: Path, role: str) -> None:
    path = written(tmp_path, FAULTY)
    told = {"METERING_ROLE": role, "METERING_SOURCES_FILE": str(path), "METERING_NODE_KEY": f"k1:{'0' * 64}"}
    if role == "consumer":
        told["METERING_NOTIFICATION_URLS"] = "amqp://127.0.0.1:1"

    said = python("-c", STARTS.get(role, "import metering.celery"), status=1, **told)

    assert said.count("\n  line ") == 20
    assert "line 3: source 'disks': 'interval' must be" in said
