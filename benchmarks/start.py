"""How long `make serve` takes until all four services answer, and what each holds in memory then.

python -m benchmarks.start --runs 3
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from typing import Annotated

import psutil
import typer

from benchmarks.memory import mebibytes
from services.common import models, settings


def main(runs: Annotated[int, typer.Option(help="starts of which the median is told")] = 3) -> None:
    """Start and stop the four services, and print seconds and resident MiB."""
    seconds, memory = [], dict[str, list[float]]()
    mask_model = str(models.latest(settings.load().models, "remove_background"))
    environment = {"MAQUETTE_MASK_MODEL": mask_model, **os.environ}
    for _ in range(runs):
        started = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "services"],
            cwd=settings.ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert process.stdout
        lines = [process.stdout.readline() for _ in settings.SERVICES]
        if not all(lines):
            raise SystemExit("a service did not start: run `python -m services` to see why")
        seconds.append(time.monotonic() - started)
        for child in psutil.Process(process.pid).children(recursive=True):
            memory.setdefault(child.cmdline()[-1], []).append(mebibytes(pid=child.pid))
        process.terminate()
        process.wait()
    print(f"all four ready after {statistics.median(seconds):.1f} s (median of {runs})")
    for name, values in sorted(memory.items()):
        print(f"{name}: {statistics.median(values):.0f} MiB")


if __name__ == "__main__":
    typer.run(main)
