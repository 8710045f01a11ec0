"""``maquette``, and ``python -m maquette``."""

from __future__ import annotations

import signal
import sys


def main() -> None:
    """Run the command line; SIGTERM stops it as Ctrl-C does, so that a run that is told to end says how far it got."""
    try:
        from maquette.commands.app import app
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] in ("maquette", "protos"):
            raise
        sys.exit(f"maquette: the command line needs {error.name}: pip install 'maquette-serving[cli]'.")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    app(prog_name="maquette")


if __name__ == "__main__":
    main()
