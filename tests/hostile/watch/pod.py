"""One service under attack: ``python -m services.pod NAME`` with a tiny real model, and what its process holds."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil

from tests import tiny
from tests.hostile.watch.probe import Probe
from tests.serving import KINDS, ROOT, Served, free_ports, until

MEBIBYTE = 2**20
FULL = os.environ.get("HOSTILE") == "full"
# Attacks of the suite are the same as those of `make hostile`, against limits that are as much smaller as the attacks are.
SMALL_LIMITS = {
    "idle_seconds": 2,
    "wait_seconds": 5,
    "max_mebibytes": 16,
    "mebibytes_in_flight": 64,
    "max_megapixels": 40,
    "megapixels_in_flight": 80,
    "max_streams": 16,
}
# `make hostile` leaves all settings as they are but one: its attacks wait for this again and again, and it has fifteen minutes.
FULL_LIMITS = {"idle_seconds": 4}
DEFAULTS = {
    "wait_seconds": 10,
    "max_mebibytes": 64,
    "mebibytes_in_flight": 256,
    "max_megapixels": 120,
    "megapixels_in_flight": 240,
    "max_streams": 16,
}
# The C library's allocator is told by the image what it is told here.
ALLOCATOR = dict(re.findall(r"\b(MALLOC_\w+)=(\d+)", (ROOT / "Containerfile").read_text(encoding="utf-8")))
# What the shipped remove_background, which nearly all attacks are sent to, holds when it is ready.
SHIPPED = 190 * MEBIBYTE
KEY = "the-key-of-the-hostile-tests"
PHOTOGRAPH = tiny.picture(3, (640, 480), "JPEG", quality=90)


def scaled(small: Any, full: Any) -> Any:
    """The size of an attack: in the suite, and by ``make hostile``."""
    return full if FULL else small


class Pod(Served):
    """A service in one process. ``variables`` are settings in lower case, over the small limits or the defaults."""

    def __init__(self, home: Path, bundles: Path, name: str = "remove_background", **variables: object) -> None:
        self.kind, self.host, self._authority = KINDS[name], "127.0.0.1", None
        self.http_port, self.grpc_port = free_ports(2)
        chosen = {**(FULL_LIMITS if FULL else SMALL_LIMITS), **variables}
        self.settings: dict[str, Any] = {**DEFAULTS, **chosen}
        self._log = home / f"{name}-{self.http_port}.log"
        own = home / str(self.http_port)
        own.mkdir()
        environment = {key: value for key, value in os.environ.items() if not key.startswith("MAQUETTE_")}
        environment |= ALLOCATOR
        environment |= {
            "MAQUETTE_MODELS": str(bundles),
            "MAQUETTE_THREADS": "2",
            "MAQUETTE_LOG_FORMAT": "json",
            "MAQUETTE_HTTP_PORT": str(self.http_port),
            "MAQUETTE_GRPC_PORT": str(self.grpc_port),
            "BENTOML_HOME": str(own),
        } | {f"MAQUETTE_{key.upper()}": str(value) for key, value in chosen.items()}
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services.pod", name], cwd=ROOT, env=environment, stdout=log, stderr=log
            )
        self._probe: Probe | None = None
        self.ready_resident = self.busy = 0
        self.spoiled = False  # an attack succeeded: the next one gets a fresh process

    def until_ready(self) -> Pod:
        """Also what the process holds at that moment (``ready_resident``), and at most while good photographs alone are
        answered (``busy``): so many that it has begun all its threads. Then a probe.
        """
        super().until_ready()
        self.ready_resident = self.resident()
        key = str(self.settings.get("api_key", ""))
        calls = [(transport, output) for transport in ("http", "grpc") for output in ("mask", "cutout")]
        if self.kind.name == "remove_background":
            with ThreadPoolExecutor(8) as callers:
                headers = {"x-api-key": key}
                list(callers.map(lambda one: self.call(one[0], PHOTOGRAPH, headers=headers, output=one[1]), calls * 8))
        self.busy = self.peak()
        self._probe = Probe(self.kind, self.http_port, self.grpc_port, PHOTOGRAPH, key)
        return self

    @property
    def probe(self) -> Probe:
        assert self._probe, "the pod is not ready"
        return self._probe

    def _tree(self) -> list[psutil.Process]:
        return [psutil.Process(self.process.pid)]

    @property
    def allowed(self) -> int:
        """Bytes that docs/operations.md tells to give a pod with these settings."""
        chosen = self.settings
        streams = 2 * chosen["max_streams"] * (chosen["max_mebibytes"] + 16)
        return (200 + 2 * chosen["mebibytes_in_flight"] + streams) * MEBIBYTE + int(7 * 1.25e6 * chosen["megapixels_in_flight"])

    def connected(self, sockets: list[socket.socket]) -> int:
        """How many of these connections the service still has, whatever lies in the buffers of the system between."""
        ours = {one.getsockname()[1] for one in sockets}
        theirs = psutil.Process(self.process.pid).net_connections("tcp")
        return sum(bool(one.raddr) and one.raddr.port in ours for one in theirs)

    @property
    def kept(self) -> int:
        """Bytes that may be resident after an attack: 1.5 times what a shipped service holds when it is ready.

        The tiny models of the suite make less resident, and what an attack leaves does not depend on the model.
        """
        return int(self.ready_resident + 0.5 * max(self.ready_resident, SHIPPED))

    def hang_up(self) -> None:
        """Close this side's own connections; the next call opens one."""
        self.close()
        for name in ("http", "channel"):
            self.__dict__.pop(name, None)

    def threads(self) -> Counter[str]:
        """Threads by name, without gRPC's own that come and go with its load: 16 of its engine at most, 4 of its timer."""
        names = Counter(path.read_text().strip() for path in Path(f"/proc/{self.process.pid}/task").glob("*/comm"))
        return names - Counter(event_engine=16, grpc_global_tim=4)

    def descriptors(self) -> int:
        return psutil.Process(self.process.pid).num_fds()

    def forget_peak(self) -> None:
        """:meth:`peak` is from now on (Linux, proc(5))."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def quiet(self) -> bool:
        """Nothing is held, and no thread of the process works: it spent less than a fifth of a quarter of a second."""
        before = sum(psutil.Process(self.process.pid).cpu_times()[:2])
        time.sleep(0.25)
        return sum(psutil.Process(self.process.pid).cpu_times()[:2]) - before < 0.05 and not self.held()

    def until_quiet(self) -> None:
        until(self.quiet, lambda: f"work goes on: {self.held()}", self.process)

    def kill(self) -> None:
        """End it whatever it does."""
        if self._probe:
            self._probe.close()
        self.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
