"""Pages whose console blocks are commands with their results: ``$ `` before a command, below it its whole output."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.e2e.test_readme import commands, matches

_PATIENCE = 180.0


def run(page: Path, folder: Path, there: Mapping[str, str], *, left_out: tuple[str, ...] = (), **variables: str) -> int:
    """Run the commands of ``page`` in ``folder`` and compare; ``there`` says where what the page names is in this test.

    ``left_out``: how commands begin that the test has seen to itself. Answers how many were run.
    """
    environment = {**os.environ, **variables, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "120"}
    count = 0
    for command, expected in commands(page.read_text()):
        if command.startswith(left_out):
            continue
        count += 1
        for name, address in there.items():
            command = command.replace(name, address)
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=_PATIENCE
        )
        assert matches(expected, done.stdout), f"$ {command}\n{done.stdout}\n{done.stderr}\n{page.name} says:\n{expected}"
    return count
