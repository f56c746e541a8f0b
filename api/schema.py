"""The API's OpenAPI, made by drf-spectacular of what each view says of itself (`described.py`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from drf_spectacular.openapi import AutoSchema
from rest_framework.permissions import AllowAny

from api.described import Answer
from api.forms import BODIES, FORMS, Schema, listed, ref
from api.parameters import HEADERS, PATH, QUERY, Parameter, field_of

if TYPE_CHECKING:
    from api.views.base import ApiView

TEXTS = {
    400: "Something in the request cannot be; the text names it.",
    401: "No valid token; or another project was named.",
    403: "The policy refuses it.",
    404: "It is not there, or is another project's.",
    406: "No form that the Accept header allows is offered.",
    409: "It contradicts what is there.",
    410: "Gone: this service has none.",
    413: "The body is too long.",
    415: "The body is not JSON.",
    429: "Too many requests of one caller.",
    500: "A fault of ours.",
    501: "Known to Ceilometer's clients, and not offered.",
    503: "The database, the broker or Keystone does not answer, or takes too long.",
}
COMMON = (400, 401, 403, 406, 413, 415, 429, 500, 503)  # what any question may be answered with
OPEN = (400, 406, 415, 429, 500)  # the same where everybody may ask
_SOON_AGAIN = (429, 503)
_RETRY = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 0}}}

SECURITY = {
    "token": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Auth-Token",
        "description": "A token of this service, or of Keystone.",
    },
    "bearer": {"type": "http", "scheme": "bearer", "description": "The same as Authorization: Bearer."},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "sessionid",
        "description": "A browser that is logged in to the admin.",
    },
}


class ViewSchema(AutoSchema):
    """One view's operations."""

    def get_operation_id(self) -> str:
        name = re.sub(r"\W+", "_", re.sub(r"[{}]", "", self.path)).strip("_") or "versions"
        return f"{self.method.lower()}_{name}"

    def get_tags(self) -> list[str]:
        parts = self.path.strip("/").split("/")
        return [parts[1] if len(parts) > 1 else "versions"]

    def get_summary(self) -> str:
        return str(self.get_description()).partition(".")[0]

    def get_auth(self) -> list[dict[str, list[str]]]:
        if any(isinstance(permission, AllowAny) for permission in self.view.get_permissions()):
            return []
        return [{name: []} for name in SECURITY]

    @property
    def _answer(self) -> Answer:
        answers: Mapping[str, Answer] = getattr(self.view, "answers", {})
        if self.method not in answers:
            raise TypeError(
                f"{type(self.view).__name__}.answers does not say what {self.method} answers (described.py)"
            )
        return answers[self.method]

    def _get_parameters(self) -> list[Schema]:
        path = [_parameter("path", name, _known(PATH, name)) for name in re.findall(r"{(\w+)}", self.path)]
        known = cast("ApiView", self.view).parameters(self.method)
        query = [_parameter("query", name, self._of_query(name)) for name in sorted(known)]
        headers = [_parameter("header", name, _known(HEADERS, name)) for name in self._answer.headers]
        return path + query + headers

    def _of_query(self, name: str) -> Parameter:
        own: Mapping[str, Parameter] = getattr(self.view, "own", {})
        if name in own:
            return own[name]
        fields = getattr(self.view, "fields", None)
        return field_of(fields) if name == "q.field" and fields is not None else _known(QUERY, name)

    def _get_request_body(self, direction: str = "request") -> Schema | None:
        body, required = self._answer.body, self._answer.needs_body
        return (
            None if body is None else {"required": required, "content": {"application/json": {"schema": BODIES[body]}}}
        )

    def _get_response_bodies(self, direction: str = "response") -> Schema:
        answer = self._answer
        schema = listed(ref(answer.form)) if answer.is_list else ref(answer.form)
        statuses = {*(COMMON if self.get_auth() else OPEN), *answer.refusals}
        return {
            str(answer.status): {"description": "As asked.", "content": self._content(schema)},
            **{str(status): self._refusal(status) for status in sorted(statuses)},
        }

    def _refusal(self, status: int) -> Schema:
        refusal: Schema = {"description": TEXTS[status], "content": self._content(ref("Error"))}
        return refusal | ({"headers": _RETRY} if status in _SOON_AGAIN else {})

    def _content(self, schema: Schema) -> Schema:
        """The same thing in each form that is offered: only JSON has a schema."""
        kinds = [renderer.media_type for renderer in self.view.get_renderers()]
        return {kind: {"schema": schema if kind == "application/json" else {"type": "string"}} for kind in kinds}


def _known(parameters: Mapping[str, Parameter], name: str) -> Parameter:
    if name not in parameters:
        raise TypeError(f"the parameter {name} is not described (parameters.py)")
    return parameters[name]


def _parameter(place: str, name: str, parameter: Parameter) -> Schema:
    required = {"required": True} if place == "path" else {}
    return {"name": name, "in": place, "description": parameter.text, "schema": parameter.whole, **required}


def plain_paths(endpoints: list[tuple[str, str, str, Any]]) -> list[tuple[str, str, str, Any]]:
    """A hook of drf-spectacular's: each address as its users write it, without the slash that it may end with."""
    return [(address(regex), regex, method, callback) for _, regex, method, callback in endpoints]


def address(regex: str) -> str:
    """The address of a pattern in ``urls.py``, with its groups as ``{name}``."""
    path, depth, name = "", 0, ""
    for part in re.split(r"(\(\?P<\w+>|\(|\))", regex.removeprefix("^").removesuffix(r"\Z").removesuffix("/?")):
        if part.startswith("("):
            name = name if depth else part[4:-1]
            depth += 1
        elif part == ")":
            depth -= 1
            path += "" if depth else f"{{{name}}}"
        elif not depth:
            path += part
    return f"/{path}"


def with_components(result: Schema, **_: Any) -> Schema:
    """A hook of drf-spectacular's: add the forms and the ways to say who one is."""
    result["components"] = {"schemas": FORMS, "securitySchemes": SECURITY}
    return result
