"""A definition as its file has it, read; every fault of one with its line."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from collector.events.conversions import TYPES
from collector.events.definition import Definition, EventTypes, TraitDefinition
from collector.events.plugins import Plugin, plugin
from collector.paths import Accessor, BadPath, accessor
from metering.events import LONGEST_NAME, MOST_TRAITS
from metering.yaml_lines import Part

MOST_OF_ONE = MOST_TRAITS - 20  # the default ones come beside them

# Ceilometer's oldest files reach into the envelope, where a context's item has its prefix still.
_OLD_CONTEXT = re.compile(r"^(?:\$\.)?_context_")


class Fault(NamedTuple):
    """What is wrong, and where."""

    line: int
    text: str


def definition(part: Part, where: str) -> tuple[Definition | None, list[Fault]]:
    """The definition of a part of a file, or every fault of it."""
    reader = _Reader()
    made = reader.definition(part, where)
    return (None if reader.faults else made), sorted(reader.faults)


class _Reader:
    """Reads on after a fault, so that an operator sees all of them at once."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def definition(self, part: Part, where: str) -> Definition | None:
        if not isinstance(part.value, dict):
            self._say(part.line, "a definition must be a mapping with event_type and traits")
            return None
        self._keys(part, "the definition", ("event_type", "traits"))
        types = self._event_types(part.fields.get("event_type", Part(None, part.line)))
        traits = part.fields.get("traits", Part(None, part.line))
        if not isinstance(traits.value, dict):
            self._say(traits.line, "traits must be a mapping of names; {} keeps the default ones only")
            return None
        if len(traits.fields) > MOST_OF_ONE:
            self._say(traits.line, f"a definition has at most {MOST_OF_ONE} traits")
        self._repeated(traits, "traits")
        made = [self._trait(name, inner) for name, inner in traits.fields.items()]
        return Definition(where, EventTypes(types), tuple(trait for trait in made if trait is not None))

    def _event_types(self, part: Part) -> tuple[str, ...]:
        items = part.items or (part,)
        for item in items:
            if not isinstance(item.value, str) or not item.value.removeprefix("!"):
                self._say(item.line, f"event_type must be a text or a list of texts, not {_shown(item.value)}")
        return tuple(item.value for item in items if isinstance(item.value, str))

    def _trait(self, name: str, part: Part) -> TraitDefinition | None:
        if not name.isprintable() or not 0 < len(name) <= LONGEST_NAME:
            self._say(part.line, f"a trait's name must be a printable text of at most {LONGEST_NAME} characters")
            return None
        if isinstance(part.value, str | list):
            return TraitDefinition(name, TYPES["text"], self._fields(name, part))
        if not isinstance(part.value, dict):
            self._say(part.line, f"trait {name}: it must be a path, a list of paths, or a mapping with fields")
            return None
        self._keys(part, f"trait {name}", ("type", "fields", "plugin"))
        type_ = part.value.get("type", "text")
        if not isinstance(type_, str) or type_ not in TYPES:
            line = part.fields["type"].line
            self._say(line, f"trait {name}: type must be one of {', '.join(TYPES)}, not {_shown(type_)}")
            return None
        fields = self._fields(name, part.fields.get("fields", Part(None, part.line)))
        made = self._plugin(name, part.fields["plugin"]) if "plugin" in part.fields else None
        return TraitDefinition(name, TYPES[type_], fields, made)

    def _fields(self, name: str, part: Part) -> tuple[tuple[str, Accessor], ...]:
        found: list[tuple[str, Accessor]] = []
        for item in part.items or (part,):
            if not isinstance(item.value, str) or not item.value.strip():
                self._say(
                    item.line, f"trait {name}: fields must be a path or a list of paths, not {_shown(item.value)}"
                )
                continue
            try:
                found.append((item.value, accessor(_OLD_CONTEXT.sub("ctxt.", item.value.strip()))))
            except BadPath as exc:
                self._say(item.line, f"trait {name}: {exc}")
        return tuple(found)

    def _plugin(self, trait: str, part: Part) -> Plugin | None:
        told = {"name": part.value} if isinstance(part.value, str) else part.value
        if not isinstance(told, dict) or not isinstance(told.get("name"), str):
            self._say(part.line, f"trait {trait}: plugin must be a name, or a mapping with name and parameters")
            return None
        self._keys(part, f"trait {trait}: plugin", ("name", "parameters"))
        parameters = told.get("parameters") or {}
        if not isinstance(parameters, dict):
            self._say(part.fields["parameters"].line, f"trait {trait}: parameters must be a mapping")
            return None
        try:
            return plugin(told["name"], parameters)
        except ValueError as exc:
            self._say(part.line, f"trait {trait}: {exc}")
            return None

    def _keys(self, part: Part, whose: str, known: tuple[str, ...]) -> None:
        for key, value in part.fields.items():
            if key not in known:
                self._say(value.line, f"{whose}: unknown key {key!r} (known: {', '.join(known)})")
        self._repeated(part, whose)

    def _repeated(self, part: Part, whose: str) -> None:
        for key, line in part.repeated:
            self._say(line, f"{whose}: the key {key!r} comes twice")

    def _say(self, line: int, text: str) -> None:
        self.faults.append(Fault(line, text))


def _shown(value: Any) -> str:
    return repr(value)[:60]
