"""The settings that a process gets from its environment, read and checked once at its start.

Every name is in the README's table. A secret, or any other setting, may come from a file that
``NAME_FILE`` names. Pure Python: a compute host reads its settings here without Django.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metering import access_settings
from metering.access_settings import AccessSettings
from metering.errors import BadSetting
from metering.event_settings import EXCHANGES, PRIORITIES, EventSettings
from metering.serving_settings import ServingSettings
from metering.setting_reader import BROKERS, CACHES, DATABASES, WEB, Reader, check_url
from metering.user_metadata import UserMetadata

ROLES = ("compute", "central", "consumer", "samples", "control", "beat", "api")
WITHOUT_DJANGO = (
    "compute",
    "central",
    "beat",
)  # they load no Django, so that a host needs no database driver
WITH_NODE_KEY = ("compute", "central", "consumer")
WITH_SECRETS = ("samples", "control", "api")
WITH_DATABASE = ("samples", "control", "api")
CENTRAL = "central"  # the node name under which all central workers announce themselves

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_KID = re.compile(r"[A-Za-z0-9_-]{1,32}")
_SHORTEST_SECRET = 16


@dataclass(frozen=True, slots=True)
class NodeKey:
    """The derived key of one publisher: all that a host needs to sign, and of no use to sign as another."""

    kid: str
    key: bytes

    def __repr__(self) -> str:
        return f"NodeKey(kid={self.kid!r})"


@dataclass(frozen=True, slots=True, repr=False)
class Environment:
    """What a process was told, checked. ``None`` or empty means it was not set."""

    role: str | None  # None: an operator's command
    node: str  # this process's name; with its role it is the publisher
    source: str
    sources_file: Path | None
    broker_url: str | None
    cache_url: str | None
    database_url: str | None
    replica_urls: tuple[str, ...]  # of the database, for the API to read from
    replica_lag_seconds: int  # a replica further behind is not asked
    notification_urls: tuple[str, ...]
    nova_notifications: str  # which of nova's two forms is metered: unversioned or versioned
    meter_definitions: tuple[str, ...]  # folders with meters of notifications
    secrets: Mapping[str, bytes]  # kid -> master secret; the first signs, all verify
    node_key: NodeKey | None
    signature: str  # of plain messages: canonical or ceilometer
    ceilometer_secrets: tuple[str, ...]  # empty: messages signed the original's way are refused
    ceilometer_url: str | None  # Ceilometer's broker, which is told every sample that was stored
    unowned: str | None  # for domains nova did not make: None (no project), "skip", or a project id
    report_stopped: bool  # what there is to tell of guests that are off
    user_metadata: UserMetadata
    nova_cloud: str | None  # of clouds.yaml: whose nova is asked for more of each instance
    plain_messages: bool
    libvirt_uri: str
    poll_interval: int  # seconds
    central_shards: int
    api_port: int
    serving: ServingSettings  # of the API
    disabled_plugins: tuple[str, ...]
    pollster_definitions: tuple[str, ...]  # folders with declared pollsters
    pollster_modules: tuple[str, ...]  # Python modules that a declared pollster may sign its requests with
    pollster_commands: bool  # whether a declared pollster may run programs of its host
    retention_days: int  # samples older than this are refused, and dropped; 0: they are kept for ever
    oldest_days: int  # where they are: those older than this are refused, as of a clock that was never set
    rollup_retention_days: int  # roll-ups older than this are dropped; 0: never
    archive_dir: Path | None  # a day that expires is archived there first
    events: EventSettings
    ahead_seconds: int  # samples further in the future than this are refused
    spool_dir: Path
    spool_bytes: int
    patience_seconds: int  # how long a storage task waits for the database before it is parked
    django_secret_key: str | None
    access: AccessSettings
    allowed_hosts: tuple[str, ...]
    https: bool
    embedded: bool  # the processes of `make run`: its broker is Redis, and that is as it should be

    @property
    def publisher(self) -> str:
        """The publisher_id this process signs as; an operator's command signs as the API does."""
        return f"{self.role or 'api'}/{self.node}"


def _secrets(pairs: tuple[str, ...]) -> dict[str, bytes]:
    """``kid:secret`` pairs, in order; a refusal never shows a secret."""
    secrets: dict[str, bytes] = {}
    for number, pair in enumerate(pairs, 1):
        kid, colon, secret = pair.partition(":")
        if not colon or not _KID.fullmatch(kid):
            raise BadSetting(f"METERING_SECRETS: entry {number} is not of the form kid:secret")
        if len(secret) < _SHORTEST_SECRET:
            raise BadSetting(f"METERING_SECRETS: entry {number} is shorter than {_SHORTEST_SECRET} characters")
        if kid in secrets:
            raise BadSetting(f"METERING_SECRETS: entry {number} has the kid of another one")
        secrets[kid] = secret.encode()
    return secrets


