"""Two families of tiny pictures (warm bands, cool checks) and settings that train on them in seconds."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

# Keras reads the backend's name once, at import.
pytest.importorskip("tensorflow")

from training.cluster_assign.config import PAPER, Config

TINY = dataclasses.replace(
    PAPER,
    size=32,
    filters=(4, 8, 8),
    embedding=4,
    pretrain_epochs=6,
    batch=8,
    learning_rate=5e-3,
    update_interval=5,
    max_iterations=40,
    kmeans_restarts=3,
    checkpoint_epochs=2,
)
FAMILIES = ("warm", "cool")


@pytest.fixture(scope="session")
def works(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 PNG files in two folders named after their family, and ``labels.csv`` beside them."""
    folder = tmp_path_factory.mktemp("works")
    rng = np.random.default_rng(5)
    rows = ["file,label"]
    for family in FAMILIES:
        (folder / family).mkdir()
        for index in range(12):
            picture(family, rng).save(folder / family / f"{index:02}.png")
            rows.append(f"{family}/{index:02}.png,{family}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


def picture(family: str, rng: np.random.Generator) -> Image.Image:
    """40 x 40 RGB: horizontal bands of orange, or a checkerboard of blues, with noise and a random phase."""
    y, x = np.mgrid[:40, :40] + rng.integers(0, 10)
    pattern = (y // 5) % 2 if family == "warm" else (y // 4 + x // 4) % 2
    colour = np.array([230, 140, 40] if family == "warm" else [40, 90, 200])
    pixels = colour * (0.5 + 0.5 * pattern[..., None]) + rng.normal(0, 12, (40, 40, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="session")
def tiny() -> Config:
    return TINY
