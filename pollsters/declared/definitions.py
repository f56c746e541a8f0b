"""What a definition says, once it was found to be sound. Pure Python."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from metering.counters import Kind, Meter
from pollsters.declared.evaluator import BadExpression, names_in, parse
from pollsters.declared.paths import Path

SECONDS = 30.0  # that an answer may take, where a definition does not say
CACHE_SECONDS = 3_600.0
_ELEMENTS = re.compile(r"\[([^\]]+)\]\.(.+)", re.DOTALL)
_PLACEHOLDER = re.compile(r"\{([\w-]+)\}$")
SEEN_BY_EXTRAS = ("sample", "extra_metadata_captured", "extra_metadata_by_name")

Told = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and where the entries are in the answer. It goes to a service, a URL, or a command."""

    service: str | None
    target: str | ast.Expression  # path, URL or command; of an extra field it may be computed
    is_command: bool
    headers: Mapping[str, str]
    seconds: float | None  # None: as long as the poll lasts
    handlers: Sequence[str]
    entries: Path | None
    following: Path | None  # where the answer names the next page

    @classmethod
    def read(cls, told: Told, *, computed: bool = False) -> Question:
        """Raises `BadExpression`."""
        text = told.get("host_command") or told.get("url_path") or ""
        return cls(
            told.get("endpoint_type"),
            _computed(text) if computed else text,
            "host_command" in told,
            {name: str(value) for name, value in told.get("headers", {}).items()},
            told.get("timeout", SECONDS),
            tuple(told.get("response_handlers", ("json",))),
            _path(told, "response_entries_key"),
            _path(told, "next_sample_url_attribute"),
        )


@dataclass(frozen=True, slots=True)
class Metadata:
    """Which fields of an entry a sample's metadata keeps, and under which names."""

    fields: tuple[Path, ...]
    renamed: Mapping[str, str]
    both: bool  # a renamed field keeps its first name too

    @classmethod
    def read(cls, told: Told) -> Metadata:
        """Raises `BadExpression`."""
        fields = tuple(Path.parse(text) for text in told.get("metadata_fields", ()))
        return cls(fields, told.get("metadata_mapping", {}), told.get("preserve_mapped_metadata", True))


@dataclass(frozen=True, slots=True)
class Extra:
    """A further question about each entry, whose answer goes into the metadata as ``name``."""

    name: str
    value: Path
    question: Question
    metadata: Metadata
    cache_seconds: float
    skips: Sequence[Mapping[str, Any]]  # entries that hold all of one of these are not asked about

    @classmethod
    def read(cls, told: Told, parent: Told) -> Extra:
        """Raises `BadExpression`."""
        cache_seconds = parent.get("extra_metadata_fields_cache_seconds", CACHE_SECONDS)
        return cls(
            told["name"],
            Path.parse(told["value"]),
            Question.read(told, computed=True),
            Metadata.read(told),
            told.get("extra_metadata_fields_cache_seconds", cache_seconds),
            told.get("extra_metadata_fields_skip", parent.get("extra_metadata_fields_skip", ())),
        )


@dataclass(frozen=True, slots=True)
class Authentication:
    """A class that signs the requests to an API that is not OpenStack's, and what it is made with."""

    module: str
    name: str
    parameters: str
    secret: str  # of the key manager, which keeps the parameters; empty: they stand in the file


@dataclass(frozen=True, slots=True)
class Definition:
    """One declared pollster."""

    meter: Meter
    value: Path
    elements: Path | None  # the list of which each element has a value of its own ...
    placeholder: str | None  # ... and, under this key, the last part of its meter's name
    mapping: Mapping[str, Any]
    default: Any  # for a value that the mapping does not have
    skips: Sequence[Any]
    user: Path
    project: Path
    resource: Path
    question: Question
    metadata: Metadata
    extras: tuple[Extra, ...]
    namespaces: Sequence[str]
    authentication: Authentication | None

    @classmethod
    def read(cls, told: Told) -> Definition:
        """Of an entry that the schema has let through, and of which `faults` finds none. Raises `BadExpression`."""
        name, value = told["name"], told["value_attribute"]
        placeholder = _PLACEHOLDER.search(name)
        nested = _ELEMENTS.fullmatch(value) if placeholder else None
        namespaces = told.get("namespaces", "central")
        return cls(
            Meter(name, Kind(told["sample_type"]), told["unit"]),
            Path.parse(nested.group(2) if nested else value),
            Path.parse(nested.group(1)) if nested else None,
            placeholder.group(1) if placeholder else None,
            told.get("value_mapping", {}),
            told.get("default_value", -1),
            told.get("skip_sample_values", ()),
            Path.parse(told.get("user_id_attribute", "user_id")),
            Path.parse(told.get("project_id_attribute", "project_id")),
            Path.parse(told.get("resource_id_attribute", "id")),
            Question.read(told),
            Metadata.read(told),
            tuple(Extra.read(extra, told) for extra in _extras(told)),
            (namespaces,) if isinstance(namespaces, str) else tuple(namespaces),
            _authentication(told),
        )


