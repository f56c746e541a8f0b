"""What a process is told of who may use the API."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """Nothing told, the policy is ours and tokens are our own."""

    policy_file: Path | None = None  # laid over api/policy.yaml
