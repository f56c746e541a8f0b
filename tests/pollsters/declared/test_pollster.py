from __future__ import annotations

import stat
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from metering import contracts
from metering.counters import Counter, Kind
from metering.errors import PollError
from pollsters import runner
from pollsters.declared.pollster import DeclaredPollster, NodePollster
from pollsters.runner import Node
from tests.pollsters.declared.conftest import Declare, Serve
from tests.rest_api import RESTAPI, Answer

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
THING = {"id": "t-1", "size": 4, "project_id": "p-1", "user_id": "u-1", "name": "first"}
THINGS = "/v1/things"


def poll(pollster: DeclaredPollster, seconds: float = 30) -> runner.Poll:
    return runner.poll_central({"acme": pollster}, lambda _: True, lambda _: True, str, NOW, seconds)


def values(poll: runner.Poll) -> list[tuple[str, float]]:
    return [(counter.resource_id, counter.volume) for counter in poll.counters]


def test_each_entry_becomes_a_sample(serve: Serve, declare: Declare) -> None:
    api = serve({THINGS: {"things": [THING, {**THING, "id": "t-2", "size": 2.5}]}})

    done = poll(declare(api.url, metadata_fields=["name", "flavor.vcpus"]))

    assert done.errors == {}
    assert done.counters == [
        Counter("acme.thing", Kind.GAUGE, "thing", size, "u-1", "p-1", id_, NOW, {"name": "first"}, "acme in no region")
        for id_, size in (("t-1", 4), ("t-2", 2.5))
    ]


def test_ids_come_from_other_fields_and_are_made_by_expressions(serve: Serve, declare: Declare) -> None:
    api = serve({THINGS: {"things": [{"owner": "p-1$u-1", "number": 7, "size": 1}]}})

    [counter] = poll(
        declare(
            api.url,
            resource_id_attribute="number",
            project_id_attribute="owner | value.split('$')[0]",
            user_id_attribute="owner | value.split('$')[1]",
        )
    ).counters

    assert (counter.resource_id, counter.project_id, counter.user_id) == ("7", "p-1", "u-1")


def test_metadata_is_renamed_with_and_without_its_first_name(serve: Serve, declare: Declare) -> None:
    api = serve({THINGS: [{**THING, "tags": ["a", "b"]}]})
    told: dict[str, Any] = {
        "metadata_fields": ["name", "tags | ','.join(value)"],
        "metadata_mapping": {"name": "display_name", "tags | ','.join(value)": "tags"},
    }

    both = poll(declare(api.url, **told)).counters[0].resource_metadata
    alone = poll(declare(api.url, preserve_mapped_metadata=False, **told)).counters[0].resource_metadata

    assert alone == {"display_name": "first", "tags": "a,b"}
    assert both == {**alone, "name": "first", "tags | ','.join(value)": "a,b"}


@pytest.mark.parametrize(
    ("value", "volume"),
    [(4, 4), ("4.5", 4.5), (True, 1), (False, 0), (-1e300, -1e300), (0, 0)],
)
def test_a_value_is_a_number_a_text_of_one_or_a_truth(
    serve: Serve, declare: Declare, value: object, volume: float
) -> None:
    api = serve({THINGS: [{**THING, "size": value}]})

    assert values(poll(declare(api.url))) == [("t-1", volume)]


@pytest.mark.parametrize(
    "entry",
    [
        {**THING, "size": "many"},
        {**THING, "size": None},
        {**THING, "size": [1]},
        {**THING, "size": "nan"},
        {"id": "t-1"},
        {**THING, "id": None},
        {**THING, "id": ["t"]},
        "no mapping",
        None,
    ],
)
def test_an_entry_that_cannot_be_read_costs_only_itself_and_is_counted(
    serve: Serve, declare: Declare, entry: object
) -> None:
    api = serve({THINGS: {"things": [entry, {**THING, "id": "t-2"}]}})

    done = poll(declare(api.url))

    assert values(done) == [("t-2", 4)]
    assert done.errors == {"acme": 1}


