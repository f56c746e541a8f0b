from __future__ import annotations

from datetime import UTC, datetime

import pytest

from metering.environment import load
from pollsters.central import s3_signature
from pollsters.central.cloud import OpenStack
from pollsters.central.radosgw import BucketPollster, UsagePollster
from tests.openstack.lab import CloudLab
from tests.openstack.services import Answer, Asked, recorded
from tests.pollsters.central.asking import VALUES, poll, read, rows


def test_a_request_is_signed_as_amazons_documents_show_it() -> None:
    """Their example of listing a bucket (GET, ?max-keys=2&prefix=J)."""
    url = "https://examplebucket.s3.amazonaws.com/?max-keys=2&prefix=J"
    moment = datetime(2013, 5, 24, tzinfo=UTC)
    secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

    signed = s3_signature.headers("GET", url, "AKIAIOSFODNN7EXAMPLE", secret, moment)

    assert signed["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
        "SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
        "Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
    )


def test_buckets_their_sums_and_requests_of_each_project(clouds: OpenStack, cloud_lab: CloudLab) -> None:
    counters = read(clouds, BucketPollster, UsagePollster)

    red = cloud_lab.projects["red"]
    assert rows([c for c in counters if c.project_id == red]) == [
        ("radosgw.containers.objects", "object", 21, f"{red}/logs"),
        ("radosgw.containers.objects.size", "B", 2000 * 1024, f"{red}/logs"),
        ("radosgw.containers.objects", "object", 0, f"{red}/empty"),
        ("radosgw.containers.objects.size", "B", 0, f"{red}/empty"),
        ("radosgw.objects", "object", 21, red),
        ("radosgw.objects.size", "B", 2000 * 1024, red),
        ("radosgw.objects.containers", "object", 2, red),
        ("radosgw.api.request", "request", 42, red),
    ]
    assert {c.project_id for c in counters} == set(cloud_lab.projects.values())


def test_the_gateway_is_asked_with_keys_and_never_with_a_token(clouds: OpenStack, cloud_lab: CloudLab) -> None:
    seen: list[Asked] = []

    def look(asked: Asked) -> Answer:
        seen.append(asked)
        return Answer(recorded("buckets"))

    cloud_lab.services.change("/admin/bucket", look)
    tenants = BucketPollster({**VALUES, "METERING_RADOSGW_TENANTS": "1"}, clouds)
    place = next(place for place in tenants.places() if place.project == cloud_lab.projects["red"])

    list(tenants.poll(place))

    [asked] = seen
    red = cloud_lab.projects["red"]
    assert asked.query == {"uid": f"{red}${red}", "stats": "true", "format": "json"}
    assert "X-Auth-Token" not in asked.headers
    moment = datetime.strptime(asked.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    url = f"{cloud_lab.services.url}{asked.whole}"
    again = s3_signature.headers("GET", url, "the-access-key", "the-secret-key", moment)
    assert asked.headers["Authorization"] == again["Authorization"]


def test_a_project_that_the_gateway_does_not_know_has_no_samples(clouds: OpenStack, cloud_lab: CloudLab) -> None:
    cloud_lab.services.change("/admin/*", Answer({"Code": "NoSuchUser"}, 404))

    assert read(clouds, BucketPollster, UsagePollster) == []


@pytest.mark.parametrize("body", [{}, [7], {"summary": [{"total": {}}]}, {"summary": 5}, "nothing"])
def test_an_answer_of_another_shape_costs_only_its_project(
    clouds: OpenStack, cloud_lab: CloudLab, body: object
) -> None:
    cloud_lab.services.change("/admin/*", Answer(body))

    done = poll(clouds, BucketPollster, UsagePollster)

    assert done.counters == []
    assert done.errors == dict.fromkeys(("BucketPollster", "UsagePollster"), len(cloud_lab.projects))


def test_a_bucket_without_figures_costs_itself_and_the_sums(clouds: OpenStack, cloud_lab: CloudLab) -> None:
    good = recorded("buckets")[0]
    cloud_lab.services.change("/admin/bucket", Answer([{"bucket": "bad", "usage": {"rgw.main": {}}}, good]))

    done = poll(clouds, BucketPollster)

    assert {c.name for c in done.counters} == {"radosgw.containers.objects", "radosgw.containers.objects.size"}
    assert done.errors == {"BucketPollster": len(cloud_lab.projects)}


def test_without_keys_it_is_off_and_names_them() -> None:
    off = UsagePollster({**VALUES, "METERING_RADOSGW_ACCESS_KEY": "", "METERING_RADOSGW_SECRET_KEY": ""})
    beat = load({"METERING_ROLE": "beat", "METERING_BROKER_URL": "redis://localhost"})

    assert off.enabled(beat) == "METERING_RADOSGW_ACCESS_KEY and METERING_RADOSGW_SECRET_KEY not set"
