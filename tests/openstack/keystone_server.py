"""A real Keystone on SQLite: ``python -m tests.openstack.keystone_server FOLDER PORT`` makes it, and serves it."""

from __future__ import annotations

import getpass
import grp
import os
import sys
from pathlib import Path

from tests.openstack import wsgi

PASSWORD = "the password of the tests' admin"
CONFIG = """
[database]
connection = sqlite:///{folder}/keystone.db
[fernet_tokens]
key_repository = {folder}/fernet
[credential]
key_repository = {folder}/credential
[identity]
password_hash_rounds = 4
[oslo_policy]
policy_file = {folder}/no-policy.yaml
"""


def main(folder: Path, port: int) -> None:
    from keystone.cmd import manage  # in this process, so that its children need not
    from keystone.server import wsgi as keystone

    config = folder / "keystone.conf"
    config.write_text(CONFIG.format(folder=folder))
    (folder / "fernet").mkdir()
    (folder / "credential").mkdir()
    kinds = ("public", "internal", "admin")
    urls = [f"--bootstrap-{kind}-url=http://127.0.0.1:{port}/v3" for kind in kinds]
    user, group = getpass.getuser(), grp.getgrgid(os.getgid()).gr_name
    for command in (
        ("db_sync",),
        ("fernet_setup", f"--keystone-user={user}", f"--keystone-group={group}"),
        ("bootstrap", f"--bootstrap-password={PASSWORD}", "--bootstrap-region-id=north", *urls),
    ):
        wsgi.run(manage.main, "keystone-manage", f"--config-file={config}", *command)
    os.environ["OS_KEYSTONE_CONFIG_FILES"] = str(config)
    sys.argv = ["keystone"]  # it reads our arguments as its own
    wsgi.serve(keystone.initialize_public_application(), port)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
