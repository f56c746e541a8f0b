from __future__ import annotations

import re

import pytest
from django.contrib.staticfiles import finders
from jsonschema import Draft202012Validator

from api.schema import address
from api.urls import urlpatterns
from tests.api import asking, routes

pytestmark = pytest.mark.django_db


def test_every_route_method_and_parameter_is_described() -> None:
    paths = asking.nobody().ask("/v2/openapi.json")["paths"]
    described = set()
    for pattern in urlpatterns:
        if pattern.name in (routes.NOWHERE, *routes.UNDESCRIBED) or pattern.name.startswith("v1_"):
            continue
        path, view = address(str(pattern.pattern)), pattern.callback.cls  # type: ignore[attr-defined] # DRF puts the class there
        for method in view().allowed_methods:
            operation = paths[path][method.lower()]
            told = {(parameter["in"], parameter["name"]) for parameter in operation.get("parameters", ())}
            taken = {("query", name) for name in view.parameters(method)}
            named = {("path", name) for name in pattern.pattern.regex.groupindex}
            assert {(place, name) for place, name in told if place != "header"} == taken | named, path
            described.add((path, method.lower()))
    assert described == {(path, method) for path, operations in paths.items() for method in operations}


def test_the_description_holds_together_and_knows_where_it_is_served() -> None:
    document = asking.nobody().ask(
        "/v2/openapi.json", headers={"Host": "localhost", "X-Forwarded-Host": "evil.example"}
    )
    assert document["openapi"] == "3.1.0"
    assert document["servers"] == [{"url": "http://localhost"}]
    named = set(re.findall(r"#/components/schemas/(\w+)", str(document)))
    assert named <= document["components"]["schemas"].keys()
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    ids = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids))


def test_its_page_brings_everything_itself() -> None:
    page = asking.nobody().get("/v2/docs/")
    text = page.content.decode()
    files = re.findall(r'(?:src|href)="/static/([^"]+)"', text)
    assert len(files) >= 4
    assert all(finders.find(file) for file in files)
    assert "//" not in re.sub(r"<!DOCTYPE html>", "", text)
    policy = page["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
