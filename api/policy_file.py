"""The policy in force: the file that comes with the API, and an operator's own laid over it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import yaml
from django.conf import settings

from api.policy import BadRule, Policy, Rule, read_rule
from metering import yaml_lines
from metering.errors import BadSetting
from metering.yaml_lines import BadYAML

SHIPPED = Path(__file__).with_name("policy.yaml")


def current() -> Policy:
    """The policy of this process. Raises `BadSetting` with every fault of its file."""
    return load(settings.METERING.access.policy_file)


@lru_cache(maxsize=4)
def load(path: Path | None) -> Policy:
    """The rules of this file, and those of ours that it does not have. Raises `BadSetting` with every fault."""
    rules, faults = read(path)
    if faults:
        raise BadSetting(f"METERING_POLICY_FILE {path}: {'; '.join(faults)}")
    return Policy(rules)


def read(path: Path | None) -> tuple[dict[str, Rule], list[str]]:
    """Every rule in force, and what is wrong with an operator's file, by line."""
    shipped, faults = _rules(SHIPPED)
    assert not faults, faults  # noqa: S101 # it is ours, and tested
    if path is None:
        return shipped, []
    own, faults = _rules(path)
    rules = {**shipped, **own}
    return rules, faults or list(_of_references(rules))


def unknown_rules(path: Path) -> list[str]:
    """Names in an operator's file that nothing asks for: slips of the pen, and questions of other releases."""
    shipped, own = _rules(SHIPPED)[0], _rules(path)[0]
    asked = {*shipped, "default"}.union(*(rule.names for rule in own.values()))
    return sorted(own.keys() - asked)


def _rules(path: Path) -> tuple[dict[str, Rule], list[str]]:
    try:
        text = path.read_text(encoding="utf-8")
        document = yaml_lines.read(text)
        tag = _first_bare_tag(text)
    except (OSError, UnicodeDecodeError) as exc:
        return {}, [f"it cannot be read: {exc}"]
    except BadYAML as exc:
        return {}, [f"line {exc.line}: {exc}"]
    if tag is not None:
        return {}, [f"line {tag}: a '!' that is not in quotes is not part of the rule"]
    if not isinstance(document.value, Mapping):
        return {}, [f"line {document.line}: it must hold rules by their names"]
    rules: dict[str, Rule] = {}
    faults = [f"line {line}: rule '{name}' is there twice" for name, line in document.repeated]
    for name, part in document.fields.items():
        try:
            rules[name] = read_rule(part.value)
        except BadRule as exc:
            faults.append(f"line {part.line}: rule '{name}': {exc}")
    return rules, faults


def _first_bare_tag(text: str) -> int | None:
    """The line of the first lone '!' that YAML takes for a tag: it would leave an empty rule, which opens all."""
    events: Iterator[Any] = yaml.parse(text, Loader=yaml.SafeLoader)
    return next((event.start_mark.line + 1 for event in events if getattr(event, "tag", None) == "!"), None)


def _of_references(rules: Mapping[str, Rule]) -> Iterator[str]:
    for name, rule in rules.items():
        for asked in rule.names:
            if asked not in rules:
                yield f"rule '{name}' asks for the rule '{asked}', which is not there"
    try:
        TopologicalSorter({name: rule.names for name, rule in rules.items()}).prepare()
    except CycleError as exc:
        yield f"rules ask each other in a circle: {' -> '.join(exc.args[1])}"
