"""AWS Signature Version 4, for requests without a body: what a RADOS gateway's admin API asks for. Pure Python."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import urlsplit

_NO_BODY = hashlib.sha256(b"").hexdigest()


def headers(
    method: str, url: str, access_key: str, secret_key: str, now: datetime, region: str = "us-east-1"
) -> dict[str, str]:
    """The headers that sign a request of this URL, whose query is sorted and quoted already, at ``now`` (UTC)."""
    parts = urlsplit(url)
    moment = now.strftime("%Y%m%dT%H%M%SZ")
    signed = {"host": parts.netloc, "x-amz-content-sha256": _NO_BODY, "x-amz-date": moment}
    names = ";".join(signed)
    request = "\n".join((method, parts.path or "/", parts.query, _lines(signed), names, _NO_BODY))
    scope = f"{moment[:8]}/{region}/s3/aws4_request"
    text = "\n".join(("AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(request.encode()).hexdigest()))
    key = f"AWS4{secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.new(key, text.encode(), "sha256").hexdigest()
    proof = f"AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {"Authorization": proof, "x-amz-content-sha256": _NO_BODY, "x-amz-date": moment}


def _lines(signed: Mapping[str, str]) -> str:
    """In the order of their names, each on its line."""
    return "".join(f"{name}:{value}\n" for name, value in signed.items())