def test_values_are_mapped_and_those_to_be_skipped_are(serve: Serve, declare: Declare) -> None:
    states = ["ACTIVE", "BUILD", "DELETED", True, 3]
    api = serve({THINGS: [{**THING, "id": f"t-{place}", "size": state} for place, state in enumerate(states)]})

    done = poll(
        declare(
            api.url,
            value_mapping={"ACTIVE": "1", "True": 5, 3: 2},
            default_value=0,
            skip_sample_values=["DELETED"],
        )
    )

    assert values(done) == [("t-0", 1), ("t-1", 0), ("t-3", 5), ("t-4", 2)]


def test_a_list_within_an_entry_gives_a_meter_for_each_element(serve: Serve, declare: Declare) -> None:
    categories = [
        {"category": "get_obj", "ops": 46},
        {"category": "put_obj", "ops": 7},
        {"category": "del_obj", "ops": 0},
        {"category": "no meter's name!", "ops": 1},
        {"ops": 1},
    ]
    api = serve({THINGS: {"summary": [{**THING, "categories": categories}]}})

    done = poll(
        declare(
            api.url,
            name="acme.request.{category}",
            value_attribute="[categories].ops | value * 2",
            skip_sample_values=["put_obj"],
        )
    )

    assert {(c.name, c.volume, c.resource_id) for c in done.counters} == {
        ("acme.request.get_obj", 92, "t-1"),
        ("acme.request.del_obj", 0, "t-1"),
    }
    assert done.errors == {"acme": 1}


@pytest.mark.parametrize(
    ("body", "key", "ids"),
    [
        ({"things": [THING], "links": []}, None, ["t-1"]),
        ({"links": [], "data": {"things": [THING]}}, "data.things", ["t-1"]),
        ({"links": [], "things": {"a": THING}}, "things | list(value.values())", ["t-1"]),
        ({"thing": THING}, None, ["t-1"]),
        (THING, ".", ["t-1"]),
        ([THING], "ignored", ["t-1"]),
        ({"things": []}, None, []),
        ({"things": None}, None, []),
        ([], None, []),
        ({}, None, []),
    ],
)
def test_the_entries_are_found_in_the_answer(
    serve: Serve, declare: Declare, body: object, key: str | None, ids: list[str]
) -> None:
    done = poll(declare(serve({THINGS: body}).url, response_entries_key=key))

    assert [counter.resource_id for counter in done.counters] == ids
    assert done.errors == {}


def test_pages_are_followed_by_links_of_any_form_and_never_to_another_host(serve: Serve, declare: Declare) -> None:
    elsewhere = serve({})
    api = serve(
        {
            THINGS: {"things": [{**THING, "id": "1"}], "next": f"{elsewhere.url}/proxied/v1/things?marker=1"},
            f"{THINGS}?marker=1": {"things": [{**THING, "id": "2"}], "next": "?marker=2"},
            f"{THINGS}?marker=2": {"things": [{**THING, "id": "3"}], "next": "/v1/things/page/4"},
            f"{THINGS}/page/4": {"things": [{**THING, "id": "4"}], "next": None},
        }
    )

    done = poll(declare(api.url, next_sample_url_attribute="next"))

    assert ([counter.resource_id for counter in done.counters], done.errors) == (["1", "2", "3", "4"], {})
    assert elsewhere.asked == []


def test_pages_end_where_no_link_leads_on(serve: Serve, declare: Declare) -> None:
    first = [{"rel": "prev", "href": "?marker=0"}, {"rel": "next", "href": "?marker=1"}]
    api = serve(
        {
            THINGS: {"things": [THING], "links": first},
            f"{THINGS}?marker=1": {"things": [{**THING, "id": "t-2"}], "links": first[:1]},
        }
    )
    next_one = "links | filter(lambda v: v.get('rel') == 'next', value) | list(value) | value[0] | value.get('href')"

    done = poll(declare(api.url, next_sample_url_attribute=next_one))

    assert (values(done), done.errors) == ([("t-1", 4), ("t-2", 4)], {})


