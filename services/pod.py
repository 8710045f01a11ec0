"""One service as one process: ``python -m services.pod classify``. A container runs it, and ``python -m services`` runs four.

uvicorn serves the service's ASGI application, gRPC stands beside it in the same event loop. Signals arrive where they are
handled, and the exit status is the service's own. Why not ``bentoml serve``: docs/decisions/0011-one-process.md.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import signal
import sys
from types import FrameType

from services.common import http_protocol, settings


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
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    application = importlib.import_module(f"services.{name}.app").APP
    server = http_protocol.server(application, chosen, chosen.ports(name).http)
    # Ends by raising again the signal that stopped it, which is _leave's.
    server.run()
    return 0 if server.started else 3


def _leave(number: int, frame: FrameType | None) -> None:
    """Before the server has its own handlers there is nothing to drain; after it has drained there is nothing left."""
    raise SystemExit(0)


if __name__ == "__main__":
    raise SystemExit(main())
