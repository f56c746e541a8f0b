"""A compute host whose plugins hang, whose samples nobody takes, whose worker dies: what it keeps and tells."""

from __future__ import annotations

import json
import re
import signal
import textwrap
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import kombu
import psutil
import pytest
from django.contrib.auth.models import User
from django.test import Client

from metering.models import PollSlot, Sample
from metering.topology import SAMPLES
from tests.admin import rows
from tests.installation import NODE, Installation, wait_for
from tests.libvirt_guests import Guest
from tests.libvirt_lab import LibvirtLab

MIB = 1 << 20
GUESTS = 30  # of whom a few polls fill the smallest spool
MACHINE = """
<domain type='test'><name>g{number}</name><uuid>{uuid}</uuid><memory unit='KiB'>65536</memory><vcpu>1</vcpu>
<os><type arch='x86_64'>hvm</type></os><devices>
<disk type='file' device='disk'><source file='/disks/{number}'/><target dev='vda' bus='virtio'/></disk>
</devices></domain>"""


@pytest.fixture
def install(tmp_path: Path, rabbitmq_url: str, database_url: str) -> Iterator[Callable[..., Installation]]:
    """Makes the installation, told what the test wants."""
    made: list[Installation] = []

    def make(**told: str) -> Installation:
        made.append(Installation(tmp_path, rabbitmq_url, database_url, told))
        return made[-1]

    yield make
    for installation in made:
        installation.close()


def received() -> int:
    return PollSlot.objects.filter(node=NODE, received__gt=0).count()


def wait_for_polls(more: int, what: str) -> None:
    wanted = received() + more
    wait_for(lambda: received() >= wanted, what)


def test_a_full_spool_gives_up_the_oldest_polls_and_the_nodes_page_tells_how_many(
    tmp_path: Path, install: Callable[..., Installation], admin_client: Client
) -> None:
    machines = [MACHINE.format(number=number, uuid=uuid.uuid4()) for number in range(GUESTS)]
    (tmp_path / "host.xml").write_text(f"<node>{''.join(machines)}</node>")
    uri = f"test://{tmp_path}/host.xml"
    installation = install(METERING_LIBVIRT_URI=uri, METERING_SPOOL_BYTES=str(MIB))
    installation.start("samples", "control", "compute")
    installation.start("beat")
    wait_for_polls(2, "two polls received")

    # The broker is there and gives orders, but nobody takes samples: to the host it is away (NO_ROUTE).
    installation.stop("samples")
    with kombu.Connection(installation.broker_url) as broker:
        SAMPLES(broker.default_channel).delete()
    spool = tmp_path / "spool" / "compute" / f"compute-{NODE}"
    wait_for(lambda: dropped(spool).get("polls", 0) >= 2, "two polls given up")
    held = [file.stat().st_size for file in spool.glob("*.poll")]
    assert sum(held) <= MIB
    assert len(held) >= 2

    installation.start("samples")
    wait_for_polls(len(held) + 2, "what was kept, and polls after it")
    installation.stop("beat")
    wait_for(lambda: not list(spool.glob("*.poll")), "an empty spool")

    lost = dropped(spool)
    told_of = re.findall(r"the spool is full: (\d+)-0-default with (\d+) samples", installation.log("compute"))
    given_up = [int(slot) for slot, _ in told_of]
    came = PollSlot.objects.filter(node=NODE, received__gt=0)
    # A poll that ran out of its time has no samples; any other has as many as those that were stored.
    per_poll = max(came.values_list("samples", flat=True))
    assert per_poll > GUESTS
    whole = sum(int(samples) > 0 for _, samples in told_of)
    assert whole > 0
    assert {int(samples) for _, samples in told_of} <= {0, per_poll}
    assert set(came.values_list("samples", flat=True)) <= {0, per_poll}
    assert lost == {"polls": len(given_up), "samples": whole * per_poll}
    assert not came.filter(slot__in=given_up).exists()  # each is a gap
    assert given_up == sorted(given_up)
    assert given_up[-1] < min(came.filter(slot__gt=given_up[0]).values_list("slot", flat=True))  # the oldest, no other
    wait_for(lambda: Sample.objects.count() == sum(came.values_list("samples", flat=True)), "every sample")
    told = f"polls {lost['polls']}, samples {lost['samples']}"
    wait_for(lambda: told in rows.read(admin_client.get("/admin/metering/node/")), "the node's page tells it")


def dropped(spool: Path) -> dict[str, int]:
    try:
        told: dict[str, int] = json.loads((spool / "dropped.json").read_text())
    except FileNotFoundError:
        return {}
    return told


