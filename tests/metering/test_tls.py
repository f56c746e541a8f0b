from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from metering import environment, tls
from metering.errors import BadSetting

NAME = "METERING_NOTIFICATION_URLS"


@pytest.fixture
def pem(tmp_path: Path) -> str:
    path = tmp_path / "some.pem"
    path.touch()
    return str(path)


def test_a_url_without_tls_stays_as_it_is() -> None:
    assert tls.split(NAME, "amqp://u:p@host:5672/v") == ("amqp://u:p@host:5672/v", None)
    assert tls.split(NAME, "redis://host/0?socket_timeout=5") == ("redis://host/0?socket_timeout=5", None)


def test_a_broker_must_prove_its_name_unless_it_is_said_otherwise(pem: str) -> None:
    bare, told = tls.split(NAME, f"amqps://u:p@host/v?cacertfile={pem}&certfile={pem}&keyfile={pem}")

    assert bare == "amqps://u:p@host/v"
    assert told == {
        "cert_reqs": ssl.CERT_REQUIRED, "server_hostname": "host", "ca_certs": pem, "certfile": pem, "keyfile": pem
    }  # fmt: skip
    assert tls.split(NAME, "amqps://host/?verify=verify_none")[1] == {"cert_reqs": ssl.CERT_NONE}


def test_several_brokers_share_the_name_that_is_said() -> None:
    bare, told = tls.split(NAME, "amqps://one/v?server_name_indication=cluster;amqps://two/v")

    assert bare == "amqps://one/v;amqps://two/v"
    assert told is not None
    assert told["server_hostname"] == "cluster"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("amqps://u:secret@host/?ssl=1", "no option 'ssl'"),
        ("amqps://u:secret@host/?cacertfile=/nowhere/ca.pem", "'/nowhere/ca.pem' is no file"),
        ("amqps://u:secret@host/?keyfile=/etc/hosts", "a keyfile needs its certfile"),
        ("amqps://u:secret@host/?verify=no", "verify is verify_peer or verify_none, not 'no'"),
        ("amqps://u:secret@host/;amqps://other/", "several brokers"),
        ("amqp://u:secret@host/?verify=verify_none", "begins with amqps://"),
    ],
)
def test_what_cannot_be_names_the_setting_and_the_host_and_no_password(url: str, reason: str) -> None:
    with pytest.raises(BadSetting, match=f"^{NAME}: host: .*{reason}") as caught:
        environment.load({NAME: url})

    assert "secret" not in str(caught.value)
