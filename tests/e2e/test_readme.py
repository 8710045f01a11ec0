"""What README.md shows is what one gets: its console blocks are run in order and their output compared.

A line that starts with ``$ `` is a command; the lines below it are its whole output, in which ``...`` stands for anything.
``$ make serve`` is left running for the blocks that follow and ended with Ctrl-C.
"""

from __future__ import annotations

import doctest
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 180.0


def commands(text: str) -> list[tuple[str, str]]:
    """(command, expected output) of every console block, in order."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, expected = part.replace("\\\n", "").partition("\n")
            found.append((command, expected))
    return found


def matches(expected: str, actual: str) -> bool:
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    return doctest.OutputChecker().check_output(expected, actual, flags)


@pytest.mark.timeout(600)
def test_every_console_block(tmp_path: Path) -> None:
    shown = commands((ROOT / "README.md").read_text())
    assert any(command == "make serve" for command, _ in shown), "the first screen starts the services"
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "120"}
    server: subprocess.Popen[str] | None = None
    output = tmp_path / "serve.txt"
    try:
        for command, expected in shown:
            if command == "make serve":
                with output.open("w") as stream:
                    server = subprocess.Popen(
                        ["make", "serve"],
                        cwd=ROOT,
                        env=environment,
                        stdout=stream,
                        stderr=subprocess.DEVNULL,
                        start_new_session=True,
                        text=True,
                    )
                wanted = sorted(expected.splitlines())
                deadline = time.monotonic() + PATIENCE
                while not matches("\n".join(wanted), "\n".join(sorted(serving_lines(output)))):
                    assert server.poll() is None, "make serve ended by itself"
                    assert time.monotonic() < deadline, f"make serve printed:\n{output.read_text()}"
                    time.sleep(0.5)
                continue
            result = subprocess.run(
                ["bash", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE
            )
            shown_output = result.stdout
            assert matches(expected, shown_output), f"$ {command}\n{shown_output}\n{result.stderr}\nREADME.md says:\n{expected}"
    finally:
        if server is not None:
            os.killpg(server.pid, signal.SIGINT)
            server.wait(60)
    for port in (3001, 3002, 3003, 3004):
        wait_until_closed(port)


def wait_until_closed(port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.2)
    pytest.fail(f"port {port} still answers after Ctrl-C")


def serving_lines(output: Path) -> list[str]:
    return [line for line in output.read_text().splitlines() if "grpc" in line and "services" not in line]
