"""Measure a photograph and its mask as they lie on disk: what a contact sheet shows, and what tells an outlier.

Coverage and contact with the frame are measured on the mask's own pixels, so that one corrected by hand is judged as it
is now; uncertainty, which only the service knows, is read from the text chunk of a mask that nobody corrected.
"""

from __future__ import annotations

import io
import math
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageFilter

from maquette.folders.photographs import Photograph
from maquette.maps.thumbnails import UNREADABLE, UPRIGHT, small
from maquette.masks import png

THUMBNAIL = 240  # pixels of the longer side
_OUTLINE = (255, 214, 10)


@dataclass(frozen=True, slots=True)
class Moments:
    """What the moments of a mask say of its shape: ``spread`` is the logarithm of Hu's first invariant (-1.84 for a disc, more
    for a stretched or scattered region), ``elongation`` 0 for a disc to 1 for a line (from the second).

    Source: Hu, Visual pattern recognition by moment invariants, 1962, section IV.
    """

    spread: float
    elongation: float


@dataclass(frozen=True, slots=True)
class Measurement:
    """One photograph and its mask. ``coverage`` is None when there is no mask that can be read; ``problem`` says why.

    ``thumbnail`` is a JPEG, upright, of the photograph with all but the object dimmed; empty when it cannot be shown.
    ``edges`` are those of the upright picture; ``taken`` is EXIF's date and time, empty where there is none.
    ``corrected``: the mask is a person's.
    """

    photograph: Photograph
    target: Path | None
    thumbnail: bytes = b""
    coverage: float | None = None
    edges: tuple[str, ...] = ()
    moments: Moments | None = None
    uncertainty: float | None = None
    model_version: str = ""
    taken: str = ""
    problem: str = ""
    corrected: bool = False

    def failing(self, reason: str) -> Measurement:
        """The same without what a mask would tell, and why there is none."""
        return Measurement(self.photograph, self.target, self.thumbnail, taken=self.taken, problem=reason)


def measure(photograph: Photograph, target: Path | None, *, alpha: bool = False, upright: bool = False) -> Measurement:
    """Measure both files. ``alpha``: the mask is the target's alpha channel; ``upright``: it is in the display's frame."""
    found = Measurement(photograph, target)
    picture: Image.Image | None = None
    orientation, size = 1, None
    try:
        picture, orientation, size, taken = small(photograph.path, THUMBNAIL)
        found = replace(found, taken=taken)
    except UNREADABLE:
        found = replace(found, problem="the photograph cannot be shown")
    try:
        if target is None or not target.is_file():
            return replace(found, problem="no mask", thumbnail=_jpeg(picture))
        if not png.is_whole(target):
            return replace(found, problem="the mask is not whole", thumbnail=_jpeg(picture))
        facts = png.owned(target)
        mask = _mask(target, alpha)
    except UNREADABLE:
        return replace(found, problem="the mask cannot be read", thumbnail=_jpeg(picture))
    if size and mask.size != size and (orientation < 5 or mask.size != size[::-1]):
        problem = f"the mask has {mask.width} x {mask.height} pixels, the photograph {size[0]} x {size[1]}"
        found = replace(found, problem=problem)
    turn = None if upright else UPRIGHT.get(orientation)
    shrunk = mask.resize(_small(mask.size), Image.Resampling.BOX)
    shrunk = shrunk.transpose(turn) if turn is not None else shrunk
    report: dict[str, Any] = (facts or {}).get("report", {})
    return replace(
        found,
        thumbnail=_jpeg(_overlay(picture, shrunk)),
        coverage=mask.histogram()[255] / (mask.width * mask.height),
        edges=_edges(mask, turn),
        moments=_moments(np.asarray(shrunk, np.float64) / 255),
        uncertainty=report.get("uncertainty"),
        model_version=str((facts or {}).get("model_version", "")),
        corrected=facts is None,
    )


def _mask(path: Path, alpha: bool) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(path) as opened:
            grey = opened.getchannel("A") if alpha and "A" in opened.getbands() else opened.convert("L")
    return grey.point([0] * 128 + [255] * 128)


def _small(size: tuple[int, int]) -> tuple[int, int]:
    factor = THUMBNAIL / max(size)
    return (max(1, round(size[0] * factor)), max(1, round(size[1] * factor))) if factor < 1 else size


def _edges(mask: Image.Image, turn: Image.Transpose | None) -> tuple[str, ...]:
    """Which edges of the upright picture the object touches."""
    width, height = mask.size
    strips = {
        (1, 0): (0, 0, width, 1), (2, 1): (width - 1, 0, width, height),
        (1, 2): (0, height - 1, width, height), (0, 1): (0, 0, 1, height),
    }  # fmt: skip
    rose = Image.new("L", (3, 3))  # the four edges as a picture, which turns as the photograph does
    for place, box in strips.items():
        rose.putpixel(place, 255 if mask.crop(box).getbbox() else 0)
    rose = rose.transpose(turn) if turn is not None else rose
    names = {(1, 0): "top", (2, 1): "right", (1, 2): "bottom", (0, 1): "left"}
    return tuple(name for place, name in names.items() if rose.getpixel(place))


def _moments(weights: npt.NDArray[np.float64]) -> Moments | None:
    """From float64 [height, width] in 0-1; None for an empty mask."""
    area = float(weights.sum())
    if area < 1:
        return None
    rows, columns = np.indices(weights.shape)
    y, x = rows - (rows * weights).sum() / area, columns - (columns * weights).sum() / area
    # Each pixel is a square, not a point: hence the twelfths, which keep a single one from being infinitely compact.
    xx = ((x * x + 1 / 12) * weights).sum() / area**2
    yy = ((y * y + 1 / 12) * weights).sum() / area**2
    xy = (x * y * weights).sum() / area**2
    return Moments(math.log(xx + yy), math.hypot(xx - yy, 2 * xy) / (xx + yy))


def _overlay(picture: Image.Image | None, mask: Image.Image) -> Image.Image:
    if picture is None:
        return mask.convert("RGB")
    # Blue and dark, yet still to be seen: what was cut off by mistake must be recognised.
    outside = Image.blend(picture, Image.new("RGB", picture.size, (30, 20, 110)), 0.72)
    inside = mask.convert("L").resize(picture.size, Image.Resampling.BILINEAR)
    shown = Image.composite(picture, outside, inside)
    sharp = inside.point([0] * 128 + [255] * 128)
    shown.paste(_OUTLINE, mask=ImageChops.subtract(sharp.filter(ImageFilter.MaxFilter(3)), sharp))
    return shown


def _jpeg(picture: Image.Image | None) -> bytes:
    if picture is None:
        return b""
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=72)
    return stream.getvalue()
