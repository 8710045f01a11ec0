"""One pod's process without a cluster: ``python -m services.pod classify`` on ports of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests import serving


class Replica:
    """``inside`` is a command that runs another where the replica is to be, a network namespace for one.

    ``variables`` are settings of the service.
    """

    def __init__(
        self,
        bundles: Path,
        home: Path,
        host: str = "127.0.0.1",
        inside: Sequence[str] = (),
        ports: Sequence[int] = (),
        **variables: object,
    ) -> None:
        self.ports = ports or serving.free_ports(2)
        self.inside = inside
        self.page = f"http://{host}:{self.ports[0]}"
        self._log = home / f"{host}-{self.ports[0]}.log"
        environment = {key: value for key, value in os.environ.items() if not key.startswith("MAQUETTE_")}
        environment |= {
            "MAQUETTE_MODELS": str(bundles),
            "MAQUETTE_HOST": host,
            "MAQUETTE_THREADS": "1",
            "MAQUETTE_HTTP_PORT": str(self.ports[0]),
            "MAQUETTE_GRPC_PORT": str(self.ports[1]),
            "BENTOML_HOME": str(home / f"{host}-{self.ports[0]}"),
        }
        environment |= {f"MAQUETTE_{name.upper()}": str(value) for name, value in variables.items()}
        Path(environment["BENTOML_HOME"]).mkdir()
        command = [*inside, sys.executable, "-m", "services.pod", "classify"]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=serving.ROOT, env=environment, stdout=log, stderr=log)

    def until_ready(self) -> Replica:
        serving.until(lambda: self.get("/readyz"), self._log.read_text, self.process)
        return self

    def get(self, path: str) -> str:
        """A page as the replica's own side of the wire sees it; empty while it is not answered with 200."""
        script = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=10).read().decode(), 'OK')"
        return subprocess.run(
            [*self.inside, sys.executable, "-c", script, self.page + path], capture_output=True, text=True
        ).stdout

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