def faults(told: Told) -> Iterator[tuple[str, str]]:
    """What is wrong with an entry that the schema lets through: the key, and the fault."""
    name, value = told["name"], told["value_attribute"]
    if bool(_PLACEHOLDER.search(name)) != bool(_ELEMENTS.fullmatch(value)):
        yield "value_attribute", "'[list].value' and a name that ends in '.{attribute}' go together"
    if "module" in told or "authentication_object" in told:
        if missing := [key for key in ("module", "authentication_object", "url_path") if key not in told]:
            yield "module", f"with an API of its own go {', '.join(missing)} too"
        elif not _is_url(told["url_path"]):
            yield "url_path", "of an API that is not in the catalogue it must be a whole URL"
    namespaces = told.get("namespaces", "central")
    if "endpoint_type" in told and "compute" in namespaces:
        yield "namespaces", "a compute host asks no OpenStack service: leave out endpoint_type, or compute"
    yield from _faults_of_question(told)
    for extra in _extras(told):
        for key, fault in _faults_of_question(extra):
            yield "extra_metadata_fields", f"{extra['name']}: {key}: {fault}"
    try:
        Definition.read(told)
    except BadExpression as exc:
        yield _key_of(told, exc), str(exc)


def _faults_of_question(told: Told) -> Iterator[tuple[str, str]]:
    """It must go to one place: a service of the catalogue, a URL, or a command."""
    if "host_command" in told:
        if both := [key for key in ("url_path", "endpoint_type", "module") if key in told]:
            yield "host_command", f"it takes the place of {' and '.join(both)}"
    elif "url_path" not in told:
        yield "url_path", "there must be one, or a host_command"
    elif "endpoint_type" not in told and not _is_url(told["url_path"]):
        yield "endpoint_type", "there must be one, unless url_path is a whole URL"
    elif "endpoint_type" in told and ("module" in told or _is_url(told["url_path"])):
        yield "endpoint_type", "it goes with a path in the catalogue's service, not with a whole URL or a module"


def _key_of(told: Told, exc: BadExpression) -> str:
    """Which key holds an expression that cannot be read: the first that alone fails so."""
    keys = [key for key in told if key.endswith("_attribute") or key == "response_entries_key"]
    for key in keys:
        if isinstance(told[key], str) and _fails(_ELEMENTS.sub(r"\2", told[key])):
            return key
    return (
        "metadata_fields" if any(_fails(text) for text in told.get("metadata_fields", ())) else "extra_metadata_fields"
    )


def _fails(text: str) -> bool:
    try:
        Path.parse(text)
    except BadExpression:
        return True
    return False


def _extras(told: Told) -> Sequence[Told]:
    extras = told.get("extra_metadata_fields", ())
    return [extras] if isinstance(extras, Mapping) else extras


def _path(told: Told, key: str) -> Path | None:
    return Path.parse(told[key]) if key in told else None


def _computed(text: str) -> str | ast.Expression:
    """An expression where the text is one: it holds a text in quotes, or a name that extra fields may use."""
    try:
        tree = parse(text)
    except BadExpression:
        if any(name in text for name in SEEN_BY_EXTRAS):
            raise
        return text
    is_text = any(isinstance(node, ast.Constant) and isinstance(node.value, str) for node in ast.walk(tree))
    return tree if is_text or names_in(tree) & set(SEEN_BY_EXTRAS) else text


def _is_url(text: str) -> bool:
    parts = urlsplit(text.strip("'\""))
    return parts.scheme in ("http", "https") and bool(parts.netloc)


def _authentication(told: Told) -> Authentication | None:
    if "module" not in told:
        return None
    return Authentication(
        told["module"],
        told.get("authentication_object", ""),
        told.get("authentication_parameters", ""),
        told.get("barbican_secret_id", ""),
    )
