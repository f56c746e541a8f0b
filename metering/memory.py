"""What a process remembers of what it has seen: bounded, and what was asked for lately stays longest."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")


def _one(_: Any) -> int:
    return 1


class Memory(Generic[Key, Item]):
    """Two generations: when the young one is full it becomes the old one, and the old one is forgotten.

    What is asked for again moves to the young one. So a flood of new keys drives out what was least asked for,
    never everything at once, and a look-up costs no more than a dictionary's.
    """

    def __init__(self, most: int, weigh: Callable[[Key], int] = _one) -> None:
        """``most``: what the keys of one generation weigh together; a heavier key is not remembered at all."""
        self._most, self._weigh = most, weigh
        self.young: dict[Key, Item] = {}  # for look-ups of many keys at once; `get` knows more
        self._old: dict[Key, Item] = {}
        self._weight = 0

    def __len__(self) -> int:
        return len(self.young.keys() | self._old.keys())

    def get(self, key: Key) -> Item | None:
        """What is remembered of the key. Raises `TypeError` for one that has no hash."""
        item = self.young.get(key)
        if item is None and (item := self._old.get(key)) is not None:
            self.put(key, item)
        return item

    def put(self, key: Key, item: Item) -> None:
        """Remember, until two generations of other keys have come."""
        weight = self._weigh(key)
        if weight > self._most:
            return
        if self._weight + weight > self._most:
            self._old, self.young, self._weight = self.young, {}, 0
        self._weight += weight
        self.young[key] = item

    def clear(self) -> None:
        """Forget everything."""
        self.young.clear()
        self._old.clear()
        self._weight = 0
