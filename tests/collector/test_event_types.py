from __future__ import annotations

import fnmatch
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.event_types import compiled, is_pattern, overlap


@pytest.mark.parametrize(
    ("wanted", "fitting", "other"),
    [
        ("volume.*", "volume.create.end", "snapshot.create.end"),
        ("volume.?", "volume.x", "volume.xy"),
        ("/volume\\.(?!exists)/", "volume.create.end", "volume.exists"),
    ],
)
def test_a_pattern_fits_from_the_start(wanted: str, fitting: str, other: str) -> None:
    assert is_pattern(wanted)
    assert compiled(wanted).match(fitting)
    assert not compiled(wanted).match(other)


def test_an_exact_event_type_is_no_pattern() -> None:
    assert not is_pattern("volume.create.end")
    assert not is_pattern("/")


def test_what_is_no_regular_expression_says_so() -> None:
    with pytest.raises(ValueError, match="no regular expression"):
        compiled("/volume.(/")


@pytest.mark.parametrize(
    ("one", "other", "may"),
    [
        ("/compute\\.instance\\.(?!update)/", "compute.instance.exists", True),
        ("/compute\\.instance\\.(?!update)/", "compute.instance.update", False),
        ("/compute\\.instance\\./", "compute.*", True),
        ("/compute\\.instance\\./", "volume.*", False),
        ("/volume\\.create/", "/volume\\.(create|delete)/", True),
        ("/volume\\.create/", "/snapshot\\./", False),
        ("/volume|snapshot/", "snapshot.*", True),
        ("/volumes?\\./", "volume.exists", True),
    ],
)
def test_a_regular_expression_overlaps_what_may_begin_as_it_does(one: str, other: str, may: bool) -> None:
    assert overlap(one, other) == overlap(other, one) == may


pieces = st.lists(st.sampled_from(["a", "b", "\\.", "[ab]", "a*", "b?", "(a|b)", "."]), max_size=4).map("".join)


@given(pieces.filter(bool), st.text(alphabet="ab.*?", max_size=6), st.text(alphabet="ab.", max_size=6))
def test_what_a_regular_expression_and_a_glob_both_fit_they_overlap_in(regex: str, glob: str, name: str) -> None:
    if re.match(regex, name) and fnmatch.fnmatchcase(name, glob):
        assert overlap(f"/{regex}/", glob)


globs = st.text(alphabet="ab.*?", max_size=6)


@given(globs, st.text(alphabet="ab.", max_size=6))
def test_overlap_of_a_glob_and_a_name_is_that_it_fits(glob: str, name: str) -> None:
    assert overlap(glob, name) == overlap(name, glob) == fnmatch.fnmatchcase(name, glob)


@given(globs, globs, st.text(alphabet="ab.", max_size=6))
def test_two_globs_that_fit_one_name_overlap(one: str, other: str, name: str) -> None:
    if fnmatch.fnmatchcase(name, one) and fnmatch.fnmatchcase(name, other):
        assert overlap(one, other)
