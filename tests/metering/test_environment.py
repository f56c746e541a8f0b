"""Settings: a missing or malformed one is named, with what it got, and a secret is never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from metering import environment
from metering.errors import BadSetting
from metering.event_settings import EventSettings

KEY = "k1:" + "ab" * 32
WHOLE = {
    "METERING_BROKER_URL": "amqp://guest:s3cret-of-the-broker@broker//",
    "DATABASE_URL": "postgresql://metering:s3cret-of-the-base@db:5432/metering",
    "METERING_SECRETS": "k1:the first secret of all,k0:an older secret that verifies",
    "METERING_NODE": "host-1",
    "METERING_NODE_KEY": KEY,
    "METERING_NOTIFICATION_URLS": "amqp://one//, amqp://two//",
    "DJANGO_SECRET_KEY": "a key for sessions",
}


def refusal(**changed: str) -> str:
    with pytest.raises(BadSetting) as refused:
        environment.load({**WHOLE, **changed})
    return str(refused.value)


def test_an_operator_s_command_needs_no_setting_and_signs_as_the_api() -> None:
    settings = environment.load({"METERING_NODE": "desk"})

    assert settings.role is None
    assert settings.publisher == "api/desk"
    assert (settings.source, settings.poll_interval, settings.central_shards) == ("openstack", 60, 8)
    assert (settings.retention_days, settings.ahead_seconds) == (30, 600)
    assert settings.libvirt_uri == "qemu:///system"
    assert settings.signature == "canonical"
    assert settings.ceilometer_secrets == ()
    assert settings.allowed_hosts == ("localhost", "127.0.0.1", "[::1]")
    assert not settings.plain_messages
    assert not settings.secrets


@pytest.mark.parametrize("role", environment.ROLES)
def test_each_role_starts_with_what_it_needs_and_has_its_own_name(role: str) -> None:
    settings = environment.load({**WHOLE, "METERING_ROLE": role})

    assert settings.publisher == f"{role}/host-1"


def test_all_central_workers_have_one_name() -> None:
    told = {name: value for name, value in WHOLE.items() if name != "METERING_NODE"}

    assert environment.load({**told, "METERING_ROLE": "central"}).publisher == "central/central"


@pytest.mark.parametrize(
    ("role", "name"),
    [
        *((role, "METERING_BROKER_URL") for role in environment.ROLES),
        *((role, "DATABASE_URL") for role in ("samples", "control", "api")),
        *((role, "METERING_SECRETS") for role in ("samples", "control", "api")),
        *((role, "METERING_NODE_KEY") for role in ("compute", "central", "consumer")),
        ("consumer", "METERING_NOTIFICATION_URLS"),
        ("api", "DJANGO_SECRET_KEY"),
    ],
)
@pytest.mark.parametrize("blank", [None, "", "  "])
def test_a_role_that_lacks_a_setting_names_it(role: str, name: str, blank: str | None) -> None:
    told = {**WHOLE, "METERING_ROLE": role}
    del told[name]
    if blank is not None:
        told[name] = blank

    with pytest.raises(BadSetting, match=rf"^{name} is not set; .*METERING_ROLE={role} needs it"):
        environment.load(told)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("METERING_ROLE", "computer"),
        ("METERING_NODE", "a host"),
        ("METERING_NODE", "-leading"),
        ("METERING_NODE", "x" * 201),
        ("METERING_SIGNATURE", "sha1"),
        ("METERING_PLAIN_MESSAGES", "maybe"),
        ("METERING_HTTPS", "2"),
        ("METERING_EVENTS", "some"),
        ("METERING_EVENT_DROP_UNMATCHED", "2"),
        ("METERING_EVENT_STORE_RAW", "loud"),
        ("METERING_POLL_INTERVAL", "0"),
        ("METERING_POLL_INTERVAL", "86401"),
        ("METERING_POLL_INTERVAL", "1.5"),
        ("METERING_POLL_INTERVAL", "-1"),
        ("METERING_POLL_INTERVAL", "１０"),
        ("METERING_CENTRAL_SHARDS", "none"),
        ("METERING_API_PORT", "65536"),
        ("METERING_API_WORKERS", "0"),
        ("METERING_API_THREADS", "300"),
        ("METERING_API_LIMIT", "0"),
        ("METERING_API_TIMEOUT", "soon"),
        ("METERING_CORS_ORIGINS", "https://a.example/"),
        ("METERING_RETENTION_DAYS", "9" * 13),
        ("METERING_ROLLUP_RETENTION_DAYS", "two years"),
        ("METERING_AHEAD_SECONDS", "1h"),
        ("METERING_SPOOL_BYTES", "1"),
        ("METERING_PATIENCE_SECONDS", "301"),
    ],
)
def test_a_malformed_setting_is_named_with_what_it_got(name: str, value: str) -> None:
    told = refusal(**{name: value})

    assert told.startswith(name)
    assert repr(value) in told


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("METERING_BROKER_URL", "http://guest:s3cret@broker", "http"),
        ("METERING_CACHE_URL", "amqp://:s3cret@cache", "amqp"),
        ("DATABASE_URL", "mysql://root:s3cret@db/metering", "mysql"),
        ("METERING_NOTIFICATION_URLS", "amqp://one//,ftp://two:s3cret@x", "ftp"),
        ("METERING_REPLICA_URLS", "postgresql://one/x,mysql://two:s3cret@x/y", "mysql"),
    ],
)
def test_a_url_of_another_kind_is_named_by_its_scheme_alone(name: str, value: str, shown: str) -> None:
    told = refusal(**{name: value})

    assert told.startswith(name)
    assert repr(shown) in told
    assert "s3cret" not in told


@pytest.mark.parametrize(
    "name",
    [
        "METERING_BROKER_URL",
        "METERING_CACHE_URL",
        "DATABASE_URL",
        "METERING_NOTIFICATION_URLS",
        "METERING_REPLICA_URLS",
    ],
)
@pytest.mark.parametrize("value", ["s3cret@host", "guest:s3cret@host/x", "postgres:s3cret"])
def test_a_url_without_a_scheme_is_not_shown_for_it_may_begin_with_a_password(name: str, value: str) -> None:
    told = refusal(**{name: value})

    assert told.startswith(name)
    assert "s3cret" not in told


@pytest.mark.parametrize(
    "value",
    [
        "postgresql://metering:s3cret@db:port/metering",
        "postgresql://metering:s3cret@db:99999/metering",
        "postgresql://metering:[s3cret@db/metering",
        "postgresql://metering:s3cret@db:5432",
    ],
)
def test_a_database_url_that_no_client_can_use_stops_the_process_at_its_start(value: str) -> None:
    told = refusal(DATABASE_URL=value)

    assert told.startswith("DATABASE_URL")
    assert "s3cret" not in told


@pytest.mark.parametrize("value", ["amqp://one:5672//;amqp://two:5672//", "redis+socket:///run/redis?virtual_host=0"])
def test_a_broker_may_be_several_or_a_socket(value: str) -> None:
    assert environment.load({**WHOLE, "METERING_BROKER_URL": value}).broker_url == value


@pytest.mark.parametrize(
    "value",
    [
        "s3cret-s3cret-s3cret",
        ":s3cret-s3cret-s3cret",
        "a kid:s3cret-s3cret-s3cret",
        "k1:s3cret",
        "s3cret-s3cret-s3cret:k1",
        "k1:s3cret-s3cret-s3cret,k1:another s3cret as long",
        "k1:s3cret-s3cret-s3cret,s3cret s3cret s3cret",
    ],
)
def test_malformed_secrets_are_named_and_never_shown(value: str) -> None:
    told = refusal(METERING_SECRETS=value)

    assert told.startswith("METERING_SECRETS")
    assert "s3cret" not in told


@pytest.mark.parametrize("value", ["ab" * 32, "k1:" + "ab" * 31, "k1:" + "AB" * 32, "k1:" + "zz" * 32, ":" + "ab" * 32])
def test_a_malformed_node_key_is_named_and_never_shown(value: str) -> None:
    told = refusal(METERING_NODE_KEY=value)

    assert told.startswith("METERING_NODE_KEY")
    assert value not in told


def test_the_first_secret_comes_first_and_a_secret_may_hold_colons() -> None:
    secrets = environment.load({"METERING_SECRETS": " k2:new:with:colons-in-it , k1:the older one here"}).secrets

    assert list(secrets.items()) == [("k2", b"new:with:colons-in-it"), ("k1", b"the older one here")]


@pytest.mark.parametrize("name", ["METERING_SECRETS", "DJANGO_SECRET_KEY", "METERING_BROKER_URL"])
def test_a_secret_that_begins_with_a_dollar_is_no_reference_to_another_setting(name: str) -> None:
    secret = "$k:a secret with a dollar"

    assert environment.load({"DJANGO_SECRET_KEY": secret}).django_secret_key == secret
    if name != "DJANGO_SECRET_KEY":
        assert refusal(**{name: secret}).startswith(name)


def test_nothing_that_is_printed_of_the_settings_holds_a_secret() -> None:
    settings = environment.load({**WHOLE, "METERING_CEILOMETER_SECRETS": "s3cret"})

    for shown in (repr(settings), str(settings), repr(settings.node_key)):
        assert "s3cret" not in shown
        assert "secret" not in shown
        assert "abab" not in shown


@pytest.mark.parametrize("name", ["METERING_SECRETS", "METERING_NODE_KEY", "DATABASE_URL", "METERING_POLL_INTERVAL"])
def test_a_setting_may_come_from_a_file(name: str, tmp_path: Path) -> None:
    value = {**WHOLE, "METERING_POLL_INTERVAL": "17"}[name]
    file = tmp_path / "secret"
    file.write_text(f"{value}\n")
    told = {other: given for other, given in WHOLE.items() if other != name}

    from_file = environment.load({**told, f"{name}_FILE": str(file)})

    assert from_file == environment.load({**told, name: value})


def test_a_file_wins_over_the_setting_itself(tmp_path: Path) -> None:
    (tmp_path / "source").write_text("of-the-file")

    told = {"METERING_SOURCE": "of-the-environment", "METERING_SOURCE_FILE": str(tmp_path / "source")}

    assert environment.load(told).source == "of-the-file"


@pytest.mark.parametrize("content", [None, b"\xff\xfe not UTF-8", "a folder"])
def test_a_file_that_cannot_be_read_is_named(content: bytes | str | None, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content:
        file.mkdir()

    assert refusal(METERING_SECRETS_FILE=str(file)).startswith("METERING_SECRETS_FILE cannot be read")


def test_no_compute_host_may_have_the_name_of_the_central_workers() -> None:
    assert refusal(METERING_ROLE="compute", METERING_NODE="central").startswith("METERING_NODE must not be 'central'")


@pytest.mark.parametrize("name", ["METERING_SOURCE", "METERING_UNOWNED"])
def test_what_stands_in_every_sample_is_within_a_sample_s_bounds(name: str) -> None:
    assert refusal(**{name: "x" * 1025}).startswith(name)
    assert refusal(**{name: "a\0b"}).startswith(name)


def test_plain_messages_in_the_original_s_form_need_its_secret() -> None:
    told = refusal(METERING_ROLE="samples", METERING_SIGNATURE="ceilometer")

    assert told.startswith("METERING_SIGNATURE is 'ceilometer' and METERING_CEILOMETER_SECRETS is empty")


def test_what_is_sent_to_ceilometer_s_bus_needs_its_secret() -> None:
    told = refusal(METERING_ROLE="samples", METERING_CEILOMETER_URL="amqp://host//")

    assert told.startswith("METERING_CEILOMETER_URL is set and METERING_CEILOMETER_SECRETS is empty")
    assert refusal(METERING_CEILOMETER_URL="redis://host/1").startswith("METERING_CEILOMETER_URL must be a URL")


@pytest.mark.parametrize("value", ["1", "true", "YES", "on"])
def test_a_switch_is_on_by_any_of_the_usual_words(value: str) -> None:
    assert environment.load({"METERING_PLAIN_MESSAGES": value}).plain_messages


def test_events_are_off_unless_they_are_asked_for() -> None:
    settings = environment.load({})

    assert settings.events == EventSettings()
    assert not settings.events.kept
    assert {"nova", "cinder", "glance", "neutron", "keystone"} <= set(settings.events.exchanges)


def test_what_is_kept_of_events_is_told() -> None:
    settings = environment.load(
        {
            "METERING_EVENTS": "1",
            "METERING_EVENT_DEFINITIONS": "/etc/a.yaml, /etc/events",
            "METERING_EVENT_EXCHANGES": "nova,mine",
            "METERING_EVENT_DROP_UNMATCHED": "yes",
            "METERING_EVENT_STORE_RAW": "info, error",
        }
    )

    assert settings.events == EventSettings(
        kept=True,
        definitions=("/etc/a.yaml", "/etc/events"),
        exchanges=("nova", "mine"),
        drop_unmatched=True,
        store_raw=("info", "error"),
    )


KEYSTONE = {
    "METERING_KEYSTONE_URLS": "https://one:5000/v3, https://two:5000",
    "METERING_KEYSTONE_USER": "nephometer",
    "METERING_KEYSTONE_PASSWORD": "s3cret-of-the-user",
}


def test_keystone_is_asked_where_and_as_whom_it_is_told_and_otherwise_not_at_all() -> None:
    assert environment.load(WHOLE).access.keystone is None
    told = {**KEYSTONE, "METERING_KEYSTONE_CACHE_SECONDS": "0", "METERING_KEYSTONE_INSECURE": "1"}
    keystone = environment.load({**WHOLE, **told}).access.keystone

    assert keystone is not None
    assert keystone.urls == ("https://one:5000/v3", "https://two:5000")
    assert (keystone.user, keystone.password, keystone.project) == ("nephometer", "s3cret-of-the-user", "service")
    assert (keystone.timeout, keystone.cache_seconds, keystone.insecure, keystone.ca_file) == (5, 0, True, None)
    assert "s3cret" not in repr(keystone)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("METERING_KEYSTONE_URLS", "keystone:5000", "METERING_KEYSTONE_URLS must be a URL that starts with http"),
        ("METERING_KEYSTONE_URLS", "https://one,ftp://s3cret@two", "not 'ftp'"),
        ("METERING_KEYSTONE_USER", "", "METERING_KEYSTONE_USER is not set"),
        ("METERING_KEYSTONE_PASSWORD", "", "METERING_KEYSTONE_PASSWORD is not set"),
        ("METERING_KEYSTONE_CA", "/nowhere/ca.pem", "METERING_KEYSTONE_CA names /nowhere/ca.pem, and no file is there"),
        ("METERING_KEYSTONE_TIMEOUT", "0", "METERING_KEYSTONE_TIMEOUT must be a whole number from 1 to 60"),
        ("METERING_KEYSTONE_CACHE_SECONDS", "-1", "METERING_KEYSTONE_CACHE_SECONDS must be a whole number"),
    ],
)
def test_what_is_wrong_with_keystone_s_settings_stops_the_api(name: str, value: str, said: str) -> None:
    text = refusal(**{**KEYSTONE, name: value}, METERING_ROLE="api")

    assert said in text
    assert "s3cret" not in text
