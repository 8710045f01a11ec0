"""How long a collection of the paper's size takes to learn, and one of 10,000 works to be mapped: wall seconds.

    python -m benchmarks.cluster --pictures data/paintings_masters --json benchmarks/results/cluster.json

The collections are crops of the pictures given, each with its own place, size and side, none twice; squares of 256 pixels as
JPEG. Training is ``training.cluster_assign.train`` from the folder to the run, nothing cached, the default budget. Mapping is
``maquette cluster FOLDER -o REPORT`` from the folder to the table and the page, asking a service that was started for it. Both
run as a user starts them, in processes of their own, on as many cores as they are given.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import psutil
import typer
from PIL import Image, ImageOps
from tqdm import tqdm

from benchmarks.serving import cpu, served
from services.common import settings
from training.common import photographs

SIDE = 256


def main(
    pictures: Annotated[Path, typer.Option(help="folder of pictures that the collections are cut from")],
    train: Annotated[int, typer.Option(help="works to learn; 0 leaves it out; the paper has 8,446", min=0)] = 8446,
    assign: Annotated[int, typer.Option(help="works to map; 0 leaves it out", min=0)] = 10_000,
    output: Annotated[Path | None, typer.Option("--json", help="also write the figures here")] = None,
) -> None:
    """Time both, print a line for each, and write the figures with the machine they come from."""
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        works = Path(scratch, "works")
        if train:
            cut(pictures, works, train)
            run = Path(scratch, "run")
            command = [sys.executable, "-m", "training.cluster_assign.train", "--data", str(works), "--out", str(run)]
            rows.append({"what": "train", "works": train, "seconds": _timed(command), **_budget(run)})
            print(json.dumps(rows[-1]), flush=True)
        if assign:
            cut(pictures, works, assign)
            report = Path(scratch, "report")
            with served("cluster_assign"):
                command = [sys.executable, "-m", "maquette", "cluster", str(works), "-o", str(report)]
                rows.append({"what": "assign", "works": assign, "seconds": _timed(command)})
            # The page holds every work, or the seconds mean nothing.
            answered = len((report / "works.csv").read_text(encoding="utf-8").splitlines()) - 1
            page = (report / "map.html").stat().st_size / 2**20
            rows[-1] |= {"answered": answered, "page_mib": round(page, 1)}
            print(json.dumps(rows[-1]), flush=True)
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        machine = {"cpu": cpu(), "threads": len(psutil.Process().cpu_affinity()), "python": platform.python_version()}
        output.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")


def cut(pictures: Path, folder: Path, count: int) -> None:
    """``count`` crops in ``folder``, in turn from every picture below ``pictures``; those that are there already are kept."""
    sources = photographs.find(pictures)
    if not sources:
        raise typer.BadParameter(f"{pictures}: no picture below it")
    folder.mkdir(parents=True, exist_ok=True)
    for index in tqdm(range(count), desc="cutting", unit="work", disable=None):
        path = folder / f"{index:05}.jpg"
        if path.exists():
            continue
        rng = np.random.default_rng(index)
        with Image.open(sources[index % len(sources)]) as opened:
            picture = opened.convert("RGB")
        side = int(min(picture.size) * rng.uniform(0.5, 1.0))
        left, top = (int(rng.integers(0, edge - side + 1)) for edge in picture.size)
        crop = picture.crop((left, top, left + side, top + side)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        (ImageOps.mirror(crop) if rng.random() < 0.5 else crop).save(path, quality=90)


def _timed(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, cwd=settings.ROOT, check=True)
    return round(time.perf_counter() - started, 1)


def _budget(run: Path) -> dict[str, Any]:
    """What the seconds bought: epochs of pre-training, and k, iterations and convergence of clustering."""
    with np.load(run / "result.npz") as result:
        facts = {"k": result["q"].shape[1], "iterations": int(result["iterations"]), "converged": bool(result["converged"])}
    return {"epochs": len((run / "pretrain" / "history.jsonl").read_text().splitlines()), **facts}


if __name__ == "__main__":
    typer.run(main)
