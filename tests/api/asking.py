"""Somebody who asks the API over HTTP."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.test import Client

from tests import factories

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Answer

JSON_TYPE = "application/json; charset=UTF-8"


class Asker:
    """A client with a token, or with none."""

    def __init__(self, token: str | None = None) -> None:
        self.headers = {} if token is None else {"X-Auth-Token": token}
        self.client = Client()

    def get(self, path: str, *q: tuple[str, ...], headers: dict[str, str] | None = None, **params: Any) -> Answer:
        """GET the path; each of ``q`` is (field, value[, op[, type]]), other parameters as they are."""
        pairs = [(name.replace("__", "."), value) for name, value in params.items()]
        for clause in q:
            padded = (*clause, *("eq", "")[len(clause) - 2 :])
            pairs += zip(("q.field", "q.value", "q.op", "q.type"), padded, strict=True)
        url = path + ("?" + urlencode(pairs, doseq=True) if pairs else "")
        return self.client.get(url, headers={**self.headers, **(headers or {})})

    def ask(self, path: str, *q: tuple[str, ...], **params: Any) -> Any:
        """The JSON of an answer that must be a success."""
        response = self.get(path, *q, **params)
        assert response.status_code == 200, response.content
        assert response["Content-Type"] == JSON_TYPE
        return json.loads(response.getvalue())  # which a stream has, too

    def refusal(self, path: str, *q: tuple[str, ...], **params: Any) -> tuple[int, str]:
        """Status and text of an answer that must be an error in the API's shape."""
        return refusal(self.get(path, *q, **params))


def refusal(response: Answer) -> tuple[int, str]:
    assert response["Content-Type"] == JSON_TYPE
    [(name, message)] = response.json().items()
    assert name == "error_message"
    assert sorted(message) == ["debuginfo", "faultcode", "faultstring"]
    assert message["faultcode"] == ("Client" if response.status_code < 500 else "Server")
    return response.status_code, message["faultstring"]


def admin() -> Asker:
    return Asker(factories.token())


def of(project: str) -> Asker:
    return Asker(factories.token(project))


def nobody() -> Asker:
    return Asker()