@pytest.fixture
def admin_user(transactional_db: None) -> User:
    return User.objects.create(username="operator", is_staff=True, is_superuser=True)


HANGING = """
    import os, pathlib, time
    from metering.counters import Kind, Meter

    FOLDER = pathlib.Path(os.environ["ACME_FOLDER"])

    class Hangs:
        meters = (Meter("acme.hangs", Kind.GAUGE, ""),)

        def enabled(self, settings):
            with (FOLDER / "asked").open("a") as asked:
                asked.write(f"{settings.role}\\n")

        def poll(self, instance, hypervisor):
            while (FOLDER / "hang").exists():
                time.sleep(0.1)
            while (FOLDER / "hang for good").exists():
                try:
                    time.sleep(0.1)
                except BaseException:
                    pass
            return ()
"""


@pytest.fixture
def hanging(tmp_path: Path) -> Path:
    """An installed distribution whose pollster hangs while a file is there: until it is ended, or for good."""
    folder = tmp_path / "packages"
    about = folder / "acme_hangs-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-hangs\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[metering.poll.compute]\nacme-hangs = acme_hangs:Hangs\n")
    (folder / "acme_hangs.py").write_text(textwrap.dedent(HANGING))
    return folder


def test_a_plugin_that_hangs_costs_itself_or_its_poll_but_never_the_worker(
    tmp_path: Path, install: Callable[..., Installation], hanging: Path
) -> None:
    installation = install(PYTHONPATH=str(hanging), ACME_FOLDER=str(tmp_path))
    installation.start("samples", "control", "compute")
    installation.start("beat")
    wait_for_polls(2, "two polls received")

    # The soft limit of a worker that polls each second is 5.75 s: then the reading that hangs ends.
    (tmp_path / "hang").touch()
    wait_for(PollSlot.objects.filter(errors__has_key="acme-hangs").exists, "a receipt that names the plugin")
    (tmp_path / "hang").unlink()
    told = PollSlot.objects.filter(errors__has_key="acme-hangs").earliest("slot")
    assert told.samples > 0  # what the others read is sent
    wait_for_polls(2, "polls after it")

    # The hard limit, 10 s later, ends a process that nothing else can.
    (tmp_path / "hang for good").touch()
    wait_for(lambda: "Hard time limit" in installation.log("compute"), "the hard limit")
    (tmp_path / "hang for good").unlink()
    wait_for_polls(2, "polls of a new process")

    # Each process that has the plugin asked it once, at its start: not at each poll, nor in each child.
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked.count("compute") == 1


def test_the_connection_to_libvirt_is_opened_after_the_fork_by_the_process_that_polls(
    install: Callable[..., Installation], libvirt_lab: LibvirtLab
) -> None:
    guest = Guest("alone", idle=True)
    libvirt_lab.define(guest)
    libvirt_lab.start(guest)
    try:
        installation = install(METERING_LIBVIRT_URI=libvirt_lab.read_only_uri, METERING_POLL_INTERVAL="3")
        wait_for(lambda: connections(libvirt_lab) == 0, "the end of the lab's own connection")
        installation.start("samples", "control", "compute")
        assert connections(libvirt_lab) == 0  # a worker that was not ordered to poll asks nothing
        installation.start("beat")
        wait_for_polls(2, "two polls received")
        assert connections(libvirt_lab) > 0

        # When the child dies nobody has a connection: its parent had none to share. The next child opens its own.
        installation.stop("beat")
        [child] = polling_children(installation)
        child.send_signal(signal.SIGKILL)
        wait_for(lambda: connections(libvirt_lab) == 0, "no connection left")
        wait_for(lambda: [other for other in polling_children(installation) if other.pid != child.pid], "a new child")
        assert connections(libvirt_lab) == 0

        installation.start("beat")
        wait_for_polls(2, "two more polls received")
        assert connections(libvirt_lab) > 0
        assert Sample.objects.filter(series__meter="power.state").exists()
    finally:
        libvirt_lab.remove(guest)


def connections(lab: LibvirtLab) -> int:
    """The clients of the lab's libvirtd on its read-only socket: the daemon's ends, as the kernel lists them."""
    listed = Path("/proc/net/unix").read_text().splitlines()
    return sum(line.split()[5] == "03" and line.endswith(f" {lab.folder}/sockets/libvirt-sock-ro") for line in listed)


def polling_children(installation: Installation) -> list[psutil.Process]:
    """The processes of the compute worker that run its tasks."""
    main = installation.running["compute"].pid
    return [process for process in psutil.Process(main).children(recursive=True) if process.is_running()]