def test_pages_that_go_round_in_circles_end_and_what_was_read_is_kept(serve: Serve, declare: Declare) -> None:
    api = serve({THINGS: {"things": [THING], "next": "/v1/things"}})

    done = poll(declare(api.url, next_sample_url_attribute="next"))

    assert (values(done), done.errors, len(api.asked)) == ([("t-1", 4)], {"acme": 1}, 1)


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (Answer("no", 401), "401 Unauthorized"),
        (Answer("no", 404), "404 Not Found"),
        (Answer("no", 500), "500 Internal Server Error"),
        (Answer("", 302, {"Location": "http://127.0.0.1:1/"}), "302 Found"),
        (Answer("<html></html>"), "no json"),
        (Answer('{"things": [NaN]}'), "no json"),
        (Answer("[" * 100_000), "no json"),
        (Answer('"a text"'), "an entry is no mapping"),
        (Answer('{"things": 5}'), "an entry is no mapping"),
    ],
)
def test_an_answer_of_another_kind_is_one_error(serve: Serve, declare: Declare, answer: Answer, fault: str) -> None:
    pollster = declare(serve({THINGS: answer}).url)

    with pytest.raises(PollError, match=fault):
        list(pollster.poll(next(iter(pollster.places()))))


def test_an_answer_that_comes_a_byte_at_a_time_is_cut_off(serve: Serve, declare: Declare) -> None:
    api = serve({THINGS: Answer({"things": [THING] * 100}, seconds=0.05)})
    began = time.monotonic()

    done = poll(declare(api.url, timeout=0.5))

    assert (done.counters, done.errors) == ([], {"acme": 1})
    assert time.monotonic() - began < 5


def test_a_timeout_of_none_still_ends_with_the_poll(serve: Serve, declare: Declare) -> None:
    api = serve({THINGS: Answer({"things": [THING] * 100}, seconds=0.05)})
    pollster = declare(api.url)
    pollster.begin(time.monotonic() + 0.5)

    with pytest.raises(PollError):
        list(pollster.poll(next(iter(pollster.places()))))


def test_xml_and_text_are_read_where_they_are_asked_for(serve: Serve, declare: Declare) -> None:
    xml = '<r xmlns="u:x"><thing id="t-1"><size unit="B"> 4 </size></thing><thing id="t-2"><size>5</size></thing></r>'
    api = serve({THINGS: Answer(xml), "/v1/count": Answer(" 12 \n")})

    of_xml = poll(
        declare(
            api.url,
            response_handlers=["json", "xml"],
            response_entries_key="r.thing",
            resource_id_attribute="@id",
            value_attribute=". | value['size'] | value['#text'] if '#text' in value else value",
        )
    )
    of_text = poll(
        declare(
            api.url,
            url_path="v1/count",
            response_handlers=["text"],
            value_attribute="out | int(value)",
            resource_id_attribute="out | 'all' if value else ''",
        )
    )

    assert (values(of_xml), of_xml.errors) == ([("t-1", 4), ("t-2", 5)], {})
    assert (values(of_text), of_text.errors) == ([("all", 12)], {})


@pytest.mark.parametrize(
    "xml",
    [
        '<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><r>&b;</r>',
        '<!DOCTYPE r SYSTEM "file:///etc/passwd"><r/>',
        "<r>" * 5_000 + "</r>" * 5_000,
        "<r>",
        "",
    ],
)
def test_xml_that_would_harm_is_refused(serve: Serve, declare: Declare, xml: str) -> None:
    done = poll(declare(serve({THINGS: Answer(xml)}).url, response_handlers=["xml"]))

    assert (done.counters, done.errors) == ([], {"acme": 1})


def test_headers_go_along(serve: Serve, declare: Declare) -> None:
    api = serve({THINGS: [THING]})

    poll(declare(api.url, headers={"OpenStack-API-Version": "acme 2.1", "X-Number": 7}))

    assert api.asked[0].headers["OpenStack-API-Version"] == "acme 2.1"
    assert api.asked[0].headers["X-Number"] == "7"


