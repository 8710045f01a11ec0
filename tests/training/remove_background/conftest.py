"""A world of discs on noise, small enough to learn in seconds, and one run of the real command line on it."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[3]
SIDE = 80


def disc(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A bright disc on dark noise, and its mask."""
    y, x = np.mgrid[:SIDE, :SIDE]
    centre, radius = rng.uniform(25, SIDE - 25, 2), rng.uniform(12, 24)
    mask = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < radius**2
    pixels = rng.integers(0, 90, (SIDE, SIDE, 3))
    pixels[mask] = rng.integers(150, 255, 3)
    return pixels.astype(np.uint8), (mask * 255).astype(np.uint8)


def write_pairs(folder: Path, count: int, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for i in range(count):
        for kind, pixels in zip(("images", "masks"), disc(rng), strict=True):
            Image.fromarray(pixels).save(folder / kind / f"disc{i:02d}.png")
    return folder


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """renders/ with index.csv (two trained scans, one held, an empty scene), pairs/, cutouts/ and backgrounds/."""
    root = tmp_path_factory.mktemp("discs")
    write_pairs(root / "pairs", 12, seed=1)
    write_pairs(root / "photographs", 12, seed=3)
    write_pairs(root / "renders", 10, seed=2)
    with (root / "renders" / "index.csv").open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["file", "mask", "scan"])
        for i, scan in enumerate(["Nymph"] * 4 + ["LionStatue"] * 3 + ["Nymph+LionStatue", "", ""]):
            rows.writerow([f"images/disc{i:02d}.png", f"masks/disc{i:02d}.png", scan])
            if not scan:
                Image.new("L", (SIDE, SIDE)).save(root / "renders" / "masks" / f"disc{i:02d}.png")
    rng = np.random.default_rng(4)
    for i in range(12):
        pixels, mask = disc(rng)
        for folder, image in (
            ("cutouts", Image.fromarray(np.dstack([pixels, mask]))),
            ("backgrounds", Image.fromarray(rng.integers(0, 90, (SIDE, SIDE, 3)).astype(np.uint8))),
        ):
            (root / folder).mkdir(exist_ok=True)
            image.save(root / folder / f"{i}.png")
    return root


def start(world: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    """The training command on the discs; on the torch backend, which starts faster than TensorFlow's and is to work as well."""
    recipe = world / "recipe.toml"
    recipe.write_text(
        'pairs = ["pairs"]\nbackgrounds = ["backgrounds"]\n[settings]\nsize = 64\nbatch = 6\nepochs = 2\nsteps = 6\n'
        "warmup = 2\nlearning_rate = 1e-3\n"
    )
    command = [sys.executable, "-m", "training.remove_background.train", "--out", str(out), "--recipe", str(recipe)]
    command += ["--data", str(world), "--renders", str(world / "renders"), "--photographs", str(world / "photographs")]
    command += ["--cutouts", str(world / "cutouts"), "--cache", str(world / "cache"), *more]
    environment = {**os.environ, "KERAS_BACKEND": "torch", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.fixture(scope="session")
def run(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    process = start(world, out)
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 0, said
    return out
