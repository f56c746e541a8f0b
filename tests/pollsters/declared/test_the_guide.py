"""What docs/declarative-pollsters.md shows is right."""

from __future__ import annotations

import re
from pathlib import Path

from pollsters.declared import files
from pollsters.declared.schema import DEFINITION

GUIDE = (Path(__file__).parents[3] / "docs" / "declarative-pollsters.md").read_text()


def test_every_example_is_a_sound_definition(tmp_path: Path) -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
    for number, block in enumerate(blocks):
        (tmp_path / f"{number}.yaml").write_text(block)

    found = list(files.of_folders([tmp_path]))

    assert [declared.fault for declared in found] == [None] * 4
    assert len(blocks) == 4


def test_every_key_is_in_the_table() -> None:
    table = GUIDE.partition("## Keys")[2].partition("## Paths")[0]

    assert [key for key in DEFINITION["properties"] if f"`{key}`" not in table] == []
