"""Kill a command just before it changes a file for the n-th time, so that every stage of a run can be its last."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.maquette.conftest import ROOT

# Python says what it is about to do with files (PEP 578); the n-th time that it would change one below the folder is its last.
_BOOT = """
import os, runpy, signal, sys
folder, left, module = os.path.abspath(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
sys.argv = sys.argv[3:]

def last(event, arguments):
    global left
    if event == "open":
        path, mode, flags = arguments
        changes = isinstance(mode, str) and set(mode) & set("wax+") or mode is None and flags & (os.O_WRONLY | os.O_RDWR)
    else:
        path, changes = arguments[0], event in ("os.rename", "os.remove")
    if changes and isinstance(path, (str, bytes)) and os.path.abspath(os.fsdecode(path)).startswith(folder + os.sep):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(last)
runpy.run_module(module, run_name="__main__")
"""


def killed_at_every_change(folder: Path, module: str, words: list[object]) -> Iterator[int]:
    """Run the command in ``folder``; it is killed before its 1st change there, then before its 2nd, until one is not killed.

    Gives the number of changes that each killed run made.
    """
    for count in range(1, 100):
        command = [sys.executable, "-c", _BOOT, str(folder), str(count), module, *map(str, words)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MAQUETTE_")}
        environment["PYTHONPATH"] = str(ROOT)
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != -signal.SIGKILL:
            assert done.returncode == 0, done.stderr
            return
        yield count - 1
    raise AssertionError("it never ends")
