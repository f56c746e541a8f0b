from __future__ import annotations

from pathlib import Path

import pytest

from metering.spool import Key, Spool
from pollsters.compute.growth import REMEMBERED_SECONDS, Growths

NOW = 1_777_636_800.0
WHAT = "network.incoming.bytes.delta tap1 fa:16:3e:00:00:01"


class Node:
    """A compute worker's growths and spool; made again, it is the worker after a restart."""

    def __init__(self, folder: Path) -> None:
        self.spool = Spool(folder, 1 << 20)
        self.growths = Growths(folder / "growth", kept=lambda key: self.spool.state(key) != "new")

    def poll(
        self, slot: int, *counts: tuple[str, int, int], source: str = "default", kept: bool = True, now: float = NOW
    ) -> list[int]:
        """What has grown: of each guest, in its run, by what its one count says now."""
        key: Key = (source, slot, 0)
        with self.growths.poll(key, now):
            grown = [self.growths.growth(guest, run, now, WHAT, count) for guest, run, count in counts]
        if kept:
            self.spool.write(key, ["a batch"], len(grown))
        return grown


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_the_first_reading_has_not_grown_and_later_ones_tell_the_difference(node: Node) -> None:
    assert node.poll(1, ("a", 7, 100)) == [0]
    assert node.poll(2, ("a", 7, 130)) == [30]
    assert node.poll(3, ("a", 7, 130)) == [0]


def test_guests_whose_interfaces_have_one_name_are_counted_apart(node: Node) -> None:
    node.poll(1, ("a", 7, 100), ("b", 8, 5_000))

    assert node.poll(2, ("b", 8, 5_001), ("a", 7, 103)) == [1, 3]


def test_a_count_that_fell_started_again_and_all_of_it_is_new(node: Node) -> None:
    node.poll(1, ("a", 7, 100))

    assert node.poll(2, ("a", 7, 40)) == [40]


def test_in_another_run_of_the_guest_all_of_it_is_new_however_much_it_is(node: Node) -> None:
    node.poll(1, ("a", 7, 100))

    assert node.poll(2, ("a", 9, 250)) == [250]


def test_a_restarted_worker_loses_no_growth_and_tells_none_twice(node: Node, tmp_path: Path) -> None:
    node.poll(1, ("a", 7, 100))
    node.poll(2, ("a", 7, 130))

    assert Node(tmp_path).poll(3, ("a", 7, 135)) == [5]


def test_what_a_worker_counted_and_did_not_live_to_keep_is_told_by_the_next_poll(node: Node, tmp_path: Path) -> None:
    node.poll(1, ("a", 7, 100))
    assert node.poll(2, ("a", 7, 130), kept=False) == [30]

    assert Node(tmp_path).poll(3, ("a", 7, 135)) == [35]


def test_what_was_sent_and_left_the_spool_is_not_told_again(node: Node) -> None:
    node.poll(1, ("a", 7, 100))
    node.spool.flush(lambda batch: None)

    assert node.poll(2, ("a", 7, 130)) == [30]


def test_a_poll_that_fails_changes_nothing(node: Node) -> None:
    node.poll(1, ("a", 7, 100))

    def fail() -> None:
        with node.growths.poll(("default", 2, 0), NOW):
            node.growths.growth("a", 7, NOW, WHAT, 130)
            raise OSError("no more room on the disk")

    with pytest.raises(OSError, match="disk"):
        fail()

    assert node.poll(3, ("a", 7, 135)) == [35]


def test_a_guest_that_could_not_be_read_is_counted_over_the_gap(node: Node) -> None:
    node.poll(1, ("a", 7, 100), ("b", 8, 1))
    node.poll(2, ("b", 8, 2))

    assert node.poll(3, ("a", 7, 190), ("b", 8, 2)) == [90, 0]


def test_a_guest_that_is_gone_for_long_is_forgotten(node: Node) -> None:
    node.poll(1, ("a", 7, 100), ("b", 8, 1))
    later = NOW + REMEMBERED_SECONDS + 1
    node.poll(2, ("b", 8, 2), now=later)

    assert node.poll(3, ("a", 9, 190), now=later) == [0]


def test_each_polling_source_counts_for_itself(node: Node) -> None:
    node.poll(1, ("a", 7, 100), source="often")
    node.poll(1, ("a", 7, 100), source="seldom")
    node.poll(2, ("a", 7, 110), source="often")

    assert node.poll(3, ("a", 7, 120), source="seldom") == [20]


def test_asking_twice_in_one_poll_changes_nothing(node: Node) -> None:
    node.poll(1, ("a", 7, 100))

    assert node.poll(2, ("a", 7, 130), ("a", 7, 130)) == [30, 30]
    assert node.poll(3, ("a", 7, 131)) == [1]


def test_outside_of_a_poll_nothing_grows(node: Node) -> None:
    assert node.growths.growth("a", 7, NOW, WHAT, 130) == 0


@pytest.mark.parametrize(
    "spoilt", ["", "[]", '{"told": {}}', '{"told": {"a": 1}, "new": {}, "poll": ["default", 1, 0]}']
)
def test_a_file_that_a_bad_disk_has_spoilt_costs_one_growth(spoilt: str, node: Node, tmp_path: Path) -> None:
    node.poll(1, ("a", 7, 100))
    [file] = (tmp_path / "growth").glob("*.json")
    file.write_text(spoilt)

    assert node.poll(2, ("a", 7, 130)) == [0]
    assert node.poll(3, ("a", 7, 135)) == [5]
