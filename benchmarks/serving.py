"""Images per second and latency of each service over both transports, beside the same model in plain ONNX Runtime.

    python -m benchmarks.serving --json benchmarks/results/serving.json

For each service, in one run on one machine: plain ONNX Runtime on photographs decoded beforehand ("model"), the same with
decoding and resizing in the loop ("decode + model"), then the served process over HTTP and gRPC with 1, 8 and 32 callers.
The ratio is to "decode + model" with as many threads as the service has: what a program that holds the photographs' bytes
could do at best. The callers run on the same cores as the service, so the ratio includes what sending costs them.
Resident memory is read from the service's processes after 500 and after 5,000 requests.
"""

from __future__ import annotations

import concurrent.futures
import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPConnection
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import grpc
import numpy as np
import psutil
import typer
from rich.console import Console
from rich.table import Table

from services.common import images, models, settings

CALLERS = (1, 8, 32)
SAMPLES = settings.ROOT / "samples"
# A mask is answered as a picture; all else is JSON in any case.
ACCEPT = "image/png, */*;q=0.1"
METHODS = {
    "classify": ("Classify", "/v1/classifications"),
    "cluster_assign": ("Assign", "/v1/assignments"),
    "embed_latent": ("Embed", "/v1/embeddings"),
    "remove_background": ("RemoveBackground", "/v1/masks"),
}


def main(
    service: Annotated[list[str] | None, typer.Option(help="only these services")] = None,
    seconds: Annotated[float, typer.Option(help="length of each measurement")] = 8.0,
    memory_requests: Annotated[int, typer.Option(help="requests before the last reading of resident memory")] = 5000,
    output: Annotated[Path | None, typer.Option("--json", help="also write the figures here")] = None,
) -> None:
    """Measure, print a table, and write the figures with the machine and versions they come from."""
    pictures = [path.read_bytes() for path in sorted(SAMPLES.glob("*.jpg"))]
    console, rows = Console(width=140), []
    for name in service or METHODS:
        rows += _measure(name, pictures, seconds, memory_requests, console)
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        machine = {"cpu": cpu(), "threads": len(psutil.Process().cpu_affinity()), "python": platform.python_version()}
        output.write_text(json.dumps({"machine": machine, "seconds": seconds, "rows": rows}, indent=1) + "\n")


def _measure(name: str, pictures: list[bytes], seconds: float, memory_requests: int, console: Console) -> list[dict[str, Any]]:
    threads = settings.load().lanes
    bundle = models.load(models.latest(settings.load().models, name))
    ready = [_prepare(bundle, data) for data in pictures]
    raw = rate(lambda i: bundle.run(ready[i % len(ready)][None]), threads, seconds)
    limit = rate(lambda i: bundle.run(_prepare(bundle, pictures[i % len(pictures)])[None]), threads, seconds)
    rows = [
        {"service": name, "how": "model", "callers": threads, **raw},
        {"service": name, "how": "decode + model", "callers": threads, **limit},
    ]
    # The graph that plain ONNX Runtime has, though an int8 twin may be faster: that stands in `benchmarks.peers`.
    with served(name, MAQUETTE_PRECISION="float32") as process:
        for transport, callers_of in (("http", _http), ("grpc", grpc_caller)):
            for callers in CALLERS:
                row = rate(callers_of(name, pictures), callers, seconds)
                rows.append({"service": name, "how": transport, "callers": callers, **row})
        memory = _memory(process, grpc_caller(name, pictures), memory_requests)
    table = Table("how", "callers", "images/s", "p50 ms", "p99 ms", "of model", "of decode + model", title=name)
    for row in rows:
        row["of_model"], row["of_limit"] = row["rate"] / raw["rate"], row["rate"] / limit["rate"]
        figures = (f"{row['rate']:.1f}", f"{row['p50_ms']:.1f}", f"{row['p99_ms']:.1f}")
        table.add_row(row["how"], str(row["callers"]), *figures, f"{row['of_model']:.2f}", f"{row['of_limit']:.2f}")
    console.print(table)
    console.print(f"resident memory: {memory[0]:.0f} MiB after 500 requests, {memory[1]:.0f} MiB after {memory_requests}\n")
    rows.append({"service": name, "how": "memory", "requests": [500, memory_requests], "resident_mib": memory})
    return rows


