"""What users themselves say of their instances, as far as it is meant for metering. Pure Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class UserMetadata:
    """Which of a user's own keys samples carry, under ``user_metadata``; any others are dropped."""

    prefixes: tuple[str, ...] = ("metering.",)  # a key with one of them is meant for metering; it is cut
    keys: tuple[str, ...] = ()  # these are as well, whole
    longest: int = 256  # characters of a text; the rest is cut

    def of(self, tags: Any, taken: Mapping[str, Any]) -> dict[str, Any]:
        """The keys that are meant, dots made underscores, but for those that are ``taken`` in the metadata already.

        What is no mapping (old nova sends a list) says nothing that can be read.
        """
        if not isinstance(tags, Mapping):
            return {}
        named = ((self._name(key), value) for key, value in tags.items() if isinstance(key, str))
        return {
            name: value[: self.longest] if isinstance(value, str) else value
            for name, value in named
            if name and name not in taken
        }

    def _name(self, key: str) -> str | None:
        """Under which a user's key is carried; None when it is not meant for metering."""
        for prefix in self.prefixes:
            if key.startswith(prefix):
                return key.removeprefix(prefix).replace(".", "_")
        return key.replace(".", "_") if key in self.keys else None
