"""A small museum: drawn shapes of three kinds, each photograph a work of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw


def draw(kind: str, seed: int) -> Image.Image:
    """A disc, a ring or stripes, of random place, size and colour on a light ground."""
    random = np.random.default_rng(seed)
    picture = Image.new("RGB", (96, 80), tuple(int(value) for value in random.integers(190, 256, 3)))
    pen = ImageDraw.Draw(picture)
    colour = tuple(int(value) for value in random.integers(0, 140, 3))
    x, y, radius = (int(value) for value in random.integers((30, 30, 16), (66, 50, 28)))
    if kind == "stripes":
        for offset in range(0, 2 * radius, 6):
            pen.rectangle((x - radius, y - radius + offset, x + radius, y - radius + offset + 2), fill=colour)
    else:
        pen.ellipse(
            (x - radius, y - radius, x + radius, y + radius), fill=None if kind == "rings" else colour, outline=colour, width=3
        )
    return picture


@pytest.fixture(scope="session")
def museum(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three folders of ten photographs."""
    root = tmp_path_factory.mktemp("museum")
    for number, kind in enumerate(("discs", "rings", "stripes")):
        (root / kind).mkdir()
        for index in range(10):
            draw(kind, 100 * number + index).save(root / kind / f"{index}.png")
    return root
