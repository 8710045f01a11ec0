"""What `maquette.batch.job collect` takes for a million photographs, whose tiny records lie in parts as the shards write them.

    python -m benchmarks.merge --json benchmarks/results/merge.json

The most memory is the kernel's figure of the process that collects, and the list of all names that a shard begins with is
measured beside it. It ends with status 1 above 2 GiB, or when a record is lost or doubled.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from maquette.batch import parts
from maquette.batch.store import Store
from services.common import settings

MOST_MIB = 2048
# VmHWM, for ru_maxrss begins with what the parent held.
_RUN = """
import runpy
from benchmarks.memory import mebibytes
try:
    runpy.run_module("maquette.batch.job", run_name="__main__")
finally:
    print(round(mebibytes("VmHWM")))
"""
_LIST = """
import sys
from benchmarks.memory import mebibytes
from maquette.batch.job import _photographs
from maquette.batch.store import Store
class Names(Store):
    def is_folder(self): return True
    def names(self, folder=""): return [f"{i % 1000:03d}/{i:07d}.jpg" for i in range(int(sys.argv[1]))]
names = _photographs(Names("memory://photographs"), Store("memory://results"))
print(round(mebibytes("VmHWM")))
"""


def main(
    count: int = 1_000_000,
    shards: int = 64,
    part_size: int = 256,
    output: Annotated[Path | None, typer.Option("--json", help="also write the figures here")] = None,
) -> None:
    """Write the parts, collect them, print the figures, and write them."""
    with tempfile.TemporaryDirectory() as scratch:
        files = _parts(Path(scratch), count, shards, part_size)
        began = time.monotonic()
        words = [sys.executable, "-c", _RUN, "collect", scratch, "--shards", str(shards)]
        done = subprocess.run(words, cwd=settings.ROOT, check=True, capture_output=True, text=True)
        seconds = time.monotonic() - began
        previous, lines = "", 0
        with Path(scratch, "records.jsonl").open() as stream:
            for line in stream:
                name = json.loads(line)["file"]
                assert name > previous, f"{name} after {previous}"
                previous, lines = name, lines + 1
    listing = subprocess.run(
        [sys.executable, "-c", _LIST, str(count)], cwd=settings.ROOT, check=True, capture_output=True, text=True
    )
    figures = {"photographs": count, "shards": shards, "parts": files, "seconds": round(seconds, 1)}
    figures |= {"collect_mib": int(done.stdout), "listing_mib": int(listing.stdout), "records": lines}
    print(json.dumps(figures))
    if output:
        output.write_text(json.dumps(figures, indent=1) + "\n")
    raise typer.Exit(int(lines != count or max(figures["collect_mib"], figures["listing_mib"]) > MOST_MIB))


def _parts(folder: Path, count: int, shards: int, part_size: int) -> int:
    """The parts and markers that the shards leave: of each photograph a record of some 300 bytes."""
    store, shared = Store(str(folder)), [[] for _ in range(shards)]
    for index in range(count):
        name = f"{index % 1000:03d}/{index:07d}.jpg"
        shared[parts.shard_of(name, shards)].append(name)
    (folder / "parts").mkdir()
    (folder / "finished").mkdir()
    files = 0
    for index, names in enumerate(shared):
        names.sort()
        for start in range(0, len(names), part_size):
            path = folder / "parts" / f"{parts.prefix(index, shards)}-{start:012x}.jsonl"
            path.write_bytes(b"".join(parts.encoded(_record(name)) for name in names[start : start + part_size]))
            files += 1
        with store.whole(f"finished/{parts.prefix(index, shards)}.json", "unfinished") as stream:
            stream.write(parts.encoded({"photographs": len(names), "listing": ""}))
    return files


def _record(name: str) -> dict[str, object]:
    digest = hashlib.sha256(name.encode()).hexdigest()
    predictions = [{"label": label, "name": label.title(), "probability": 1 / 3} for label in ("bust", "relief", "statue")]
    return {"file": name, "sha256": digest, "predictions": predictions, "model_version": "0.2.0"}


if __name__ == "__main__":
    typer.run(main)
