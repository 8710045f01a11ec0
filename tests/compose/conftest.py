"""The proxy of compose.yaml, as Debian has it, before the four services as processes of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.serving import KINDS, ROOT, Served, free_ports, until

CONFIGURATION = ROOT / "compose" / "haproxy.cfg"


class Proxy:
    """HAProxy with the configuration of the repository; ``port`` is its one port."""

    def __init__(self, home: Path, backends: dict[str, str], options: str = "name plain") -> None:
        program = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
        if not program:
            pytest.skip("there is no HAProxy; Debian's package `haproxy` has it")
        [self.port] = free_ports(1)
        self._log = home / f"haproxy-{self.port}.log"
        variables = {"LISTEN": f"127.0.0.1:{self.port}", "LISTEN_OPTIONS": options, **backends}
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [program, "-f", str(CONFIGURATION)], env=os.environ | variables, stdout=log, stderr=subprocess.STDOUT
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)


def backends(running: dict[str, Served]) -> dict[str, str]:
    """The variables that say where the services are."""
    ports = {name: running[name] for name in KINDS}
    http = {f"{name.upper()}_HTTP": f"{served.host}:{served.http_port}" for name, served in ports.items()}
    return http | {f"{name.upper()}_GRPC": f"{served.host}:{served.grpc_port}" for name, served in ports.items()}


@pytest.fixture(scope="session")
def proxied(running: dict[str, Served], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Proxy]]:
    """``proxied(options)``: a proxy before the four services that finds all of them ready."""
    home, started = tmp_path_factory.mktemp("proxy"), []

    def start(ready: Callable[[Proxy], bool], options: str = "name plain") -> Proxy:
        started.append(Proxy(home, backends(running), options))
        until(lambda: ready(started[-1]), lambda: started[-1].log, started[-1].process)
        return started[-1]

    yield start
    for proxy in started:
        proxy.stop()
