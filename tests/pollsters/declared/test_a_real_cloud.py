"""Declared pollsters over a real Keystone, as a central worker runs them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from metering import environment, plugins
from pollsters import runner
from tests.openstack.lab import CloudLab

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
DEFINITION = """
- name: acme.project
  sample_type: gauge
  unit: project
  value_attribute: enabled
  endpoint_type: identity
  url_path: /v3/projects
  project_id_attribute: id
  metadata_fields: [name]
  next_sample_url_attribute: links.next
  extra_metadata_fields:
    name: domain_name
    endpoint_type: identity
    url_path: "'/v3/domains/' + sample['domain_id']"
    value: name
- name: acme.nowhere
  sample_type: gauge
  unit: thing
  value_attribute: size
  endpoint_type: no-such-service
  url_path: v1/things
- name: acme.refused
  sample_type: gauge
  unit: thing
  value_attribute: size
  endpoint_type: identity
  url_path: v3/no-such-path
"""


def test_projects_are_read_with_a_token_and_enriched(
    cloud_lab: CloudLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(cloud_lab.clouds_yaml))
    (tmp_path / "acme.yaml").write_text(DEFINITION)
    # A time-out of its own, so that the clouds of this test are nobody else's.
    told = {"METERING_CLOUDS": "lab", "METERING_CLOUD_TIMEOUT": "11", "METERING_POLLSTER_DEFINITIONS": str(tmp_path)}
    found = plugins.enabled(plugins.CENTRAL, environment.load({"METERING_NODE": "central", **told}), told)

    done = runner.poll_central(found, lambda meter: meter.startswith("acme."), lambda _: True, str, NOW, 60)

    read = {counter.resource_metadata["name"]: counter for counter in done.counters}
    assert {"admin"} <= read.keys()
    assert (read["admin"].name, read["admin"].volume, read["admin"].unit) == ("acme.project", 1, "project")
    assert read["admin"].project_id == read["admin"].resource_id
    assert read["admin"].resource_metadata == {"name": "admin", "domain_name": "Default"}
    assert done.errors == {"acme.refused": 1}
