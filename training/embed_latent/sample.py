"""Drawn figurines: pictures that may be distributed, for golden answers and tests."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

CLAY = {"terracotta": (176, 96, 62), "buff": (196, 164, 120), "dark": (84, 70, 62)}


def figurine(size: tuple[int, int], rng: np.random.Generator, clay: str = "terracotta", seated: bool = False) -> Image.Image:
    """A clay figure before faded paper, RGB of ``size`` = (width, height), standing or seated, of its own build and paint."""
    width, height = size
    fade = np.linspace(rng.uniform(120, 200), rng.uniform(200, 245), height)[:, None, None]
    image = Image.fromarray(np.broadcast_to(fade, (height, width, 3)).astype(np.uint8).copy())
    pen = ImageDraw.Draw(image)
    colour = tuple(int(np.clip(value + rng.normal(0, 8), 0, 255)) for value in CLAY[clay])
    shade = tuple(int(value * 0.7) for value in colour)
    middle, unit = width / 2 + rng.normal(0, 0.02 * width), 0.11 * min(width, height) * rng.uniform(0.8, 1.2)
    head, hip = rng.uniform(0.2, 0.3) * height, rng.uniform(*((0.64, 0.72) if seated else (0.54, 0.62))) * height
    foot = (0.82 if seated else 0.9) * height

    def oval(x: float, y: float, a: float, b: float, fill: tuple[int, ...]) -> None:
        pen.ellipse((x - a, y - b, x + a, y + b), fill=fill)

    for side in (-1, 1):
        stride = (2.1 if seated else 0.8) * unit
        pen.line((middle + side * 0.5 * unit, hip, middle + side * stride, foot), fill=shade, width=round(0.9 * unit))
        shoulder, hand = (middle + side * unit, 0.4 * height), rng.uniform(-0.2, 0.2) * height  # arm raised or hanging
        pen.line((*shoulder, middle + side * 2.2 * unit, shoulder[1] + hand), fill=shade, width=round(0.6 * unit))
    oval(middle, (head + hip) / 2 + 0.4 * unit, rng.uniform(1.1, 1.7) * unit, (hip - head) / 1.9, colour)
    for _ in range(7):
        x, y = middle + rng.uniform(-1, 1) * unit, rng.uniform(head + 1.2 * unit, hip)
        oval(x, y, rng.uniform(0.2, 0.8) * unit, rng.uniform(0.2, 0.8) * unit, tuple(rng.integers(10, 245, 3).tolist()))
    oval(middle, head, 1.1 * unit, 1.2 * unit, colour)
    for side in (-1, 1):
        oval(middle + side * 0.4 * unit, head - 0.1 * unit, 0.18 * unit, 0.1 * unit, shade)
    pen.line((middle, head, middle, head + 0.4 * unit), fill=shade, width=max(1, round(0.15 * unit)))
    crown = (middle - 1.2 * unit, head - 1.3 * unit, middle + 1.2 * unit, head + 1.1 * unit)
    pen.arc(crown, 200, 340, fill=shade, width=round(0.3 * unit))
    grain = rng.normal(0, 5, (height, width, 1))
    return Image.fromarray(np.clip(np.asarray(image.filter(ImageFilter.GaussianBlur(1))) + grain, 0, 255).astype(np.uint8))


def picture(seed: int = 0) -> bytes:
    """One drawn figurine as a JPEG file."""
    buffer = io.BytesIO()
    figurine((240, 320), np.random.default_rng(seed)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
