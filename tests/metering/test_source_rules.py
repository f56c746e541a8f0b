"""The file of polling sources: checked whole at the start, and every meter read by one source only."""

from __future__ import annotations

from pathlib import Path

import pytest

from metering import sources
from metering.errors import BadSetting
from metering.sources import Source


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "sources.yaml"


def loaded(file: Path, text: str) -> tuple[Source, ...]:
    file.write_text(text, encoding="utf-8")
    return sources.load(file, 60)


def refusal(file: Path, text: str) -> str:
    with pytest.raises(BadSetting) as refused:
        loaded(file, text)
    assert str(refused.value).startswith(f"METERING_SOURCES_FILE {file}:")
    return str(refused.value)


def test_without_a_file_one_source_reads_every_meter() -> None:
    [source] = sources.load(None, 17)

    assert (source.name, source.interval) == ("default", 17)
    assert source.wants("cpu")


@pytest.mark.parametrize(
    ("meters", "wanted", "unwanted"),
    [
        (("*",), ("cpu", "disk.device.read.bytes"), ()),
        (("cpu", "memory"), ("cpu", "memory"), ("memory.usage", "cpu_util", "CPU")),
        (("disk.*",), ("disk.", "disk.device.read.bytes"), ("disk", "cpu")),
        (("network.*.bytes", "cp?"), ("network.incoming.bytes", "cpu"), ("network.incoming.packets", "cpus")),
        (("!disk.*",), ("cpu", "disk"), ("disk.device.usage",)),
        (("!disk.*", "!cpu"), ("memory",), ("cpu", "disk.device.usage")),
        (("*", "!disk.*"), ("cpu",), ("disk.device.usage",)),
        (("!disk.*", "*"), ("cpu",), ("disk.device.usage",)),
    ],
)
def test_meters_are_names_globs_and_exclusions_that_win(
    meters: tuple[str, ...], wanted: tuple[str, ...], unwanted: tuple[str, ...]
) -> None:
    source = Source("a", 60, meters)

    assert [meter for meter in (*wanted, *unwanted) if source.wants(meter)] == list(wanted)


def test_the_first_source_owns_a_meter(file: Path) -> None:
    quick, slow, rest = loaded(
        file,
        """
        sources:
        - {name: quick, interval: 10, meters: [cpu, "network.*"]}
        - {name: slow, interval: 600, meters: ["*", "!memory*"]}
        - {name: rest, meters: ["!nothing"]}
        """,
    )

    owners = {
        meter: [source.name for source in (quick, slow, rest) if source.wants(meter)]
        for meter in ("cpu", "network.incoming.bytes", "disk.root.size", "memory.usage", "nothing")
    }
    assert owners == {
        "cpu": ["quick"],
        "network.incoming.bytes": ["quick"],
        "disk.root.size": ["slow"],
        "memory.usage": ["rest"],
        "nothing": ["slow"],
    }
    assert (quick.interval, slow.interval, rest.interval) == (10, 600, 60)


def test_a_name_may_be_of_any_script(file: Path) -> None:
    [source] = loaded(file, "sources: [{name: größe, meters: [cpu]}]")

    assert source.name == "größe"


def test_every_fault_of_a_file_is_said_at_once(file: Path) -> None:
    told = refusal(
        file,
        """
        sources:
        - {name: one, interval: 0, meters: [cpu], sinks: [a]}
        - nothing
        - {name: "", interval: "60", meters: []}
        - {name: four, interval: true}
        - {name: five, meters: ["*", cpu]}
        - {name: six, meters: [cpu, "!memory"]}
        - {name: seven, meters: [1]}
        - {name: eight, meters: ["!"]}
        """,
    )

    for fault in (
        "source 'one': unknown key 'sinks'",
        "source 'one': 'interval' must be whole seconds, from 1 to 86400",
        "source 2 must be a mapping",
        "source 3: 'name' must be a text",
        "source '': 'interval' must be whole seconds",
        "source '': 'meters' must be a list",
        "source 'four': 'interval' must be whole seconds",
        "source 'four': 'meters' must be a list",
        "source 'five': 'cpu' beside '*'",
        "source 'six': '!memory' beside inclusions",
        "source 'seven': a meter must be a name",
        "source 'eight': a meter must be a name",
    ):
        assert fault in told


@pytest.mark.parametrize("name", [r"a\0b", r"a\nb", "x" * 201, " "])
def test_a_name_that_could_not_stand_in_a_receipt_is_refused(name: str, file: Path) -> None:
    assert "'name' must be a text" in refusal(file, f'sources: [{{name: "{name}", meters: [cpu]}}]')


def test_two_sources_of_one_name_are_refused(file: Path) -> None:
    told = refusal(file, "sources: [{name: a, meters: [cpu]}, {name: b, meters: [x]}, {name: a, meters: [y]}]")

    assert "the source on line 1 has the name 'a' as well" in told


@pytest.mark.parametrize(
    "text",
    ["", "[]", "sources:", "sources: {}", "sources: []", "sources: [", "- sources", "\x00", "!!python/name:os.system"],
)
def test_a_file_that_holds_no_list_of_sources_is_refused(text: str, file: Path) -> None:
    refusal(file, text)


def test_a_file_that_is_not_there_is_named(file: Path) -> None:
    with pytest.raises(BadSetting, match="No such file"):
        sources.load(file, 60)


def test_a_file_that_is_not_utf_8_is_named(file: Path) -> None:
    file.write_bytes(b"sources: [{name: gr\xf6sse, meters: [cpu]}]")

    with pytest.raises(BadSetting, match="METERING_SOURCES_FILE"):
        sources.load(file, 60)