def _node_key(text: str | None) -> NodeKey | None:
    """``kid:hex`` of a publisher's derived key, as ``manage.py node_key`` prints it."""
    if text is None:
        return None
    kid, _, digits = text.partition(":")
    if not _KID.fullmatch(kid) or not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise BadSetting("METERING_NODE_KEY is not of the form kid:hex, with 64 hex digits (see manage.py node_key)")
    return NodeKey(kid, bytes.fromhex(digits))


def value(environ: Mapping[str, str], name: str, default: str | None = None) -> str | None:
    """One setting, by its name or from the file of ``NAME_FILE``. Raises `BadSetting` when that cannot be read."""
    return Reader(environ).text(name, default)


def load(environ: Mapping[str, str]) -> Environment:
    """Read and check every setting that the role needs.

    Raises `BadSetting`, which names the setting and, unless it may be secret, what it got.
    """
    read = Reader(environ)
    role = read.choice("METERING_ROLE", None, ROLES)
    settings = Environment(
        role=role,
        node=_node(read, role),
        source=read.field("METERING_SOURCE") or "openstack",
        sources_file=read.path("METERING_SOURCES_FILE"),
        broker_url=read.url("METERING_BROKER_URL", BROKERS),
        cache_url=read.url("METERING_CACHE_URL", CACHES),
        database_url=read.url("DATABASE_URL", DATABASES),
        replica_urls=read.names("METERING_REPLICA_URLS"),
        replica_lag_seconds=read.number("METERING_REPLICA_LAG_SECONDS", 120, 1, 86_400),
        notification_urls=read.names("METERING_NOTIFICATION_URLS"),
        nova_notifications=read.choice("METERING_NOVA_NOTIFICATIONS", "unversioned", ("unversioned", "versioned"))
        or "",
        meter_definitions=read.names("METERING_METER_DEFINITIONS"),
        secrets=_secrets(read.names("METERING_SECRETS")),
        node_key=_node_key(read.text("METERING_NODE_KEY")),
        signature=read.choice("METERING_SIGNATURE", "canonical", ("canonical", "ceilometer")) or "",
        ceilometer_secrets=read.names("METERING_CEILOMETER_SECRETS"),
        ceilometer_url=read.url("METERING_CEILOMETER_URL", ("amqp", "amqps")),
        unowned=read.field("METERING_UNOWNED"),
        report_stopped=read.flag("METERING_REPORT_STOPPED"),
        user_metadata=UserMetadata(
            prefixes=read.names("METERING_USER_METADATA_PREFIXES") or ("metering.",),
            keys=read.names("METERING_USER_METADATA_KEYS"),
        ),
        nova_cloud=read.text("METERING_NOVA_CLOUD"),
        plain_messages=read.flag("METERING_PLAIN_MESSAGES"),
        libvirt_uri=read.text("METERING_LIBVIRT_URI") or "qemu:///system",
        poll_interval=read.number("METERING_POLL_INTERVAL", 60, 1, 86_400),
        central_shards=read.number("METERING_CENTRAL_SHARDS", 8, 1, 1_024),
        api_port=read.number("METERING_API_PORT", 8777, 1, 65_535),
        serving=_serving(read),
        disabled_plugins=read.names("METERING_DISABLED_PLUGINS"),
        pollster_definitions=read.names("METERING_POLLSTER_DEFINITIONS"),
        pollster_modules=read.names("METERING_POLLSTER_MODULES"),
        pollster_commands=read.flag("METERING_POLLSTER_COMMANDS"),
        events=_events(read),
        retention_days=read.number("METERING_RETENTION_DAYS", 30, 0, 36_500),
        oldest_days=read.number("METERING_OLDEST_DAYS", 7_300, 1, 36_500),
        rollup_retention_days=read.number("METERING_ROLLUP_RETENTION_DAYS", 730, 0, 36_500),
        archive_dir=read.path("METERING_ARCHIVE_DIR"),
        ahead_seconds=read.number("METERING_AHEAD_SECONDS", 600, 0, 86_400),
        spool_dir=read.path("METERING_SPOOL_DIR") or Path("/var/lib/nephometer/spool"),
        spool_bytes=read.number("METERING_SPOOL_BYTES", 256 << 20, 1 << 20, 1 << 39),
        patience_seconds=read.number("METERING_PATIENCE_SECONDS", 60, 1, 300),
        django_secret_key=read.text("DJANGO_SECRET_KEY"),
        access=access_settings.read(read),
        allowed_hosts=read.names("METERING_ALLOWED_HOSTS") or ("localhost", "127.0.0.1", "[::1]"),
        https=read.flag("METERING_HTTPS"),
        embedded=read.flag("METERING_EMBEDDED"),
    )
    _check(settings)
    return settings


