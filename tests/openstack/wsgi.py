"""What the real services of the tests have in common: commands that make a service, and a server for it."""

from __future__ import annotations

import os
import socketserver
import sys
from collections.abc import Callable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server


def run(main: Callable[[], Any], *arguments: str) -> None:
    """A service's own command, in a child: it may be run only once in a process. Modules are imported only once so."""
    sys.stdout.flush()
    child = os.fork()
    if not child:
        sys.argv = list(arguments)
        try:
            main()
        except SystemExit as exc:
            os._exit(int(exc.code or 0))
        except BaseException:  # noqa: BLE001 # the child must not return into the parent's work
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status:
        sys.exit(f"{' '.join(arguments)} failed")


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing: the services have logs of their own."""


class _Threaded(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


def serve(application: Any, port: int) -> None:
    make_server("127.0.0.1", port, application, _Threaded, _Quiet).serve_forever()
