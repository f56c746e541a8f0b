from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from metering.counters import Kind, Meter
from pollsters.declared import files
from pollsters.declared.files import Declared

GOOD = """
- name: dynamic.cluster
  sample_type: gauge
  unit: cluster
  value_attribute: status
  endpoint_type: container-infra
  url_path: v1/clusters/detail
"""


def read(folder: Path, text: str) -> list[Declared]:
    file = folder / "acme.yaml"
    file.write_text(dedent(text))
    return list(files.of_file(file))


def test_a_definition_is_read_with_its_defaults(tmp_path: Path) -> None:
    [declared] = read(tmp_path, GOOD)

    told = declared.definition
    assert told is not None
    assert (declared.name, declared.where, declared.fault) == ("dynamic.cluster", f"{tmp_path}/acme.yaml:2", None)
    assert told.meter == Meter("dynamic.cluster", Kind.GAUGE, "cluster")
    assert (told.user.text, told.project.text, told.resource.text) == ("user_id", "project_id", "id")
    assert (told.default, told.namespaces, told.question.seconds, told.metadata.both) == (-1, ("central",), 30, True)
    assert told.question.handlers == ("json",)


def test_a_bad_definition_is_told_by_line_and_stops_no_other(tmp_path: Path) -> None:
    bad, good = read(
        tmp_path,
        """
        - name: dynamic.bad
          sample_type: guage
          unit: x
          value_atribute: status
          url_path: http://127.0.0.1/
          extra_metadata_fields:
            - name: project
              value: name
              url: x
          timeout: -1
        - {name: dynamic.good, sample_type: delta, unit: x, value_attribute: a, url_path: "http://127.0.0.1/"}
        """,
    )

    assert good.definition is not None
    assert bad.definition is None
    where = f"{tmp_path}/acme.yaml"
    assert bad.fault is not None
    assert bad.fault.split("; ") == [
        f"{where}:2: 'value_attribute' is a required property",
        f"{where}:3: sample_type: 'guage' is not one of ['gauge', 'delta', 'cumulative']",
        f"{where}:5: unknown key 'value_atribute'",
        f"{where}:10: unknown key 'extra_metadata_fields.0.url'",
        f"{where}:11: timeout: -1 is less than or equal to the minimum of 0",
    ]


@pytest.mark.parametrize(
    ("lines", "line", "fault"),
    [
        ("value_attribute: 'status | open(value)'", 5, "value_attribute: there is no function open()"),
        ("value_attribute: a\n  user_id_attribute: '| value'", 6, "user_id_attribute: '| value' has no key"),
        ("value_attribute: a\n  metadata_fields: [b, 'c | 1']", 6, "metadata_fields: '1' does nothing with 'value'"),
        ("value_attribute: '[a].b'", 5, "'[list].value' and a name that ends in '.{attribute}' go together"),
        ("value_attribute: a\n  namespaces: compute", 6, "namespaces: a compute host asks no OpenStack service"),
        ("value_attribute: a\n  namespaces: [ipmi]", 6, "namespaces"),
        ("value_attribute: a\n  host_command: 'true'", 6, "it takes the place of url_path and endpoint_type"),
        ("value_attribute: a\n  module: os", 6, "module: with an API of its own go authentication_object too"),
        ("value_attribute: a\n  unit: y", 6, "the key 'unit' comes twice"),
        (
            "value_attribute: a\n  extra_metadata_fields: {name: x, value: y}",
            6,
            "extra_metadata_fields: x: url_path: there must be one, or a host_command",
        ),
        (
            'value_attribute: a\n  extra_metadata_fields: {name: x, value: y, url_path: "str(sample["}',
            6,
            "is no expression",
        ),
    ],
)
def test_what_makes_no_sense_is_told_by_key_and_line(tmp_path: Path, lines: str, line: int, fault: str) -> None:
    text = f"- name: x\n  sample_type: gauge\n  unit: x\n  endpoint_type: e\n  {lines}\n  url_path: p\n"
    (tmp_path / "acme.yaml").write_text(text)

    [declared] = files.of_file(tmp_path / "acme.yaml")

    assert declared.definition is None
    assert declared.fault is not None
    assert f"{tmp_path}/acme.yaml:{line}: " in declared.fault
    assert fault in declared.fault


@pytest.mark.parametrize("text", ["", "just a text", "- 1\n", "a: [", "- &a [*a]", "\x00"])
def test_a_file_of_another_kind_is_one_fault_with_its_line(tmp_path: Path, text: str) -> None:
    [declared] = read(tmp_path, text)

    assert declared.definition is None
    assert declared.fault is not None
    assert declared.fault.startswith(f"{tmp_path}/acme.yaml:1: ")


def test_a_secret_is_not_shown_by_a_fault(tmp_path: Path) -> None:
    [declared] = read(tmp_path, GOOD + "  authentication_parameters: [hush]\n  headers: {X-Key: [hush]}\n")

    assert declared.fault is not None
    assert "it does not fit (type)" in declared.fault
    assert "hush" not in declared.fault


def test_folders_are_read_by_file_name_and_one_that_is_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "b.yml").write_text(GOOD.replace("cluster", "second"))
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "notes.txt").write_text("no definition")

    found = list(files.of_folders([tmp_path, tmp_path / "none"]))

    assert [declared.name for declared in found] == ["dynamic.cluster", "dynamic.second", f"{tmp_path}/none"]
    assert found[2].fault == f"{tmp_path}/none cannot be read: No such file or directory"
