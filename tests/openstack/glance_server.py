"""A real Glance on SQLite and files: ``python -m tests.openstack.glance_server FOLDER PORT KEYSTONE_URL``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.openstack import wsgi
from tests.openstack.keystone_server import PASSWORD

CONFIG = """
[DEFAULT]
worker_self_reference_url = http://127.0.0.1:{port}
enabled_import_methods = []
image_cache_dir = {folder}/cache
node_staging_uri = file://{folder}/staging
[database]
connection = sqlite:///{folder}/glance.db
[glance_store]
stores = file
default_store = file
filesystem_store_datadir = {folder}/images
[keystone_authtoken]
www_authenticate_uri = {keystone}
auth_url = {keystone}
auth_type = password
username = admin
password = {password}
project_name = admin
user_domain_id = default
project_domain_id = default
[paste_deploy]
flavor = keystone
config_file = {paste}
[oslo_policy]
policy_file = {folder}/no-policy.yaml
"""


def main(folder: Path, port: int, keystone: str) -> None:
    from glance.cmd import manage  # in this process, so that its children need not
    from glance.common import wsgi_app

    for name in ("cache", "staging", "images"):
        (folder / name).mkdir()
    paste = Path(sys.prefix) / "etc/glance/glance-api-paste.ini"
    config = folder / "glance-api.conf"
    config.write_text(CONFIG.format(folder=folder, port=port, keystone=keystone, password=PASSWORD, paste=paste))
    wsgi.run(manage.main, "glance-manage", f"--config-file={config}", "db_sync")
    os.environ["OS_GLANCE_CONFIG_DIR"] = str(folder)
    wsgi.serve(wsgi_app.init_app(), port)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
