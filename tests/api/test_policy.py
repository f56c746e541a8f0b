"""Who may ask what: the rules, as OpenStack writes them, and what becomes of a file that is wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from django.conf import settings
from django.test import override_settings
from django.views import View
from hypothesis import given
from hypothesis import strategies as st
from oslo_config import cfg
from oslo_policy import policy as oslo

from api import checks, policy_file, urls
from api.policy import BadRule, Policy, read_rule
from api.views.base import LedgerView
from metering.access_settings import AccessSettings
from metering.errors import BadSetting
from metering.models import Caller
from tests.api import asking
from tests.factories import reading, store

RUTH = Caller("ruth", "red", roles=("member", "reader"))
ADA = Caller("ada", "ops", is_admin=True, roles=("admin", "member"))


def allows(rule: Any, caller: Caller) -> bool:
    return Policy({"asked": read_rule(rule)}).allows("asked", caller)


def write(folder: Path, text: str) -> Path:
    path = folder / "policy.yaml"
    path.write_text(text)
    return path


def faults(folder: Path, text: str) -> list[str]:
    return policy_file.read(write(folder, text))[1]


@pytest.mark.parametrize(
    ("rule", "ruth"),
    [
        ("", True),
        ("@", True),
        ("!", False),
        ("role:member", True),
        ("role:Member", False),
        ("role:admin", False),
        ("project_id:red", True),
        ("project_id:blue", False),
        ("user_id:ruth", True),
        ("not role:admin", True),
        ("not not role:admin", False),
        ("role:admin or role:reader", True),
        ("role:admin or role:member and role:nobody", False),
        ("(role:admin or role:member) and role:reader", True),
        ("not (role:admin or role:member)", False),
        ("not role:admin and role:member", True),
        ("NOT role:admin AND ( role:member OR ! )", True),
        ([], True),
        ([["role:admin"], ["role:member", "project_id:red"]], True),
        ([["role:admin"], ["role:member", "project_id:blue"]], False),
        (["role:admin", "role:member"], True),
    ],
)
def test_a_rule_says_who_passes(rule: Any, ruth: bool) -> None:
    assert allows(rule, RUTH) is ruth


_CHECKS = st.sampled_from(["role:member", "role:admin", "project_id:red", "user_id:ada", "@", "!"])
_RULES = st.recursive(
    _CHECKS,
    lambda rules: st.one_of(
        st.builds("({} or {})".format, rules, rules),
        st.builds("({} and {})".format, rules, rules),
        st.builds("not {}".format, _CHECKS),
        st.builds("{} and {} or {}".format, _CHECKS, _CHECKS, _CHECKS).map("({})".format),
        st.builds("(not ({}))".format, rules),
    ),
    max_leaves=8,
)
_OSLO = oslo.Enforcer(cfg.ConfigOpts(), use_conf=False)


@hypothesis.settings(deadline=None, max_examples=60)
@given(_RULES)
def test_a_rule_means_what_it_means_to_openstack(rule: str) -> None:
    _OSLO.set_rules(oslo.Rules.load(json.dumps({"asked": rule})), overwrite=True)
    for caller in (RUTH, ADA):
        told = {"roles": list(caller.roles), "project_id": caller.project_id, "user_id": caller.user_id}
        assert allows(rule, caller) is bool(_OSLO.enforce("asked", {}, told)), rule


@pytest.mark.parametrize(
    "rule",
    ["role:", "admin", "and", "role:a role:b", "role:a or", "not", "(role:a", "role:a)", "()", "http://x/", 7, None,
     True, {}, [["role:a or role:b"]], [[7]], [""], "project_id:%(project_id)s", "(" * 101, "not " * 101 + "@"],
)  # fmt: skip
def test_a_text_that_is_no_rule_is_refused(rule: Any) -> None:
    with pytest.raises(BadRule):
        read_rule(rule)


def test_a_rule_that_is_not_there_is_the_default_and_without_one_passes_but_makes_no_admin() -> None:
    assert Policy({}).allows("telemetry:get_alarm", RUTH)
    assert not Policy({"default": read_rule("role:admin")}).allows("telemetry:get_alarm", RUTH)
    assert not Policy({"default": read_rule("")}).sees_all(RUTH)


def test_our_file_has_the_rule_of_every_route_and_makes_admins_of_who_has_the_role() -> None:
    ours = policy_file.load(None)
    views: list[type[Any]] = [getattr(pattern.callback, "view_class", View) for pattern in urls.urlpatterns]
    ledger = [view for view in views if issubclass(view, LedgerView)]
    asked = {rule for view in ledger for rule in (view.rule, *view.rules.values())}

    assert asked
    assert asked <= ours.rules.keys()
    assert [ours.sees_all(caller) for caller in (RUTH, ADA)] == [False, True]
    assert all(ours.allows(name, RUTH) for name in ours.rules if name.startswith("telemetry:"))


def test_a_view_without_a_rule_is_no_route() -> None:
    class Careless(LedgerView):
        pass

    with pytest.raises(TypeError, match="Careless names no rule"):
        Careless.as_view()


def test_a_file_holds_only_what_differs(tmp_path: Path) -> None:
    own = policy_file.load(write(tmp_path, 'telemetry:get_meters: "role:auditor"\n"default": "!"\n'))

    assert not own.allows("telemetry:get_meters", RUTH)
    assert own.allows("telemetry:get_samples", RUTH)
    assert not own.allows("telemetry:get_alarm", RUTH)
    assert own.sees_all(ADA)


def test_the_files_of_old_are_read_too(tmp_path: Path) -> None:
    old = policy_file.load(write(tmp_path, '{"context_is_admin": [["role:cloud_admin"], ["project_id:red"]]}'))

    assert old.sees_all(RUTH)
    assert not old.sees_all(ADA)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: role:x and\n", "line 1: rule 'a': nothing stands where a check is expected"),
        ("a: ''\nb:\n", "line 2: rule 'b': it must be a text"),
        ("a: ''\nb: !\n", "line 2: a '!' that is not in quotes"),
        ("a: ! role:x\n", "line 1: a '!' that is not in quotes"),
        ("a: @\n", "line 1:"),
        ("a: ''\na: '!'\n", "line 2: rule 'a' is there twice"),
        ("a: rule:b\n", "rule 'a' asks for the rule 'b', which is not there"),
        ("a: rule:b\nb: not rule:a\n", "rules ask each other in a circle"),
        ("context_is_admin: rule:segregation\n", "rules ask each other in a circle"),
        ("- a\n", "line 1: it must hold rules by their names"),
        ("", "line 1: it must hold rules by their names"),
        ('{"a": "role:x"', "line 1"),
    ],
)
def test_every_fault_of_a_file_is_told_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    [fault] = faults(tmp_path, text)
    assert fault.startswith(said)


def test_a_file_that_is_wrong_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "telemetry:get_samples: role\n")
    monkeypatch.setenv("METERING_POLICY_FILE", str(path))

    [error] = checks.the_policy_is_sound()
    assert error.id == "metering.E003"
    assert f"{path}: line 1: rule 'telemetry:get_samples'" in error.msg
    with pytest.raises(BadSetting, match="rule 'telemetry:get_samples'"):
        policy_file.load(path)


def test_a_file_that_is_away_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="cannot be read"):
        policy_file.load(tmp_path / "nothing.yaml")


def test_a_rule_that_nothing_asks_for_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, 'telemetry:get_meter: "rule:ours"\nours: "role:x"\ndefault: ""\n')
    monkeypatch.setenv("METERING_POLICY_FILE", str(path))

    [warning] = checks.the_policy_is_sound()
    assert (warning.id, "'telemetry:get_meter'" in warning.msg) == ("metering.W006", True)


@pytest.mark.django_db
def test_who_does_not_pass_the_rule_is_refused(tmp_path: Path) -> None:
    store(reading())
    path = write(tmp_path, 'telemetry:get_samples: "rule:context_is_admin"\ntelemetry:get_sample: "!"\n')
    told = replace(settings.METERING, access=AccessSettings(policy_file=path))
    own, admin = asking.of("red"), asking.admin()
    refused = (403, "RBAC Authorization Failed")

    with override_settings(METERING=told):
        for asked in ("/v2/samples", "/v2/samples/", "/v2/meters/cpu", "/v2/meters/nothing"):
            assert own.refusal(asked) == refused
            assert admin.get(asked).status_code == 200
        assert admin.refusal("/v2/samples/1") == refused
        assert len(own.ask("/v2/meters")) == 1
        assert asking.nobody().get("/v2/samples").status_code == 401
