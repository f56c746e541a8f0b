"""A libvirtd of our own with tiny QEMU guests, in namespaces that end with the tests.

The machine's own libvirt, network and folders are not touched; KVM, systemd and libvirt's account are not
needed. Root is, or a sudo that asks for no password.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import libvirt

from embedded.daemon import Daemon, DaemonError, tied
from tests.libvirt_guests import NIC, Guest

AS_ROOT = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]

LIBVIRTD_CONF = """\
unix_sock_dir = "{folder}/sockets"
unix_sock_ro_perms = "0777"
unix_sock_rw_perms = "0777"
auth_unix_ro = "none"
auth_unix_rw = "none"
log_outputs = "3:file:{folder}/libvirtd.log"
"""
# No account but root's, no cgroups, no log daemon: what a machine without systemd has.
QEMU_CONF = """\
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
"""
# Debian's libvirtd insists that this account exists, even where it is told to use root's.
ACCOUNTS = {
    "passwd": "libvirt-qemu:x:64055:64055::/var/lib/libvirt:/usr/sbin/nologin\n",
    "group": "libvirt-qemu:x:64055:\n",
}
# Its folders below /var and /run may not exist on the machine, so it gets whole ones of its own.
MOUNTS = {"etc": "/etc/libvirt", "lib": "/var/lib", "cache": "/var/cache", "log": "/var/log", "run": "/run"}
# The first process of the namespaces: when it ends, the kernel ends all that was started in them. The number
# that it has outside is read while /proc still is the outer one.
HOLDER = """\
set -e
cut -d ' ' -f 4 /proc/self/stat > {folder}/holder.new
mount -t proc proc /proc
{mounts}
ip link set lo up
ip link add br0 type bridge
ip link set br0 up
mv {folder}/holder.new {folder}/holder
while sleep 3600; do :; done
"""


class LibvirtLab:
    """The daemon and its guests: on, off, frozen, and the daemon killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        script = HOLDER.format(folder=folder, mounts="\n".join(self._mounts()))
        unshare = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", script]
        self._log = folder / "lab.log"
        self._holder = Daemon("the libvirt lab", [*AS_ROOT, *tied(unshare)], self._log, (folder / "holder").exists)

    @property
    def uri(self) -> str:
        return f"qemu+unix:///system?socket={self.folder}/sockets/libvirt-sock"

    @property
    def read_only_uri(self) -> str:
        """The socket for libvirt.openReadOnly."""
        return f"{self.uri}-ro"

    def launch(self) -> None:
        """Make the namespaces and start libvirtd in them; it needs some seconds until it answers."""
        if shutil.which("libvirtd", path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None:
            raise DaemonError("libvirtd is not installed: run bin/install test")
        for part in (*MOUNTS, "sockets", "disks"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        (self.folder / "etc/libvirtd.conf").write_text(LIBVIRTD_CONF.format(folder=self.folder))
        (self.folder / "etc/qemu.conf").write_text(QEMU_CONF)
        for name, line in ACCOUNTS.items():
            known = [old for old in Path("/etc", name).read_text().splitlines() if not old.startswith("libvirt-qemu:")]
            (self.folder / name).write_text("\n".join([*known, line]))
        self._holder.start()
        command = self._inside("libvirtd", "--pid-file", f"{self.folder}/libvirtd.pid")
        self._libvirtd = Daemon("libvirtd", command, self._log, self._answers)
        self._libvirtd.launch()

    def wait_ready(self) -> None:
        self._libvirtd.wait_ready()

    def close(self) -> None:
        """End the daemon and every guest, and remove what root made."""
        if self._holder.running:
            subprocess.run([*AS_ROOT, "kill", "-KILL", self._holder_pid()], check=True)
        self._holder.wait_ended()
        subprocess.run([*AS_ROOT, "rm", "-rf", str(self.folder)], check=True)

    def stop_daemon(self, with_signal: signal.Signals = signal.SIGTERM) -> None:
        """End libvirtd alone (SIGKILL: as a crash would); the guests run on."""
        self._signal("libvirtd.pid", with_signal)
        self._libvirtd.wait_ended()

    def start_daemon(self) -> None:
        """Start libvirtd again; it finds its guests."""
        self._libvirtd.start()

    def freeze_daemon(self) -> None:
        """Make libvirtd hang, its connections open."""
        self._signal("libvirtd.pid", signal.SIGSTOP)

    def thaw_daemon(self) -> None:
        self._signal("libvirtd.pid", signal.SIGCONT)
        # nsenter has stopped itself when its child was stopped, and would never see that end.
        subprocess.run([*AS_ROOT, "kill", "-s", "CONT", str(self._libvirtd.pid)], check=True)

    def define(self, guest: Guest) -> None:
        """Let libvirt know a guest, without starting it."""
        with self._connection() as connection:
            connection.defineXML(guest.xml(self.folder / "disks"))

    def start(self, guest: Guest) -> None:
        """Power a defined guest on; half a second."""
        with self._connection() as connection:
            connection.lookupByUUIDString(guest.uuid).create()

    def stop(self, guest: Guest) -> None:
        """Power it off; it stays defined."""
        with self._connection() as connection:
            connection.lookupByUUIDString(guest.uuid).destroy()

    def remove(self, guest: Guest) -> None:
        """Power it off, if it runs, and forget it."""
        with self._connection() as connection:
            domain = connection.lookupByUUIDString(guest.uuid)
            if domain.isActive():
                domain.destroy()
            domain.undefine()

    def retitle(self, guest: Guest, title: str) -> None:
        """Change its metadata as it runs."""
        with self._connection() as connection:
            domain = connection.lookupByUUIDString(guest.uuid)
            domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_TITLE, title, None, None, libvirt.VIR_DOMAIN_AFFECT_LIVE)

    def plug(self, guest: Guest, tap: str) -> None:
        """Give it one more interface as it runs."""
        nic = NIC.format(mac="fa:16:3e:00:00:99", tap=tap)
        with self._connection() as connection:
            domain = connection.lookupByUUIDString(guest.uuid)
            domain.attachDeviceFlags(nic, libvirt.VIR_DOMAIN_AFFECT_LIVE)

    def freeze(self, guest: Guest) -> None:
        """Make its QEMU hang: libvirt's questions to its monitor then get no answer."""
        self._signal(f"run/libvirt/qemu/{guest.name}.pid", signal.SIGSTOP)

    def thaw(self, guest: Guest) -> None:
        self._signal(f"run/libvirt/qemu/{guest.name}.pid", signal.SIGCONT)

    def _mounts(self) -> Iterator[str]:
        for part, at in MOUNTS.items():
            yield f"mount --bind {self.folder}/{part} {at}"
        for name in ACCOUNTS:
            yield f"mount --bind {self.folder}/{name} /etc/{name}"

    def _inside(self, *command: str) -> list[str]:
        return [*AS_ROOT, "nsenter", "--target", self._holder_pid(), "--mount", "--net", "--pid", "--", *command]

    def _holder_pid(self) -> str:
        return (self.folder / "holder").read_text().strip()

    def _signal(self, pid_file: str, with_signal: signal.Signals) -> None:
        """Process numbers are the namespace's own, so the signal is sent from inside."""
        send = f"kill -s {with_signal.name.removeprefix('SIG')} $(cat {self.folder}/{pid_file})"
        subprocess.run(self._inside("sh", "-c", send), check=True)

    @contextlib.contextmanager
    def _connection(self) -> Iterator[libvirt.virConnect]:
        libvirt.registerErrorHandler(lambda *_: None, None)  # it would print each error as well as raise it
        connection = libvirt.open(self.uri)
        try:
            yield connection
        finally:
            connection.close()

    def _answers(self) -> bool:
        with contextlib.suppress(libvirt.libvirtError), self._connection():
            return True
        return False
