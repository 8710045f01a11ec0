"""A second look: of a large photograph whose object fills a small part, the model is asked again about that part alone.

The model sees few pixels. Of a statue that stands in a tenth of 12 MP it sees a hundred by a hundred; asked about the part
around the statue, three times as many each way. Why, and by how much it helps: docs/decisions/0009-second-look.md.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from services.common import images
from services.remove_background.refine import REACH, Grey, Part, Probability

# Chosen on renders of held-out scans: docs/decisions/0009-second-look.md has the table.
MARGIN = 0.2  # around the object, in its own heights and widths; never less than the band that edges are sought in
LEAST_GAIN = 4 / 3  # times as many pixels each way must the second look show, of those the photograph has
TRUST = 2 / 3  # weight of the second look in the mean of both


def part(probability: Probability, threshold: float, pixels: images.RGB, *, scarce: bool = False) -> Part | None:
    """Rows and columns of ``pixels`` [H, W, 3] around all that ``probability`` [h, w] takes for object; None where there is
    nothing, or a second look would show the model little more than the first. ``scarce``: also where the photograph has no more
    pixels to show; what a person has marked is told apart better when it is large.
    """
    inside = probability >= threshold
    if not inside.any():
        return None
    sides = []
    for axis, most in ((1, pixels.shape[0]), (0, pixels.shape[1])):
        found = np.flatnonzero(inside.any(axis))
        scale, margin = most / inside.shape[1 - axis], max(REACH, MARGIN * (found[-1] + 1 - found[0]))
        sides.append(
            slice(max(0, math.floor((found[0] - margin) * scale)), min(most, math.ceil((found[-1] + 1 + margin) * scale)))
        )
    rows, columns = sides
    area = math.prod(side.stop - side.start for side in sides)
    gain = math.sqrt(math.prod(pixels.shape[:2]) / max(area, 1 if scarce else probability.size))
    return (rows, columns) if gain >= LEAST_GAIN else None


def joined(first: Probability, second: Probability, where: Part, size: tuple[int, ...]) -> Probability:
    """Both answers about the part ``where`` of a picture of ``size`` = (height, width), on the second's grid."""
    (rows, columns), (down, across) = where, (s / n for s, n in zip(first.shape, size, strict=True))
    box = (columns.start * across, rows.start * down, columns.stop * across, rows.stop * down)
    before = Image.fromarray(first).resize(second.shape[::-1], Image.Resampling.BILINEAR, box=box)
    return (1 - TRUST) * np.asarray(before) + TRUST * second


def placed(level: Grey, where: Part, size: tuple[int, ...]) -> Grey:
    """``level`` [h, w] of the part ``where``, stretched to its place in an array of ``size`` that is 0 elsewhere."""
    whole = np.zeros(size, np.uint8)
    height, width = whole[where].shape
    whole[where] = np.asarray(Image.fromarray(level).resize((width, height), Image.Resampling.BILINEAR))
    return whole
