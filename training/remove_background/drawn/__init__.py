"""Masks drawn by hand on photographs that may not be passed on: lines as text, the mask made of photograph and lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from services.common import images

# Smaller than this share of the picture: a highlight in the bronze, a bird in the sky.
SPECK = 0.0003


def masks(folder: Path) -> Iterator[tuple[Path, np.ndarray]]:
    """The frames of the sequence ``folder`` that a file of this package's speaks of, each with its mask bool [h, w]."""
    drawing = json.loads((Path(__file__).parent / f"{folder.name}.json").read_text(encoding="utf-8"))
    for stem, frame in drawing["frames"].items():
        path = folder / f"{stem}.jpg"
        pixels = images.decode(path.read_bytes(), images.Limits(), images.Frame.DISPLAY).pixels
        if "outline" in frame:
            yield path, within(pixels.shape[:2], frame["outline"])
        else:
            yield path, mask(pixels, drawing["sky_red"], frame["columns"], frame["ground"])


def within(size: tuple[int, int], outline: list[list[float]]) -> np.ndarray:
    """(height, width) and the corners (x, y) of a closed line -> bool [h, w]."""
    found = np.zeros(size, np.uint8)
    cv2.fillPoly(found, [np.round(outline).astype(np.int32)], 1)
    return found > 0


def mask(pixels: images.RGB, sky_red: float, columns: list[int], ground: list[list[float]]) -> np.ndarray:
    """uint8 RGB [h, w, 3] -> bool [h, w]: above the line ``ground`` of (x, y), between two columns, less red than the sky."""
    height, width = pixels.shape[:2]
    x, y = zip(*ground, strict=True)
    above = np.arange(height)[:, None] + 0.5 < np.interp(np.arange(width) + 0.5, x, y)[None]
    above[:, : columns[0]] = above[:, columns[1] :] = False
    found = above & (pixels[..., 0] < sky_red)
    for value in (True, False):
        # First islands are dropped, then holes filled.
        count, regions, facts, _ = cv2.connectedComponentsWithStats((found == value).astype(np.uint8), connectivity=4)
        small = np.arange(count)[facts[:, cv2.CC_STAT_AREA] < SPECK * found.size]
        found[np.isin(regions, small[small > 0])] = not value
    return found & above
