"""The bulk job beside Ray Data: a folder of small photographs through one service, with a worker killed on the way.

    python3.11 -m venv RAY && RAY/bin/pip install 'ray[data]' grpcio grpcio-status googleapis-common-protos tenacity
    python -m benchmarks.bulk RAY/bin/python --json benchmarks/results/bulk.json

Four workers each. When a third of the photographs are answered one worker gets SIGKILL, and is begun again as an Indexed Job or
Ray would do it. Then all of it is killed at that point and begun again. Memory: the sum of the processes' proportional shares.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import httpx
import psutil
import pyarrow.parquet as parquet
import typer
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from services.common import settings
from tests import serving, tiny

WORKERS, BATCH = 4, 64


def main(
    ray: Annotated[Path, typer.Argument(help="interpreter of an environment with Ray")],
    count: int = 3000,
    output: Annotated[Path | None, typer.Option("--json", help="also write the figures here")] = None,
) -> None:
    """Measure both, print the figures, and write them."""
    with tempfile.TemporaryDirectory() as scratch, _service(tiny.everything(Path(scratch))) as (server, answered):
        photographs = _photographs(Path(scratch, "photographs"), count)
        rows = []
        for name, run in (("job", Job(photographs, server)), ("ray", Ray(photographs, server, ray))):
            for killed in ("a worker", "everything", "nothing"):
                results = Path(scratch, f"{name}-{killed.replace(' ', '-')}")
                row = {"how": name, "killed": killed, **_measured(run, results, answered, killed, count)}
                print(json.dumps(row), flush=True)
                rows.append(row)
    if output:
        output.write_text(json.dumps({"photographs": count, "workers": WORKERS, "batch": BATCH, "rows": rows}, indent=1) + "\n")


class Job:
    """maquette.batch.job: a process for each shard, which the Job controller begins again, and then `collect`."""

    def __init__(self, source: Path, server: str) -> None:
        self._source, self._server = source, server

    def begin(self, results: Path, shards: range = range(WORKERS)) -> dict[int, subprocess.Popen[bytes]]:
        words = ["run", "classify", str(self._source), str(results), "--shards", str(WORKERS), "--server", self._server]
        return {index: _quiet(sys.executable, *self._job(*words, "--part-size", BATCH, "--index", index)) for index in shards}

    def worker(self, running: dict[int, subprocess.Popen[bytes]]) -> psutil.Process:
        return psutil.Process(running[1].pid)

    def finish(self, results: Path, running: dict[int, subprocess.Popen[bytes]]) -> None:
        while running:
            for index, process in list(running.items()):
                if process.poll() is None:
                    continue
                del running[index]
                if process.returncode:
                    running |= self.begin(results, range(index, index + 1))
            time.sleep(0.05)
        assert _quiet(sys.executable, *self._job("collect", results, "--shards", WORKERS)).wait() == 0

    def files(self, results: Path) -> Iterator[str]:
        return (json.loads(line)["file"] for line in (results / "records.jsonl").read_text().splitlines())

    @staticmethod
    def _job(*words: object) -> list[str]:
        return ["-m", "maquette.batch.job", *map(str, words)]


class Ray:
    """benchmarks/bulk_ray.py."""

    def __init__(self, source: Path, server: str, interpreter: Path) -> None:
        self._source, self._server, self._interpreter = source, server, interpreter

    def begin(self, results: Path) -> dict[int, subprocess.Popen[bytes]]:
        words = (str(self._source), str(results), self._server)
        return {0: _quiet(str(self._interpreter), "benchmarks/bulk_ray.py", *words)}

    def worker(self, running: dict[int, subprocess.Popen[bytes]]) -> psutil.Process:
        family = psutil.Process(running[0].pid).children(recursive=True)
        return next(one for one in family if "MapWorker" in " ".join(one.cmdline()))

    def finish(self, results: Path, running: dict[int, subprocess.Popen[bytes]]) -> None:
        while running[0].wait() != 0:
            running = self.begin(results)

    def files(self, results: Path) -> Iterator[str]:
        return (name for path in sorted(results.glob("*.parquet")) for name in parquet.read_table(path)["file"].to_pylist())


def _measured(run: Any, results: Path, answered: Callable[[], float], killed: str, count: int) -> dict[str, Any]:
    before, began, worked = answered(), time.monotonic(), _worked()
    running = run.begin(results)
    with _watched() as most:
        if killed != "nothing":
            serving.until(lambda: answered() - before >= count / 3, lambda: "it stands still")
        if killed == "a worker":
            run.worker(running).kill()
        elif killed == "everything":
            for process in running.values():
                for one in (*psutil.Process(process.pid).children(recursive=True), process):
                    one.kill()
        run.finish(results, running)
    seconds = time.monotonic() - began
    files = Counter(run.files(results))
    return {
        "seconds": round(seconds, 1),
        "cpu_seconds": round(_worked() - worked, 1),
        "most_mib": round(most[0] / 2**20),
        "lost": count - len(files),
        "doubled": files.total() - len(files),
        "asked_again": round(answered() - before) - count,
    }


def _worked() -> float:
    """CPU time of all descendants that have ended, seconds: without the service, which goes on."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@contextmanager
