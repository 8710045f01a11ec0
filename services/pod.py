"""One service as one process, for a container: ``python -m services.pod classify``.

``bentoml serve`` puts a supervisor before the worker. As a pod's first process it doubles the memory, holds the listening
socket open while the worker drains, so that late connections hang and break, and waits a day for a worker that is stuck.
Kubernetes is the supervisor here, so this runs BentoML's application in uvicorn directly: signals arrive where they are
handled, and the exit status is the service's own.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import signal
import sys
from types import FrameType

import uvicorn

from services.common import settings

# Longer than proxies keep an idle connection (60 s mostly): the side that sends the next request must close first.
_KEEP_ALIVE_SECONDS = 75


def main() -> int:
    """Exit status 0 after a drain that was asked for, 2 for a wrong variable, 3 when a port is taken."""
    parser = argparse.ArgumentParser(prog="python -m services.pod", description=__doc__.partition("\n")[0])
    # An image says by SERVICE which one it is.
    own = os.environ.get("SERVICE")
    parser.add_argument("name", nargs="?" if own else None, default=own, help=", ".join(settings.SERVICES))
    name: str = parser.parse_args().name
    if name not in settings.SERVICES:
        parser.error(f"{name!r} is no service; they are {', '.join(settings.SERVICES)}")
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    chosen = settings.load_or_exit()
    if chosen.workers != 1:
        sys.stderr.write(f"maquette: {settings.PREFIX}WORKERS: a pod is one process; ask for more replicas instead\n")
        return 2
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    class_name = "".join(word.title() for word in name.split("_"))
    service = getattr(importlib.import_module(f"services.{name}.service"), class_name)
    server = uvicorn.Server(
        uvicorn.Config(
            service.to_asgi(),
            host=chosen.host,
            port=chosen.ports(name).http,
            log_config=None,
            server_header=False,
            ssl_certfile=chosen.tls_certificate,
            ssl_keyfile=chosen.tls_key,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=max(1, round(chosen.drain_seconds)),
        )
    )
    # Ends by raising again the signal that stopped it, which is _leave's.
    server.run()
    return 0 if server.started else 3


def _leave(number: int, frame: FrameType | None) -> None:
    """Before the server has its own handlers there is nothing to drain; after it has drained there is nothing left."""
    raise SystemExit(0)


if __name__ == "__main__":
    raise SystemExit(main())
