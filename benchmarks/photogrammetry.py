"""What the service's masks do to a reconstruction: Table 3 of Bici et al. 2023, with COLMAP and a truth to measure against.

    python -m benchmarks.photogrammetry --scan data/sculpture_scans/Athena.glb --backgrounds data/backgrounds --out OUT

Renders a walk around a scan in a furnished room, asks the service as shipped for masks by ``maquette mask --for colmap``, and
reconstructs three times: without masks, with the service's, and with the renderer's, which are perfect and so the limit. Writes
OUT/report: the table as Markdown, everything as JSON, the clouds as a picture. Stopped at any time it goes on where it was; a
new version of the model, given the same OUT, makes only its masks and its column anew.

Depth maps and meshes, the later rows of the paper's table, are not made: COLMAP computes them on GPUs alone.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image
from tqdm import tqdm

from benchmarks import photogrammetry_report as report
from benchmarks.serving import cpu, served
from services.common import models, settings
from training.common import runs
from training.remove_background import measures

STEPS = ("features", "matching", "mapping", "cloud")


def main(
    scan: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, resolve_path=True, help="a scan that the mask model was not trained on")
    ],
    out: Annotated[Path, typer.Option(file_okay=False, resolve_path=True, help="everything is kept here")],
    backgrounds: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, resolve_path=True, help="pictures for the walls")
    ] = None,
    views: Annotated[int, typer.Option(min=3)] = 60,
    size: Annotated[int, typer.Option(min=64, help="width of a photograph in pixels; 4000 is 12 MP")] = 1024,
    material: Annotated[str, typer.Option(help="of the sculpture, as `training.render turntable` has them")] = "limestone",
    again: Annotated[bool, typer.Option(help="make the service's masks and their column anew: its code has changed")] = False,
    seed: int = 2,
) -> None:
    """Render, mask, reconstruct, compare; see the module's docstring."""
    threads = len(os.sched_getaffinity(0))
    facts = {"scan": scan.stem, "views": views, "size": size, "material": material, "seed": seed, "threads": threads}
    try:
        runs.open_run(out, {**facts, "pycolmap": version("pycolmap"), "backgrounds": bool(backgrounds)})
    except runs.RunError as error:
        raise SystemExit(str(error)) from error
    scene = out / "scene"
    render(scene, scan, backgrounds, views, size, material, seed)
    chosen = settings.load()
    release = chosen.model_version or models.latest(chosen.models, "remove_background").name
    perfect, ours = out / "masks" / "perfect", out / "masks" / release
    if again:
        for stale in (out / f"masked_{release}", ours):
            shutil.rmtree(stale, ignore_errors=True)
        ours.with_name(f"{release}.json").unlink(missing_ok=True)
    link(scene / "masks", perfect)
    mask(scene / "images", ours)
    columns: dict[str, tuple[str, Path | None]] = {
        "without masks": ("unmasked", None),
        "our masks": (f"masked_{release}", ours),
        "perfect masks": ("masked_perfectly", perfect),
    }
    work = [(folder, step, masks) for folder, masks in columns.values() for step in STEPS]
    for folder, step, masks in (bar := tqdm(work, unit="step")):
        bar.set_postfix_str(f"{folder} {step}")
        reconstruct(step, scene, out / folder, masks, threads, seed)
    found = {name: report.column(out / folder) for name, (folder, _) in columns.items()}
    found["our masks"]["masks"] = json.loads((out / "masks" / f"{release}.json").read_text()) | agreement(ours, perfect)
    record = {
        "command": runs.command("benchmarks.photogrammetry"),
        **facts,
        "height": round(size * 0.75),
        "model_version": release,
        "pycolmap": version("pycolmap"),
        "machine": {"cpu": cpu(), "python": platform.python_version()},
        "columns": found,
        "targets": report.targets(found, views),
    }
    runs.write_json(out / "report" / "photogrammetry.json", record)
    text = f"{report.table(found, views)}\n{report.verdict(record)}"
    with runs.whole(out / "report" / "photogrammetry.md") as path:
        path.write_text(text, encoding="utf-8")
    report.picture({name: out / folder for name, (folder, _) in columns.items()}, scene, out / "report" / "photogrammetry.png")
    typer.echo(text)


def render(scene: Path, scan: Path, backgrounds: Path | None, views: int, size: int, material: str, seed: int) -> None:
    """The photographs, unless they are there; a process of its own, as all the renderer's are."""
    command = [sys.executable, "-m", "training.render", "turntable", "--scan", scan, "--out", scene, "--views", views]
    command += ["--size", size, "--material", material, "--seed", seed]
    command += ["--backgrounds", backgrounds] if backgrounds else []
    run(command)


def link(masks: Path, to: Path) -> None:
    """The renderer's masks under COLMAP's names."""
    to.mkdir(parents=True, exist_ok=True)
    for path in masks.glob("*.png"):
        name = to / f"{path.stem}.jpg.png"
        if not name.exists():
            name.symlink_to(path.resolve())


def mask(images: Path, to: Path) -> None:
    """The service's masks, by its own client; ``to``.json says in which time. Kept when they are all there."""
    done = to.with_name(f"{to.name}.json")
    if done.exists():
        return
    http, grpc = free_ports(2)
    with served("remove_background", MAQUETTE_HTTP_PORT=str(http), MAQUETTE_GRPC_PORT=str(grpc)):
        began = time.perf_counter()
        command = [
            sys.executable,
            "-m",
            "maquette",
            "mask",
            images,
            "-o",
            to,
            "--for",
            "colmap",
            "--no-sheet",
            "--overwrite",
            "--replace-mine",
        ]
        run([*command, "--server", f"127.0.0.1:{grpc}", "--report", to.with_name(f"{to.name}.jsonl")])
        runs.write_json(done, {"seconds": time.perf_counter() - began})


def reconstruct(step: str, scene: Path, out: Path, masks: Path | None, threads: int, seed: int) -> None:
    """One step of one column, unless it was done."""
    if (out / f"{step}.json").exists():
        return
    out.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "benchmarks.colmap", step, "--scene", scene, "--out", out, "--threads", threads]
    command += ["--seed", seed, *(["--masks", masks] if masks else [])]
    with (out / f"{step}.log").open("w") as log:
        if subprocess.run([str(part) for part in command], cwd=settings.ROOT, stderr=log, stdout=log).returncode:
            raise SystemExit(f"{out.name} {step} failed; {log.name} says why")


def agreement(masks: Path, truth: Path) -> dict[str, float]:
    """Dice of the masks with the perfect ones: mean and lowest of all photographs."""
    values = []
    for path in sorted(truth.glob("*.png")):
        with Image.open(path) as right, Image.open(masks / path.name) as made:
            a, b = (np.asarray(image.convert("L")) > 127 for image in (right, made))
        values.append(measures.dice(b, a))
    return {"dice_mean": float(np.mean(values)), "dice_lowest": float(np.min(values))}


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on at this moment."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def run(command: list[object]) -> None:
    """From the project's root; its failure ends this command too, having said why itself."""
    if status := subprocess.run([str(part) for part in command], cwd=settings.ROOT).returncode:
        raise SystemExit(status)


if __name__ == "__main__":
    typer.run(main)