def test_any_url_can_be_asked_without_a_cloud(serve: Serve, declare: Declare) -> None:
    api = serve({"/a?limit=1": {"things": [THING], "next": "?page=2"}, "/a?page=2": {"things": [{**THING, "id": "2"}]}})

    pollster = declare(
        "http://127.0.0.1:1", endpoint_type=None, url_path=f"{api.url}/a?limit=1", next_sample_url_attribute="next"
    )

    assert not pollster.asks_catalogue
    assert values(poll(pollster)) == [("t-1", 4), ("2", 4)]


def test_an_api_of_its_own_is_asked_with_an_object_that_signs(serve: Serve, declare: Declare) -> None:
    api = serve({"/things": [THING]})
    told: dict[str, Any] = {
        "endpoint_type": None,
        "url_path": f"{api.url}/things",
        "module": "requests.auth",
        "authentication_object": "HTTPBasicAuth",
        "authentication_parameters": "meter, secret",
    }

    allowed = poll(declare("http://127.0.0.1:1", modules=("requests.auth",), **told))
    refused = poll(declare("http://127.0.0.1:1", **told))

    assert (values(allowed), allowed.errors) == ([("t-1", 4)], {})
    assert api.asked[0].headers["Authorization"] == "Basic bWV0ZXI6c2VjcmV0"
    assert (refused.counters, refused.errors, len(api.asked)) == ([], {"acme": 1}, 1)


def test_what_signs_can_be_made_of_a_secret_in_the_key_manager(serve: Serve, declare: Declare) -> None:
    api = serve({"/things": [THING], "/v1/secrets/s-1/payload": Answer("meter,from-barbican")})

    done = poll(
        declare(
            api.url,
            modules=("requests.auth",),
            endpoint_type=None,
            url_path=f"{api.url}/things",
            module="requests.auth",
            authentication_object="HTTPBasicAuth",
            barbican_secret_id="s-1",
        )
    )

    assert (values(done), done.errors) == ([("t-1", 4)], {})
    assert api.asked[1].headers["Authorization"] == "Basic bWV0ZXI6ZnJvbS1iYXJiaWNhbg=="


def program(folder: Path, script: str) -> str:
    file = folder / "things"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return str(file)


def test_a_command_of_the_host_answers_and_no_shell_reads_it(tmp_path: Path, declare: Declare) -> None:
    command = program(tmp_path, 'echo "[{\\"id\\": \\"$1\\", \\"size\\": $#}]"')

    done = poll(declare("", host_command=f"{command} 'a b' $(touch${{IFS}}{tmp_path}/made) ; rm -rf {tmp_path}"))

    assert values(done) == [("a b", 6)]
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        ("exit 3", r"failed \(3\)"),
        ("sleep 60 & sleep 60", r"did not end within 0\.5 s"),
        ("exec yes", "printed more than|did not end"),
        ("echo no JSON", "no json"),
    ],
)
def test_a_command_that_fails_hangs_or_talks_too_much_is_ended(
    tmp_path: Path, declare: Declare, script: str, fault: str
) -> None:
    pollster = declare("", host_command=program(tmp_path, script), timeout=0.5)
    began = time.monotonic()

    with pytest.raises(PollError, match=fault):
        list(pollster.poll(next(iter(pollster.places()))))

    assert time.monotonic() - began < 10


def test_a_command_runs_on_a_compute_host_in_its_own_poll(tmp_path: Path, declare: Declare) -> None:
    command = program(tmp_path, 'echo \'[{"id": "r", "size": 3}]\'')
    pollster = NodePollster(declare("", host_command=command, namespaces=["compute"]))

    counters = list(pollster.poll_node(Node("node-1", 5)))

    assert list(contracts.faults_of_plugin(contracts.COMPUTE, pollster)) == []
    assert [(counter.resource_id, counter.volume) for counter in counters] == [("r", 3)]


