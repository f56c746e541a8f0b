"""How gunicorn serves the API: ``gunicorn -c python:metering.serving metering.wsgi``.

What its command line or GUNICORN_CMD_ARGS says counts more than this file.
"""

from __future__ import annotations

import gc
import os

from metering import environment

# Objects that are made before those that refer to each other are looked for: an answer of many rows has thousands.
_ALLOCATED = 50_000

_settings = environment.load(os.environ).serving

# Threads, because an answer of many pages may take as long as its reader does: the process says meanwhile that it is
# alive, so that the time-out meets only one that hangs as a whole.
worker_class = "gthread"
workers = _settings.workers
threads = _settings.threads
timeout = 60
graceful_timeout = 25  # what is being answered may end; service managers kill after 30 s or later
keepalive = 75  # seconds; longer than proxies keep an idle connection, so that it is they who close it
# No process is replaced because it is old: that would cut off what it is streaming.
max_requests = 0
limit_request_line = 8_190  # bytes, the most there can be: a query has four parameters for each of its clauses
control_socket_disable = True
forwarded_allow_ips = ""  # nobody's headers say what a request is: of named proxies, metering/proxies.py believes some
loglevel = "warning"


def post_worker_init(worker: object) -> None:
    """What the application consists of is never garbage, and is not looked through for it while a request waits."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATED)
