"""What a process remembers: bounded, and what is asked for again stays."""

from __future__ import annotations

import pytest

from metering.memory import Memory


def test_what_is_asked_for_again_outlasts_any_flood_of_others() -> None:
    memory: Memory[str, int] = Memory(10)
    memory.put("mine", 7)

    for number in range(1_000):
        memory.put(str(number), number)
        assert memory.get("mine") == 7

    assert len(memory) <= 20


def test_what_nobody_asks_for_is_forgotten() -> None:
    memory: Memory[str, int] = Memory(10)
    for number in range(30):
        memory.put(str(number), number)

    assert memory.get("0") is None
    assert memory.get("29") == 29


def test_a_memory_goes_by_what_its_keys_weigh() -> None:
    memory: Memory[str, int] = Memory(100, len)
    for number in range(50):
        memory.put(f"{number:010}", number)
    memory.put("x" * 101, 1)

    assert len(memory) <= 20
    assert memory.get("x" * 101) is None
    assert memory.get(f"{49:010}") == 49


def test_all_can_be_forgotten() -> None:
    memory: Memory[str, int] = Memory(2)
    for number in range(3):
        memory.put(str(number), number)

    memory.clear()

    assert (len(memory), memory.get("2"), memory.get("0")) == (0, None, None)


def test_what_has_no_hash_is_said_to_have_none() -> None:
    with pytest.raises(TypeError):
        Memory[object, int](2).get([])