PROJECT = {"project": {"id": "p-1", "name": "web", "domain_id": "d-1", "tags": ["gold"]}}
EXTRAS = [
    {
        "name": "project_name",
        "endpoint_type": "identity",
        "url_path": "'/v3/projects/' + str(sample['project_id'])",
        "value": "name",
        "metadata_fields": ["tags"],
    },
    {
        "name": "domain_name",
        "endpoint_type": "identity",
        "url_path": "'v3/domains/' + extra_metadata_by_name['project_name']['metadata']['tags'][0]",
        "value": "name | value.upper()",
    },
]


def enriched(api: RESTAPI, declare: Declare, **told: Any) -> DeclaredPollster:
    return declare(api.url, metadata_fields=["name"], extra_metadata_fields=EXTRAS, **told)


def test_extra_metadata_is_asked_for_by_what_is_known_and_its_answers_are_kept(serve: Serve, declare: Declare) -> None:
    api = serve(
        {
            THINGS: [THING, {**THING, "id": "t-2"}],
            "/v3/projects/p-1": PROJECT,
            "/v3/domains/gold": {"domain": {"name": "main"}},
        }
    )
    pollster = enriched(api, declare)

    done = poll(pollster)
    poll(pollster)

    assert done.errors == {}
    assert [counter.resource_metadata for counter in done.counters] == [
        {"name": "first", "project_name": "web", "tags": ["gold"], "domain_name": "MAIN"}
    ] * 2
    assert sorted(api.targets) == ["/v1/things", "/v1/things", "/v3/domains/gold", "/v3/projects/p-1"]


def test_without_a_cache_each_entry_is_asked_about(serve: Serve, declare: Declare) -> None:
    api = serve(
        {
            THINGS: [THING, {**THING, "id": "t-2"}],
            "/v3/projects/p-1": PROJECT,
            "/v3/domains/gold": {"domain": {"name": "main"}},
        }
    )

    poll(enriched(api, declare, extra_metadata_fields_cache_seconds=0))

    assert api.targets.count("/v3/projects/p-1") == 2


def test_extra_metadata_that_fails_costs_the_sample_nothing_and_is_asked_for_once(
    serve: Serve, declare: Declare
) -> None:
    api = serve({THINGS: [THING, {**THING, "id": "t-2"}], "/v3/projects/p-1": Answer("no", 500)})

    done = poll(enriched(api, declare))

    assert [counter.resource_metadata for counter in done.counters] == [{"name": "first"}] * 2
    assert done.errors == {"acme": 1}
    assert api.targets.count("/v3/projects/p-1") == 1


def test_extra_metadata_is_not_asked_for_where_a_condition_holds(serve: Serve, declare: Declare) -> None:
    things = [{**THING, "flavor": {"name": "tiny", "disk": 1}}]
    api = serve({THINGS: things})

    done = poll(enriched(api, declare, extra_metadata_fields_skip=[{"size": 9}, {"flavor": {"name": "tiny"}}]))

    assert (values(done), done.errors) == ([("t-1", 4)], {})
    assert api.targets == [THINGS]


def test_extra_metadata_never_replaces_what_the_entry_said(serve: Serve, declare: Declare) -> None:
    api = serve({THINGS: [THING], "/v1/names": {"name": "second"}})
    extra = {
        "name": "name",
        "endpoint_type": "acme",
        "url_path": "v1/names",
        "value": "name",
        "response_entries_key": ".",
    }

    [counter] = poll(declare(api.url, metadata_fields=["name"], extra_metadata_fields=extra)).counters

    assert counter.resource_metadata == {"name": "first"}


def test_an_answer_cannot_turn_a_path_into_a_url_elsewhere(serve: Serve, declare: Declare) -> None:
    elsewhere = serve({"/": [{"name": "x"}]})
    api = serve({THINGS: [{**THING, "link": f"{elsewhere.url}/"}]})
    extra = {"name": "x", "endpoint_type": "acme", "url_path": "sample['link']", "value": "name"}

    done = poll(declare(api.url, extra_metadata_fields=extra))

    assert (values(done), done.errors, elsewhere.asked) == ([("t-1", 4)], {"acme": 1}, [])
