"""Our service beside FastAPI (2 processes) and LitServe (2 workers): images a second, and CPU milliseconds an image.

    python -m benchmarks.peers --json benchmarks/results/peers.json
    python -m benchmarks.peers --quick

All serve the graph of ``classify`` and prepare photographs by ``services.common.images``. In each of ``--rounds`` alternating
rounds, for JPEGs of 0.4, 1 and 12 megapixels: decoding and the model in a loop, which is the limit; each peer and our service
over HTTP multipart, asked by Apache's ``ab``; our service over gRPC. The table holds medians. CPU time is that of the server's
processes by the kernel's clocks: what the callers cost is not in it, though they share the cores.
"""

from __future__ import annotations

import io
import json
import os
import platform
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import onnxruntime
import psutil
import typer
from PIL import Image
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from benchmarks.peers.model import Model
from benchmarks.serving import ACCEPT, METHODS, SAMPLES, cpu, grpc_caller, rate
from services.common import models, settings, twins
from training.common import runs

SIZES = {0.4: (640, 640), 1.0: (1152, 864), 12.0: (4000, 3000)}
BOUNDARY = "benchmark"
LIMIT, FLOAT, TWIN = "decode + model", "ours, float32", "ours, int8"
START_SECONDS = 60
Figures = dict[str, float]


@dataclass(frozen=True)
class Server:
    """A served process, the address of its question over HTTP, and its gRPC port where it has one."""

    process: psutil.Process
    url: str
    grpc_port: int | None = None

    def cpu_seconds(self) -> float:
        """CPU time of the process and all of its children so far."""
        return sum(sum(process.cpu_times()[:2]) for process in [self.process, *self.process.children(recursive=True)])


