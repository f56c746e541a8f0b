"""TLS takes the same limits as plain HTTP."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from metering import transport
from tests.openstack.services import Answer, Services


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that the server signed itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    kind, form = serialization.PrivateFormat.PKCS8, serialization.Encoding.PEM
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(key.private_bytes(form, kind, serialization.NoEncryption()) + signed.public_bytes(form))
    return path


@pytest.fixture
def server(certificate: Path) -> Iterator[Services]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    services = Services(tls=context)
    yield services
    services.close()


def test_a_service_behind_tls_is_asked(server: Services, certificate: Path) -> None:
    with transport.session(lambda: 10) as session:
        answer = session.get(f"{server.url}/aodh/v2/metrics", verify=str(certificate))

    assert set(answer.json()) == {"evaluation_results"}


def test_a_stranger_behind_tls_is_refused(server: Services) -> None:
    with transport.session(lambda: 10) as session, pytest.raises(requests.exceptions.SSLError):
        session.get(f"{server.url}/aodh/v2/metrics")


@pytest.mark.parametrize("slow", ["head", "body"])
def test_a_slow_service_behind_tls_is_cut_off(server: Services, certificate: Path, slow: str) -> None:
    server.change("/slow", Answer(slow=slow))

    with transport.session(lambda: 0.5) as session, pytest.raises((requests.Timeout, requests.ConnectionError)):
        session.get(f"{server.url}/slow", verify=str(certificate))


def test_without_time_nothing_is_asked(server: Services, certificate: Path) -> None:
    with transport.session(lambda: 0) as session, pytest.raises(requests.Timeout):
        session.get(f"{server.url}/aodh/v2/metrics", verify=str(certificate))

    assert server.asked == []
