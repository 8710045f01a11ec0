"""A short evening without a service, killed before its 1st change of a file, then before its 2nd, until one is not killed.

``python -m tests.maquette.review.evening FOLDER``: each begins with a copy of ``FOLDER/start``, in ``FOLDER/1``, and so on.
The processes are forks of one that has imported everything: twenty starts would take a minute.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any, cast

from maquette.client.client import Client
from maquette.folders import photographs
from maquette.masks.plan import Order, Settings
from maquette.review.page.corrections import Corrections
from maquette.review.page.journal import Verdict
from maquette.review.page.mask_set import MaskSet

_CHANGES = ("os.rename", "os.remove", "os.link")


def evening(folder: Path) -> None:
    found = photographs.find([folder / "photos"]).photographs
    masks = MaskSet.open("evening", found, Order(folder / "masks", Settings("mask", "sensor", None)))
    corrections = Corrections(masks, cast(Client, None))
    first, second = masks.items[:2]
    stroke = {"kind": "paint", "mark": "object", "vertices": [[60, 100]], "width": 30}
    corrections.mark(first, stroke)
    corrections.mark(first, stroke | {"mark": "background", "width": 10})
    corrections.undo(first)
    masks.journal.decide(first.name, Verdict.ACCEPTED, [])
    masks.journal.decide(second.name, Verdict.REJECTED, ["blurred"])
    masks.close()


def killed(folder: Path, left: int) -> None:
    def last(event: str, arguments: Any) -> None:
        nonlocal left
        changes = event in _CHANGES
        if event == "open":
            _, mode, flags = arguments
            changes = bool(set(mode) & set("wax+")) if isinstance(mode, str) else bool(flags & (os.O_WRONLY | os.O_RDWR))
        path = arguments[0] if changes else b""
        if isinstance(path, (str, bytes, os.PathLike)) and Path(os.fsdecode(path)).is_relative_to(folder):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(last)
    evening(folder)


def main() -> None:
    start = Path(sys.argv[1]).resolve()
    for count in range(1, 100):
        folder = start / str(count)
        shutil.copytree(start / "start", folder)
        child = os.fork()
        if child == 0:
            killed(folder, count)
            os._exit(0)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != -signal.SIGKILL:
            return


if __name__ == "__main__":
    main()
