from __future__ import annotations

import time
from typing import Any

import pytest

from pollsters.declared.evaluator import BadExpression
from pollsters.declared.paths import MISSING, Path, split

ENTRY: dict[str, Any] = {
    "user": "p-1$u-1",
    "n": 7,
    "tags": ["x", "y"],
    "image": "",
    "flavor": {"vcpus": 2},
    "links": [{"rel": "prev", "href": "http://p"}, {"rel": "next", "href": "http://n"}],
    "OS-EXT-AZ:availability_zone": "nova",
    "big": "x" * 100_000,
    "many": list(range(1_000)),
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("n", 7),
        ("flavor.vcpus", 2),
        ("links.1.rel", "next"),
        ("OS-EXT-AZ:availability_zone", "nova"),
        ("user | value.split('$')[0].strip()", "p-1"),
        ("user | value.split ('$') | value[0] | value.strip()", "p-1"),
        ("image | value or { 'id': '' } | value['id']", ""),
        ("tags | ','.join(value)", "x,y"),
        (". | value['n'] if 'n' in value else ''", 7),
        (". | value['status'] if 'status' in value else 'none'", "none"),
        ("tags | 'a|b' if value else '' | value.upper()", "A|B"),
        ("links | [v['rel'] for v in value if v['rel'] != 'prev']", ["next"]),
        (
            "links | filter(lambda v: v.get('rel') == 'next', value) | list(value) | value[0] | value.get('href')"
            " | value.replace('http:', 'https:')",
            "https://n",
        ),
        ("n | sum([float(x) for x in [1, 2, value]])", 10.0),
        ("many | max(value, key=lambda v: -v)", 0),
        ("n | value ** 2 / 7 + value % 4 - -1 // 1", 11.0),
        ("n | f'a{value}b'", "a7b"),
        ("n | {'a': value, **{'b': 1}} | sorted(value.items())", [("a", 7), ("b", 1)]),
        ("n | 1 < value <= 7 and not value == 8", True),
        ("n | round(value / 2) | str(value)", "4"),
    ],
)
def test_a_path_leads_to_a_value_and_expressions_work_on_it(text: str, value: object) -> None:
    assert Path.parse(text).of(ENTRY) == value


@pytest.mark.parametrize("text", ["status", "flavor.vcpus.more", "links.9.rel", "n.x | value + 1", "tags.rel"])
def test_a_path_to_nothing_is_missing_and_nothing_is_computed(text: str) -> None:
    assert Path.parse(text).of(ENTRY) is MISSING


@pytest.mark.parametrize(
    "text",
    [
        "n | open('/etc/passwd') + value",
        "n | __import__('os').system('true') + value",
        "n | eval('1') + value",
        "n | getattr(value, 'real')",
        "n | value.__class__",
        "n | ''.__class__.__mro__[1].__subclasses__() + value",
        "user | value.format(1)",
        "user | value.encode()",
        "tags | value.append(1)",
        "n | (yield value)",
        "n | (value := 3)",
        "n | value = 3",
        "n | import os; value",
        "n | await value",
        "n | 1 + 1",
        "n | ",
        " | value",
        "n | value +",
        "n | " + "(" * 300 + "value" + ")" * 300,
        "n | " + "value+" * 1_000 + "1",
    ],
)
def test_what_an_expression_may_not_do_is_refused_when_the_file_is_read(text: str) -> None:
    with pytest.raises(BadExpression):
        Path.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "n | 9 ** 9 ** 9 ** 9 + value",
        "n | value ** 9999999999",
        "n | '%1000000000d' % value",
        "n | f'{value:>1000000000}'",
        "n | f'{value!r}'",
        "n | value << 10",
        "user | value * 1000000000",
        "big | value.replace('x', 'y' + value)",
        "big | value.join([x for x in value])",
        "many | [value for x in value] | [value for x in value] | [value for x in value] | str(value)",
        "many | [[[1 for c in value] for b in value] for a in value]",
        "many | [value for x in value]" + " + [value for x in value]" * 100,
        "n | " + "*".join(["value * 99999999999999999999999999"] * 100),
        "n | [f for f in [lambda f: f]] | value[0](1)",
        "n | map(lambda: 1, [value])",
        "n | value / 0",
        "tags | value[5]",
        "tags | value['rel']",
        "tags | value.lower()",
        "n | unknown + value",
        "tags | str(value)",
        "n | sum(value)",
    ],
)
def test_an_expression_that_fails_or_makes_too_much_is_ended_soon_with_one_kind_of_error(text: str) -> None:
    began = time.thread_time()

    with pytest.raises(BadExpression):
        Path.parse(text).of(ENTRY)

    assert time.thread_time() - began < 10


def test_expressions_change_nothing_of_what_they_see() -> None:
    entry = {"tags": ["x"], "meta": {"a": 1}}

    assert Path.parse("tags | value + ['y']").of(entry) == ["x", "y"]
    with pytest.raises(BadExpression):
        Path.parse("meta | value.update({'b': 2})")

    assert entry == {"tags": ["x"], "meta": {"a": 1}}


def test_bars_in_texts_and_brackets_part_nothing() -> None:
    assert split("it's a key | value.split('|') | [value[0] | 1, \"|\\\"|\"]") == [
        "it's a key",
        "value.split('|')",
        '[value[0] | 1, "|\\"|"]',
    ]