def _prepare(bundle: models.Bundle, data: bytes) -> images.RGB:
    shrink_to = 2 * max(bundle.manifest.input.height, bundle.manifest.input.width)
    return bundle.prepare(images.decode(data, images.Limits(), images.Frame.DISPLAY, shrink_to=shrink_to).pixels)


def rate(call: Callable[[int], Any], callers: int, seconds: float, *, warm_up: int = 3) -> dict[str, float]:
    """Run ``call(i)`` from ``callers`` threads for ``seconds`` after a short warm-up."""
    for i in range(warm_up):
        call(i)
    stop, latencies, lock = time.perf_counter() + seconds, [], threading.Lock()

    def work(first: int) -> None:
        mine, i = [], first
        while (started := time.perf_counter()) < stop:
            call(i)
            mine.append(time.perf_counter() - started)
            i += 1
        with lock:
            latencies.extend(mine)

    started = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(callers) as pool:
        for future in [pool.submit(work, i) for i in range(callers)]:
            future.result()
    per_second = len(latencies) / (time.perf_counter() - started)
    p50, p99 = np.percentile(latencies, [50, 99]) * 1000
    return {"rate": per_second, "count": len(latencies), "p50_ms": float(p50), "p99_ms": float(p99)}


def _http(name: str, pictures: list[bytes]) -> Callable[[int], Any]:
    # The standard library's client: the friendlier ones cost more CPU a request than the service itself.
    port, path, mine = settings.SERVICES[name].http, METHODS[name][1], threading.local()

    def call(i: int) -> None:
        if not hasattr(mine, "connection"):
            mine.connection = HTTPConnection("127.0.0.1", port, timeout=60)
        mine.connection.request("POST", path, pictures[i % len(pictures)], {"content-type": "image/jpeg", "accept": ACCEPT})
        answer = mine.connection.getresponse()
        body = answer.read()
        if answer.status != HTTPStatus.OK:
            raise RuntimeError(body.decode())

    return call


def grpc_caller(name: str, pictures: list[bytes], port: int | None = None) -> Callable[[int], Any]:
    """``call(i)`` asks about ``pictures[i]`` and says how large its message is, as the ``maquette`` client does."""
    method, _ = METHODS[name]
    module = f"protos.maquette.{name}.v1.{name}_pb2"
    messages, stubs = import_module(module), import_module(f"{module}_grpc")
    service = "".join(word.title() for word in name.split("_"))
    options = [("grpc.max_send_message_length", -1)]
    channel = grpc.insecure_channel(f"127.0.0.1:{port or settings.SERVICES[name].grpc}", options)
    answer = getattr(getattr(stubs, f"{service}ServiceStub")(channel), method)
    requests = [getattr(messages, f"{method}Request")(image=picture) for picture in pictures]
    calls = [(request, (("maquette-message-bytes", str(request.ByteSize())),)) for request in requests]

    def call(i: int) -> Any:
        request, metadata = calls[i % len(calls)]
        return answer(request, metadata=metadata)

    return call


@contextmanager
def served(name: str, **environment: str) -> Iterator[psutil.Process]:
    """A service ready to answer, with settings besides those of this process."""
    command = [sys.executable, "-m", "services", name]
    given = {**os.environ, **environment}
    process = subprocess.Popen(command, cwd=settings.ROOT, env=given, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert process.stdout
        # BentoML prints lines of its own before the one that says the service is ready.
        if not any(line.startswith(name.encode()) for line in process.stdout):
            raise SystemExit(f"{name} did not start: run `python -m services {name}` to see why")
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def _memory(process: psutil.Process, call: Callable[[int], Any], requests: int) -> tuple[float, float]:
    """Resident MiB of the service's worker after 500 and after ``requests`` further requests from 8 callers."""
    worker = max(process.children(recursive=True), key=lambda child: child.memory_info().rss)
    readings = []
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for first, last in ((0, 500), (500, requests)):
            list(pool.map(call, range(first, last)))
            readings.append(worker.memory_info().rss / 2**20)
    return readings[0], readings[1]


def cpu() -> str:
    """Name of the processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())


if __name__ == "__main__":
    typer.run(main)