def main(
    rounds: Annotated[int, typer.Option(help="alternating runs of which the medians are taken")] = 5,
    seconds: Annotated[float, typer.Option(help="length of each run")] = 2.5,
    quick: Annotated[bool, typer.Option("--quick", help="one round of 1.5 s")] = False,
    output: Annotated[Path | None, typer.Option("--json", help="also write the figures here, after every run")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with the runs that --json holds")] = False,
) -> None:
    """Measure, print tables of medians, and write every run with the machine and versions it comes from."""
    if not shutil.which("ab"):
        raise SystemExit("ab is not installed; Debian has it in the package apache2-utils")
    rounds, seconds = (1, 1.5) if quick else (rounds, seconds)
    threads = settings.load().lanes
    kept = json.loads(output.read_text())["rows"] if resume and output and output.exists() else []
    results = Results(output, {"machine": machine(), "seconds": seconds}, kept)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = {
            "FastAPI": stack.enter_context(fastapi()),
            "LitServe": stack.enter_context(litserve()),
            FLOAT: stack.enter_context(ours("classify", "float32")),
        }
        if has_twin("classify"):
            servers[TWIN] = stack.enter_context(ours("classify", "int8"))
        model = Model()
        planned: list[tuple[float, str, str, int, Callable[[], Figures]]] = []
        for size in SIZES:
            data = photograph(size)
            (folder / f"{size}.form").write_bytes(form(data))
            loop = [LIMIT, "", threads, lambda data=data: _loop(model, data, threads, seconds)]
            ways = [loop, *_ways(servers, folder / f"{size}.form", data, seconds)]
            planned += [(size, *way) for way in ways]  # type: ignore[misc]
        progress = tqdm(total=rounds * len(planned), unit="run", disable=None)
        for number in range(rounds):
            for size, system, transport, callers, run in planned:
                place = {
                    "service": "classify",
                    "round": number,
                    "megapixels": size,
                    "system": system,
                    "transport": transport,
                    "callers": callers,
                }
                results.add(place, run)
                progress.update()
        progress.close()
    _masks(results, rounds, seconds)
    rows = results.rows
    console = Console(width=140)
    for size in SIZES:
        console.print(_table(size, [row for row in rows if (row["service"], row["megapixels"]) == ("classify", size)]))
    console.print(_masks_table([row for row in rows if row["service"] == "remove_background"]))


@dataclass(frozen=True)
class Results:
    """Every run so far, written to ``path`` after each."""

    path: Path | None
    facts: dict[str, Any]
    rows: list[dict[str, Any]]

    def add(self, place: dict[str, Any], run: Callable[[], Figures]) -> None:
        """Run and keep the figures under ``place``, unless they are there."""
        if any(place.items() <= row.items() for row in self.rows):
            return
        self.rows.append({**place, **run()})
        if self.path:
            runs.write_json(self.path, {**self.facts, "rows": self.rows})


def _ways(
    servers: dict[str, Server], body: Path, data: bytes, seconds: float
) -> Iterator[tuple[str, str, int, Callable[[], Figures]]]:
    """Of each server: its name, a transport, how many callers, and one run."""
    for name, server in servers.items():
        many = (8, 32) if name == FLOAT else (8,)
        for callers in many:
            yield name, "HTTP", callers, lambda server=server, callers=callers: http(server, body, callers, seconds)
        if server.grpc_port is not None:
            for callers in many:
                ask = grpc_caller("classify", [data], server.grpc_port)
                yield (
                    name,
                    "gRPC",
                    callers,
                    lambda server=server, ask=ask, callers=callers: _grpc(server, ask, callers, seconds),
                )


def photograph(megapixels: float) -> bytes:
    """A sample enlarged to a size of ``SIZES`` with the noise of a sensor, as a JPEG of quality 85 without EXIF."""
    with Image.open(SAMPLES / "statue.jpg") as sample:
        large = np.asarray(sample.convert("RGB").resize(SIZES[megapixels], Image.Resampling.BICUBIC), np.float32)
    noise = np.random.default_rng(0).normal(0, 1.5, large.shape[:2])[..., None]
    stream = io.BytesIO()
    Image.fromarray(np.clip(large + noise, 0, 255).astype(np.uint8)).save(stream, "JPEG", quality=85)
    return stream.getvalue()


def form(data: bytes) -> bytes:
    """The photograph as the file ``image`` of a multipart body."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    return head.encode() + data + f"\r\n--{BOUNDARY}--\r\n".encode()


def http(server: Server, body: Path, callers: int, seconds: float) -> Figures:
    """``ab`` for about so many seconds. Raises ``SystemExit`` when an answer is not 200."""
    warm = _ab(server, body, callers, callers)
    # A number of requests, not a time: those that are cut off at its end would cost without being counted.
    count = max(2 * callers, round(warm["rate"] * seconds))
    before = server.cpu_seconds()
    figures = _ab(server, body, callers, count)
    return {**figures, "cpu_ms": (server.cpu_seconds() - before) * 1000 / count}


def _ab(server: Server, body: Path, callers: int, count: int) -> Figures:
    command = ["ab", "-q", "-H", f"Accept: {ACCEPT}", "-c", str(callers), "-n", str(count), "-p", str(body)]
    command += ["-T", f"multipart/form-data; boundary={BOUNDARY}", server.url]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in said:
        raise SystemExit(f"{server.url} refused a photograph:\n{said}")
    found = dict(re.findall(r"^\s*(Requests per second|50%|99%):?\s+([\d.]+)", said, re.MULTILINE))
    return {"rate": float(found["Requests per second"]), "p50_ms": float(found["50%"]), "p99_ms": float(found["99%"])}


def _grpc(server: Server, ask: Callable[[int], Any], callers: int, seconds: float) -> Figures:
    ask(0)
    before = server.cpu_seconds()
    figures = rate(ask, callers, seconds, warm_up=0)
    return {**figures, "cpu_ms": (server.cpu_seconds() - before) * 1000 / figures["count"]}


def _loop(model: Model, data: bytes, threads: int, seconds: float) -> Figures:
    model.run(data)
    before = time.process_time()
    figures = rate(lambda _: model.run(data), threads, seconds, warm_up=0)
    return {**figures, "cpu_ms": (time.process_time() - before) * 1000 / figures["count"]}


def _table(size: float, rows: list[dict[str, Any]]) -> Table:
    titles = (
        "system",
        "transport",
        "callers",
        "images/s",
        "p50 ms",
        "p99 ms",
        "CPU ms an image",
        "CPU to limit",
        "to better peer",
    )
    table = Table(*titles, title=f"classify, {size:g} MP: medians")
    cells = dict.fromkeys((row["system"], row["transport"], row["callers"]) for row in rows)
    medians = {
        cell: {
            key: statistics.median(row[key] for row in rows if (row["system"], row["transport"], row["callers"]) == cell)
            for key in ("rate", "p50_ms", "p99_ms", "cpu_ms")
        }
        for cell in cells
    }
    limit = next(figures for (system, *_), figures in medians.items() if system == LIMIT)["cpu_ms"]
    peer = max(figures["rate"] for (system, *_), figures in medians.items() if system in ("FastAPI", "LitServe"))
    for (system, transport, callers), figures in medians.items():
        shown = (f"{figures[key]:.1f}" for key in ("rate", "p50_ms", "p99_ms", "cpu_ms"))
        ratios = f"{figures['cpu_ms'] / limit:.2f}", f"{figures['rate'] / peer:.2f}"
        table.add_row(system, transport, str(callers), *shown, *ratios)
    return table


def _masks(results: Results, rounds: int, seconds: float) -> None:
    """``remove_background`` over HTTP, a JPEG of 12 megapixels to its mask as PNG, in each precision there is."""
    name = "remove_background"
    with ExitStack() as stack:
        body = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "form"
        body.write_bytes(form(photograph(12.0)))
        precisions = ("float32", "int8") if has_twin(name) else ("float32",)
        servers = {precision: stack.enter_context(ours(name, precision)) for precision in precisions}
        for number in range(rounds):
            for precision, server in servers.items():
                place = {"service": name, "round": number, "megapixels": 12.0, "system": f"ours, {precision}"}
                place |= {"transport": "HTTP", "callers": 2}
                results.add(place, lambda server=server: http(server, body, 2, seconds))  # type: ignore[misc]


def _masks_table(rows: list[dict[str, Any]]) -> Table:
    keys = ("rate", "p50_ms", "p99_ms", "cpu_ms")
    table = Table("system", "images/s", "p50 ms", "p99 ms", "CPU ms an image", title="remove_background, 12 MP JPEG to mask")
    for system in dict.fromkeys(row["system"] for row in rows):
        medians = (statistics.median(row[key] for row in rows if row["system"] == system) for key in keys)
        table.add_row(system, *(f"{value:.1f}" for value in medians))
    return table


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cpu": cpu(),
        "cores": len(psutil.Process().cpu_affinity()),
        "vnni": "avx512_vnni" in flags or "avx_vnni" in flags,
        "amx_int8": "amx_int8" in flags,
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
        **{name: version(name) for name in ("fastapi", "uvicorn", "litserve", "maquette-serving")},
    }


def has_twin(service: str) -> bool:
    """Whether the newest bundle holds a graph in int8."""
    return (models.latest(settings.load().models, service) / twins.FACTS).is_file()


@contextmanager
def ours(service: str, precision: str) -> Iterator[Server]:
    """Our service in one process, with default settings but for its ports and precision, and patience for a busy machine."""
    port, grpc_port = _free_port(), _free_port()
    environment = {
        "HTTP_PORT": port,
        "GRPC_PORT": grpc_port,
        "PRECISION": precision,
        "WAIT_SECONDS": 300,
        "TIMEOUT_SECONDS": 300,
    }
    given = {f"MAQUETTE_{name}": str(value) for name, value in environment.items()}
    path = METHODS[service][1]
    with _started(["-m", "services.pod", service], port, path, "/readyz", **given) as server:
        yield Server(server.process, server.url, grpc_port)


def fastapi() -> AbstractContextManager[Server]:
    """The peer in two processes of uvicorn."""
    port = _free_port()
    command = ["-m", "uvicorn", "--workers", "2", "--no-access-log", "--port", str(port), "benchmarks.peers.fastapi_app:app"]
    return _started(command, port, "/predict", "/docs")


def litserve() -> AbstractContextManager[Server]:
    """The peer with two workers."""
    port = _free_port()
    return _started(["-m", "benchmarks.peers.litserve_app", str(port)], port, "/predict", "/health")


@contextmanager
def _started(arguments: list[str], port: int, path: str, ready: str, **environment: str) -> Iterator[Server]:
    given = {**os.environ, **environment}
    quiet = subprocess.DEVNULL
    process = psutil.Popen([sys.executable, *arguments], cwd=settings.ROOT, env=given, stdout=quiet, stderr=quiet)
    base = f"http://127.0.0.1:{port}"
    try:
        _wait(base + ready, process, arguments)
        yield Server(process, base + path)
    finally:
        # LitServe's workers outlive a parent that is asked to end.
        for one in [*process.children(recursive=True), process]:
            one.kill()
        process.wait()


def _wait(url: str, process: psutil.Popen, arguments: list[str]) -> None:
    ends = time.monotonic() + START_SECONDS
    while True:
        with suppress(OSError), urllib.request.urlopen(url):
            return
        if process.poll() is not None or time.monotonic() > ends:
            raise SystemExit(f"it did not start: python {' '.join(arguments)}")
        time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    typer.run(main)
