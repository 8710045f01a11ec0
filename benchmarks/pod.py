"""What one pod of each service costs: resident memory, and CPU time of a photograph over each transport.

    python -m benchmarks.pod --json benchmarks/results/pod.json

Each service runs as its image does (``python -m services.pod``, one thread of work) and is asked for the samples of 640 x 640
by four callers. CPU time is the pod's own, from the kernel, so that neither the callers nor what else the machine does is in
it; a core divided by it is what a pod with a core to itself can answer.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.memory import mebibytes
from benchmarks.serving import METHODS, SAMPLES, _http, grpc_caller
from services.common import settings

CALLERS, WARM = 4, 16


def main(
    service: Annotated[list[str] | None, typer.Option(help="only these services")] = None,
    requests: Annotated[int, typer.Option(help="photographs over each transport")] = 100,
    output: Annotated[Path | None, typer.Option("--json", help="also write the figures here")] = None,
) -> None:
    """Measure, print a table, and write the figures."""
    pictures = [path.read_bytes() for path in sorted(SAMPLES.glob("*.jpg"))]
    table = Table(
        "service", "idle MiB", "after MiB", "most MiB", "HTTP CPU ms", "gRPC CPU ms", "HTTP images/s", "gRPC images/s"
    )
    rows = []
    for name in service or METHODS:
        with _pod(name) as pod:
            idle = mebibytes(pid=pod.pid)
            cost = {kind: _cost(pod, ask(name, pictures), requests) for kind, ask in (("http", _http), ("grpc", grpc_caller))}
            row = {
                "service": name,
                "idle_mib": idle,
                "after_mib": mebibytes(pid=pod.pid),
                "most_mib": mebibytes("VmHWM", pod.pid),
            }
            rows.append(row | {f"{kind}_cpu_ms": value for kind, value in cost.items()})
            memory = (f"{row[key]:.0f}" for key in ("idle_mib", "after_mib", "most_mib"))
            figures = (f"{value:.1f}" for value in cost.values())
            table.add_row(name, *memory, *figures, *(f"{1000 / value:.0f}" for value in cost.values()))
    Console(width=140).print(table)
    if output:
        output.write_text(json.dumps({"requests": requests, "callers": CALLERS, "rows": rows}, indent=1) + "\n")


@contextmanager
def _pod(name: str) -> Iterator[psutil.Process]:
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "MAQUETTE_THREADS": "1", "BENTOML_HOME": home}
        command = [sys.executable, "-m", "services.pod", name]
        process = subprocess.Popen(command, cwd=settings.ROOT, env=environment, stderr=subprocess.PIPE, text=True)
        try:
            assert process.stderr
            if not any('"event": "ready"' in line for line in process.stderr):
                raise SystemExit(f"{name} did not start: run `python -m services.pod {name}` to see why")
            # Nobody reads its log from here on; it must not wait for a reader.
            with ThreadPoolExecutor(1) as reader:
                reader.submit(process.stderr.read)
                yield psutil.Process(process.pid)
                process.terminate()
        finally:
            process.terminate()
            process.wait()


def _cost(pod: psutil.Process, call: Callable[[int], Any], requests: int) -> float:
    """CPU milliseconds a photograph."""
    with ThreadPoolExecutor(CALLERS) as pool:
        list(pool.map(call, range(WARM)))
        before = sum(pod.cpu_times()[:2])
        list(pool.map(call, range(requests)))
        return (sum(pod.cpu_times()[:2]) - before) * 1000 / requests


if __name__ == "__main__":
    typer.run(main)
