"""The real RabbitMQ, PostgreSQL and Redis of the machine's packages, started by hand for the tests.

Each has ports and a folder of its own and needs no systemd, no root and no account. Each can be stopped,
killed as a crash would, and started again with what it kept.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import amqp
import kombu

from embedded.daemon import Daemon, DaemonError, run, tied
from embedded.services import Postgres, Redis, free_port, identity

VHOSTS_AT_ONCE = 16  # made when the broker starts, 30 ms each: asking rabbitmqctl for one takes a second
OPEN_FILES = 65_536
SECONDS_TO_REMEMBER = 3.5  # RabbitMQ writes down which quorum queues it has three seconds after a change


def the_only(pattern: str, package: str) -> Path:
    """The newest file of a Debian package that lies outside PATH."""
    found = sorted(Path("/usr/lib").glob(pattern))
    if not found:
        raise DaemonError(f"{package} is not installed: run bin/install test")
    return found[-1]


def make_postgres(folder: Path, port: int) -> Postgres:
    """Nothing is synchronised to disk: a killed server loses nothing by that, a machine without power would."""
    programs = the_only("postgresql/*/bin/postgres", "postgresql").parent
    options = ("-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=200")
    return Postgres(programs, folder / "data", folder, folder / "log", port, options)


def make_replica(folder: Path, primary: Postgres) -> Postgres:
    """A streaming replica of the server as it is now, not started yet."""
    folder.mkdir()
    assert primary.port is not None
    source = ["--host=127.0.0.1", f"--port={primary.port}", "--username=metering"]
    copy: list[str | Path] = [primary.programs / "pg_basebackup", *source, "--checkpoint=fast", "--write-recovery-conf"]
    run([*primary.runs_as.prefix, *copy, "--pgdata", folder / "data"], folder / "log")
    return Postgres(primary.programs, folder / "data", folder, folder / "log", free_port(), primary.options)


def make_pgbouncer(folder: Path, port: int, postgres_port: int, *, connections: int = 4) -> Daemon:
    """A pooler in transaction mode before that server: far fewer connections than it has clients."""
    settings = folder / "pgbouncer.ini"
    settings.write_text(
        "[databases]\n"
        f"* = host=127.0.0.1 port={postgres_port} user=metering\n"
        "[pgbouncer]\n"
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
        f"pool_mode = transaction\ndefault_pool_size = {connections}\nmax_client_conn = 500\n"
    )
    program = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
    if not Path(program).exists():
        raise DaemonError("pgbouncer is not installed: run bin/install test")
    command = [*identity().prefix, *tied([program, settings], signal.SIGINT)]
    return Daemon("PgBouncer", command, folder / "log", lambda: listens(port), stop_signal=signal.SIGINT)


def listens(port: int) -> bool:
    """Whether somebody does, on loopback."""
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
        return True
    return False


def make_redis(folder: Path, port: int) -> Redis:
    """What it was told is on disk before it answers, so that a killed one forgets nothing."""
    program = shutil.which("redis-server")
    if program is None:
        raise DaemonError("redis-server is not installed: run bin/install test")
    options = ("--appendonly", "yes", "--appendfsync", "always", "--databases", "1000")
    return Redis(Path(program), folder / "data", folder / "log", port=port, options=options)


@dataclass
class RabbitMQ:
    """One broker with its own epmd, so that another node's on this machine is left alone."""

    folder: Path
    port: int
    settings: Sequence[str] = ()  # further lines of rabbitmq.conf
    broker: Daemon = field(init=False)
    epmd: Daemon = field(init=False)

    def __post_init__(self) -> None:
        self._programs = the_only("rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server", "rabbitmq-server").parent
        self._epmd_port = free_port()
        self.spare_vhosts = [f"v{number}" for number in range(VHOSTS_AT_ONCE)]
        self._vhosts_made = VHOSTS_AT_ONCE
        log = self.folder / "log"
        environ = self._environ()
        # The program itself: Debian's wrapper would change the user. Stopped by TERM it shuts down in good order.
        # Each quorum queue holds files open, and an ordinary user's limit (1,024) is reached by a dozen
        # tests; with none, Erlang would make room for as many as the machine allows.
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        most = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
        server: list[str | Path] = ["prlimit", f"--nofile={most}", "--", self._programs / "rabbitmq-server"]
        self.broker = Daemon("RabbitMQ", tied(server), log, self._answers, environ)
        epmd = tied(["epmd", "-port", str(self._epmd_port), "-address", "127.0.0.1"], signal.SIGKILL)
        self.epmd = Daemon("epmd", epmd, log, lambda: True, environ, stop_signal=signal.SIGKILL)

    @property
    def url(self) -> str:
        """The default virtual host, shared by every test that uses it."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def vhost(self) -> str:
        """The URL of a virtual host that nobody used before."""
        if not self.spare_vhosts:
            more = range(self._vhosts_made, self._vhosts_made + VHOSTS_AT_ONCE)
            self.spare_vhosts = [f"v{number}" for number in more]
            self._vhosts_made += VHOSTS_AT_ONCE
            self.ctl("import_definitions", str(self._define(self.spare_vhosts)))
        return f"amqp://guest:guest@127.0.0.1:{self.port}/{self.spare_vhosts.pop()}"

    def launch(self) -> None:
        """Start it and return at once; `wait_ready` then waits until it answers."""
        for part in ("etc", "home"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        (self.folder / "etc/enabled_plugins").write_text("[].\n")
        definitions = self._define(["/", *self.spare_vhosts])
        (self.folder / "etc/rabbitmq.conf").write_text(
            f"load_definitions = {definitions}\ndisk_free_limit.absolute = 1MB\nraft.wal_max_size_bytes = 16777216\n"
            + "".join(f"{line}\n" for line in self.settings)
        )
        if not self.epmd.running:
            self.epmd.launch()
        self.broker.launch()

    def wait_ready(self) -> None:
        self.broker.wait_ready()

    def start(self) -> None:
        self.launch()
        self.wait_ready()

    def stop(self) -> None:
        """Stop the broker; what it keeps stays."""
        self.broker.stop()

    def kill(self) -> None:
        """End the broker as a crash would, but not so soon that it forgets a queue declared just now."""
        time.sleep(SECONDS_TO_REMEMBER)
        self.broker.kill()

    def close(self) -> None:
        """Stop everything, for good."""
        self.broker.kill()  # a shutdown in good order takes seconds, for a folder that is removed
        self.epmd.kill()

    def ctl(self, *arguments: str) -> str:
        """What rabbitmqctl answers. It takes a second."""
        command = [str(self._programs / "rabbitmqctl"), "--quiet", *arguments]
        return subprocess.run(command, env=self._environ(), check=True, capture_output=True, text=True).stdout

    def _define(self, vhosts: list[str]) -> Path:
        everything = {"user": "guest", "configure": ".*", "write": ".*", "read": ".*"}
        definitions = {
            "users": [{"name": "guest", "password": "guest", "tags": "administrator"}],
            "vhosts": [{"name": vhost} for vhost in vhosts],
            "permissions": [{"vhost": vhost, **everything} for vhost in vhosts],
        }
        path = self.folder / "etc/definitions.json"
        path.write_text(json.dumps(definitions))
        return path

    def _environ(self) -> dict[str, str]:
        own = {
            "RABBITMQ_NODENAME": f"tests{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": f"{self.folder}/mnesia",
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_LOG_BASE": f"{self.folder}",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{self.folder}/etc/enabled_plugins",
            "RABBITMQ_CONFIG_FILE": f"{self.folder}/etc/rabbitmq.conf",
            "RABBITMQ_CONF_ENV_FILE": f"{self.folder}/etc/none",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2",
            "RUNNING_UNDER_SYSTEMD": "true",  # it then becomes the Erlang machine instead of waiting for it
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "HOME": f"{self.folder}/home",
        }
        return {name: value for name, value in os.environ.items() if not name.startswith("RABBITMQ_")} | own

    def _answers(self) -> bool:
        with contextlib.suppress(OSError, amqp.AMQPError):
            with kombu.Connection(self.url, connect_timeout=2) as connection:
                connection.connect()
            return True
        return False