def _node(read: Reader, role: str | None) -> str:
    node = read.text("METERING_NODE") or (CENTRAL if role == CENTRAL else socket.gethostname())
    if not _NAME.fullmatch(node):
        raise BadSetting(f"METERING_NODE must be letters, digits, dots, dashes and underscores, not {node!r}")
    if role == "compute" and node == CENTRAL:
        raise BadSetting("METERING_NODE must not be 'central' on a compute host: the central workers have that name")
    return node


def _check(settings: Environment) -> None:
    """Raise `BadSetting` for settings that do not fit together, or that the role lacks."""
    for url in settings.notification_urls:
        check_url("METERING_NOTIFICATION_URLS", url, BROKERS)
    for url in settings.replica_urls:
        check_url("METERING_REPLICA_URLS", url, DATABASES)
    _require(settings, {"METERING_BROKER_URL": settings.broker_url}, ROLES)
    _require(settings, {"DATABASE_URL": settings.database_url}, WITH_DATABASE)
    _require(settings, {"METERING_SECRETS": settings.secrets}, WITH_SECRETS)
    _require(settings, {"METERING_NODE_KEY": settings.node_key}, WITH_NODE_KEY)
    _require(settings, {"METERING_NOTIFICATION_URLS": settings.notification_urls}, ("consumer",))
    _require(settings, {"DJANGO_SECRET_KEY": settings.django_secret_key}, ("api",))
    if settings.access.keystone is not None:
        keystone = settings.access.keystone
        for url in keystone.urls:
            check_url("METERING_KEYSTONE_URLS", url, WEB)
        if settings.role == "api" and keystone.ca_file is not None and not keystone.ca_file.is_file():
            raise BadSetting(f"METERING_KEYSTONE_CA names {keystone.ca_file}, and no file is there")
        _require(settings, {"METERING_KEYSTONE_USER": keystone.user}, ("api",))
        _require(settings, {"METERING_KEYSTONE_PASSWORD": keystone.password}, ("api",))
    if settings.role == "samples" and not settings.ceilometer_secrets:
        if settings.signature == "ceilometer":
            raise BadSetting("METERING_SIGNATURE is 'ceilometer' and METERING_CEILOMETER_SECRETS is empty")
        if settings.ceilometer_url:
            raise BadSetting(
                "METERING_CEILOMETER_URL is set and METERING_CEILOMETER_SECRETS is empty: nothing can sign"
            )


def _serving(read: Reader) -> ServingSettings:
    return ServingSettings(
        workers=read.number("METERING_API_WORKERS", 2, 1, 256),
        threads=read.number("METERING_API_THREADS", 4, 1, 256),
        limit=read.number("METERING_API_LIMIT", 100, 1, 10_000),
        timeout=read.number("METERING_API_TIMEOUT", 30, 1, 3_600),
        alarming_url=read.url("METERING_ALARMING_URL", WEB),
        cors_origins=_origins(read),
    )


def _origins(read: Reader) -> tuple[str, ...]:
    """As browsers write them: a scheme, a host and perhaps a port, nothing behind."""
    origins = read.names("METERING_CORS_ORIGINS")
    for origin in origins:
        if origin != "*" and not re.fullmatch(r"https?://[^/?#\s]+", origin):
            raise BadSetting(
                f"METERING_CORS_ORIGINS must be a list of origins such as https://host:port, not {origin!r}"
            )
    return origins


def _events(read: Reader) -> EventSettings:
    return EventSettings(
        kept=read.flag("METERING_EVENTS"),
        definitions=read.names("METERING_EVENT_DEFINITIONS"),
        exchanges=read.names("METERING_EVENT_EXCHANGES") or EXCHANGES,
        drop_unmatched=read.flag("METERING_EVENT_DROP_UNMATCHED"),
        store_raw=read.choices("METERING_EVENT_STORE_RAW", PRIORITIES),
    )


def _require(settings: Environment, named: Mapping[str, Any], roles: tuple[str, ...]) -> None:
    for name, value in named.items():
        if settings.role in roles and not value:
            raise BadSetting(f"{name} is not set; a process with METERING_ROLE={settings.role} needs it")
