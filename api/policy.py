"""Who may ask what: rules in the language of OpenStack's policy files, understood once and asked at every request.

oslo.policy, which made the language, would bring twenty packages and a configuration of its own for the little of it
that is needed here. Its checks of a target, ``%(project_id)s``, are not: which rows a caller sees, the querysets say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from metering.models import Caller

SEGREGATION = "segregation"  # whoever it lets pass sees every project
DEFAULT = "default"
KINDS = ("role", "rule", "project_id", "user_id")
MOST_NESTED = 100  # brackets and nots of a rule: reading it must end

Test: TypeAlias = "Callable[[Caller, Policy], bool]"


class BadRule(ValueError):
    """A text is no rule; says why."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, understood: what it tests, and the rules that it asks for that, by name."""

    test: Test
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """Every rule by its name. They ask each other in no circle."""

    rules: Mapping[str, Rule]

    def allows(self, name: str, caller: Caller) -> bool:
        """Whether he may ask this. A rule that is not there is the default; without one, everybody may."""
        rule = self.rules.get(name) or self.rules.get(DEFAULT)
        return rule is None or rule.test(caller, self)

    def sees_all(self, caller: Caller) -> bool:
        """Whether he sees every project: never for want of a rule."""
        rule = self.rules.get(SEGREGATION)
        return rule is not None and rule.test(caller, self)


def read_rule(given: Any) -> Rule:
    """A rule as the file has it: a text, or, as the oldest files do, a list of lists. Raises `BadRule`."""
    text = _of_lists(given) if isinstance(given, list) else given
    if not isinstance(text, str):
        raise BadRule('it must be a text; "" lets everybody pass')
    reader = _Reader(text)
    return Rule(reader.read(), tuple(reader.names))


def _of_lists(given: list[Any]) -> str:
    """Any of the outer list; each of them is all of an inner one."""
    parts = [part if isinstance(part, list) else [part] for part in given]
    for check in (check for part in parts for check in part):
        if not isinstance(check, str) or not re.fullmatch(r"[^\s()]+", check):
            raise BadRule(f"{check!r} must be one check, as role:admin")
    return " or ".join(f"( {' and '.join(part)} )" if part else "@" for part in parts)


class _Reader:
    """``or`` binds loosest, then ``and``, then ``not``. It never looks further than one word ahead."""

    def __init__(self, text: str) -> None:
        self._words = re.findall(r"[()]|[^\s()]+", text)
        self._place = 0
        self.names: list[str] = []
        if sum(word.lower() in ("(", "not") for word in self._words) > MOST_NESTED:
            raise BadRule(f"it has more than {MOST_NESTED} brackets and nots")

    def read(self) -> Test:
        test = self._any() if self._words else _everybody
        if self._word:
            raise BadRule(f"{self._word!r} is not expected there")
        return test

    @property
    def _word(self) -> str:
        """The next one; empty behind the last."""
        return self._words[self._place] if self._place < len(self._words) else ""

    def _takes(self, word: str) -> bool:
        """Whether this is the next word, which is then behind us."""
        found = self._word.lower() == word
        self._place += found
        return found

    def _any(self) -> Test:
        tests = [self._all()]
        while self._takes("or"):
            tests.append(self._all())
        return tests[0] if len(tests) == 1 else lambda caller, policy: any(test(caller, policy) for test in tests)

    def _all(self) -> Test:
        tests = [self._one()]
        while self._takes("and"):
            tests.append(self._one())
        return tests[0] if len(tests) == 1 else lambda caller, policy: all(test(caller, policy) for test in tests)

    def _one(self) -> Test:
        if self._takes("not"):
            denied = self._one()
            return lambda caller, policy: not denied(caller, policy)
        if self._takes("("):
            test = self._any()
            if not self._takes(")"):
                raise BadRule("a bracket is not closed")
            return test
        return self._check()

    def _check(self) -> Test:
        word = self._word
        if self._takes("@"):
            return _everybody
        if self._takes("!"):
            return _nobody
        kind, _, wanted = word.partition(":")
        if kind not in KINDS or not wanted:
            said = repr(word) if word else "nothing"
            raise BadRule(f"{said} stands where a check is expected: {':…, '.join(KINDS)}:…, @ or !")
        if "%(" in word:
            raise BadRule(f"{word!r} asks for a target, and there is none: which rows a caller sees is not said here")
        self._place += 1
        if kind == "rule":
            self.names.append(wanted)
            return lambda caller, policy: policy.rules[wanted].test(caller, policy)
        if kind == "role":
            return lambda caller, _policy: wanted in caller.roles
        return lambda caller, _policy: getattr(caller, kind) == wanted


def _everybody(_caller: Caller, _policy: Policy) -> bool:
    return True


def _nobody(_caller: Caller, _policy: Policy) -> bool:
    return False
