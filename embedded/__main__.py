"""``make run``: the whole system on this machine, on services of its own, until Ctrl-C.

Everything it keeps lies in one folder (METERING_VAR, else ``var``): two folders are two systems.
"""

from __future__ import annotations

import contextlib
import fcntl
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from embedded import keys, manage, settings_file
from embedded.accounts import ADMIN
from embedded.crew import Crew
from embedded.daemon import Daemon, DaemonError
from embedded.greeting import greet, watch
from embedded.programs import environment_of, programs
from embedded.services import Postgres, Redis, embedded_postgres, embedded_redis, socket_folder
from metering import environment
from metering.errors import BadSetting

ROOT = Path(__file__).resolve().parent.parent
DEFAULTS = {
    "METERING_POLL_INTERVAL": "10",  # seconds: a newcomer wants to see something
    "METERING_EMBEDDED": "1",
    "METERING_RETENTION_DAYS": "0",  # keep everything
    "METERING_ROLLUP_RETENTION_DAYS": "0",
    "METERING_EVENTS": "1",
    "METERING_HTTPS": "0",
    "METERING_API_PORT": "8777",
}


def main() -> int:
    """Run until somebody ends it. The exit status: 0 when it was asked to end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    multiprocessing.set_start_method("fork")  # honcho's processes are handed over as they are
    folder = Path(os.environ.get("METERING_VAR") or ROOT / "var").absolute()
    try:
        with alone(folder):
            return run(folder, {name: value for name, value in os.environ.items() if name != "METERING_ROLE"})
    except (DaemonError, BadSetting) as exc:
        print(f"make run: {exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the folder's lock. Raises `DaemonError` when another run has it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DaemonError(f"another run uses {folder}: end it, or choose a folder with METERING_VAR") from None
        yield


def run(folder: Path, outer: Mapping[str, str]) -> int:
    """Start everything, wait for the end, stop everything in reverse order. The exit status."""
    settings = {**DEFAULTS, **outer, **keys.make(folder / "secrets.env", outer)}
    bind = listen_address(settings)
    with contextlib.ExitStack() as stack:
        services, urls = start_services(folder, outer, stack)
        settings |= urls
        settings["METERING_LIBVIRT_URI"] = outer.get("METERING_LIBVIRT_URI") or local_hypervisor()
        environment.load({**settings, "METERING_ROLE": "api"})  # a malformed setting ends it here, in one line
        credentials = make_accounts(folder / "credentials.env", settings)
        manage.write(folder, settings)
        crew = Crew(folder / "log" / "processes.log")
        stack.callback(crew.terminal.close)
        for program in programs(settings["METERING_NODE"], folder, bind):
            crew.add(program, environment_of(program.role, settings, folder), ROOT)
        crew.beside(lambda: greet(crew, credentials, settings, folder))
        crew.beside(lambda: watch(crew, services))
        crew.loop()
        return finish(crew)


def listen_address(settings: Mapping[str, str]) -> str:
    """Where the API will listen. Raises `DaemonError` when somebody else listens there."""
    host, port = settings.get("METERING_API_HOST") or "127.0.0.1", settings["METERING_API_PORT"]
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except (OSError, ValueError, OverflowError) as exc:
            raise DaemonError(f"the API cannot listen on {host}:{port} ({exc}): set METERING_API_PORT") from exc
    return f"{host}:{port}"


def start_services(
    folder: Path, outer: Mapping[str, str], stack: contextlib.ExitStack
) -> tuple[list[Daemon], dict[str, str]]:
    """PostgreSQL and Redis, where the environment names none; what runs now, and the URLs to reach it."""
    sockets = socket_folder(folder / "run")
    postgres = Postgres(embedded_postgres(), folder / "postgres", sockets, folder / "log" / "postgres.log")
    redis = Redis(embedded_redis(), folder / "redis", folder / "log" / "redis.log", sockets / "redis.sock")
    redis_urls = {
        "METERING_BROKER_URL": redis.broker_url(0),
        "METERING_CACHE_URL": redis.cache_url(1),
        "METERING_NOTIFICATION_URLS": redis.broker_url(2),
    }
    urls = {name: url for name, url in redis_urls.items() if not given(name, outer)}
    running: list[Daemon] = []
    if not given("DATABASE_URL", outer):
        stack.callback(postgres.daemon.stop)
        postgres.start()
        urls["DATABASE_URL"] = postgres.create("metering")
        running.append(postgres.daemon)
    if urls.keys() & redis_urls.keys():
        stack.callback(redis.daemon.stop)
        redis.start()
        running.append(redis.daemon)
    return running, urls


def given(name: str, outer: Mapping[str, str]) -> bool:
    """Whether the environment sets it, itself or by a file."""
    return bool(outer.get(name) or outer.get(f"{name}_FILE"))


def local_hypervisor() -> str:
    """The machine's own libvirt when it answers, else libvirt's driver for tests.

    Asked from another process: a libvirt that hangs cannot be left otherwise.
    """
    ask = "import libvirt; libvirt.openReadOnly('qemu:///system').getVersion()"
    with contextlib.suppress(subprocess.SubprocessError):
        subprocess.run([sys.executable, "-c", ask], check=True, capture_output=True, timeout=10)
        return "qemu:///system"
    return "test:///default"


def make_accounts(path: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """Migrate, make the admin user and the token, and keep what opens the API in ``credentials.env``."""
    environ = {**settings, "METERING_TOKEN": settings_file.read(path).get("METERING_TOKEN", "")}
    command = [sys.executable, "-m", "embedded.accounts"]
    made = subprocess.run(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True, check=False)
    if made.returncode != 0:
        raise DaemonError("the database could not be made ready: see above")
    host = settings.get("METERING_API_HOST") or "127.0.0.1"
    host = "127.0.0.1" if host == "0.0.0.0" else host  # noqa: S104 # any of our addresses: name one
    credentials = {
        "METERING_URL": f"http://{host}:{settings['METERING_API_PORT']}",
        "METERING_TOKEN": made.stdout.strip(),
        "METERING_ADMIN_USER": ADMIN,
        "METERING_ADMIN_PASSWORD": settings["METERING_ADMIN_PASSWORD"],
    }
    settings_file.write(path, credentials)
    return credentials


def finish(crew: Crew) -> int:
    """Say why it ended, unless somebody asked for it. Asked by Ctrl-C or TERM is a good end."""
    if crew.returncode in (130, 143):
        return 0
    print(f"make run: {crew.terminal.first_ended or 'a service ended'}: everything was stopped", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