def _watched() -> Iterator[list[int]]:
    """The most memory that this process's descendants have held together, but for the service, bytes."""
    most, stop = [0], threading.Event()

    def look() -> None:
        while not stop.wait(0.3):
            total = 0
            for one in psutil.Process().children(recursive=True):
                try:
                    if "services.pod" not in one.cmdline():
                        total += one.memory_full_info().pss
                except psutil.Error:  # it has ended
                    continue
            most[0] = max(most[0], total)

    thread = threading.Thread(target=look)
    thread.start()
    yield most
    stop.set()
    thread.join()


@contextmanager
def _service(models: Path) -> Iterator[tuple[str, Callable[[], float]]]:
    """classify with a tiny model, so that the time is that of the engine; and how many photographs it has answered."""
    http, grpc = serving.free_ports(2)
    variables = {"MAQUETTE_HTTP_PORT": str(http), "MAQUETTE_GRPC_PORT": str(grpc), "MAQUETTE_MODELS": str(models)}
    process = _quiet(sys.executable, "-m", "services.pod", "classify", **variables)

    def page(path: str) -> httpx.Response | None:
        try:
            return httpx.get(f"http://127.0.0.1:{http}{path}", timeout=60)
        except httpx.TransportError:
            return None

    def answered() -> float:
        response = page("/metrics")
        assert response
        families = text_string_to_metric_families(response.text)
        return sum(s.value for family in families for s in family.samples if s.name == "maquette_items_total")

    try:
        serving.until(lambda: (ready := page("/readyz")) and ready.is_success, lambda: "the service does not start", process)
        yield f"127.0.0.1:{grpc}", answered
    finally:
        process.terminate()
        process.wait()


def _quiet(*command: str, **environment: str) -> subprocess.Popen[bytes]:
    log = subprocess.DEVNULL if not os.environ.get("BULK_LOG") else None
    everywhere = {"PYTHONPATH": str(settings.ROOT), "RAY_DATA_DISABLE_PROGRESS_BARS": "1"}
    return subprocess.Popen(command, cwd=settings.ROOT, env=os.environ | everywhere | environment, stdout=log, stderr=log)


def _photographs(folder: Path, count: int) -> Path:
    """Noise of 16 x 12 pixels drawn at 320 x 240: JPEGs of some 12 KB, no two alike."""
    for index in range(count):
        path = folder / f"{index % 30:02d}" / f"{index:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = Image.frombytes("RGB", (16, 12), os.urandom(16 * 12 * 3))
        noise.resize((320, 240), Image.Resampling.BICUBIC).save(path, quality=85)
    return folder


if __name__ == "__main__":
    typer.run(main)
