"""Views of a figurine that differ in all that does not make it Colima or Nayarit: wall, frame, light and side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageEnhance

from training.embed_latent import background

BACKDROPS = {"keep": None, "white": 255, "grey": 128, "black": 0}


def plain(pixels: np.ndarray, mask: np.ndarray, side: int, backdrop: str = "keep") -> np.ndarray:
    """uint8 [s, s, 3] -> uint8 [side, side, 3], as served, with the background kept or laid flat (:data:`BACKDROPS`)."""
    level = BACKDROPS[backdrop]
    if level is not None:
        pixels = background.replace(pixels, mask, np.full(3, level, np.uint8))
    return _square(pixels, side)


def plains(pixels: np.ndarray, masks: np.ndarray, side: int, backdrop: str = "keep") -> np.ndarray:
    """:func:`plain` over n photographs -> uint8 [n, side, side, 3]."""
    return np.stack([plain(*pair, side, backdrop) for pair in zip(pixels, masks, strict=True)])


def view(pixels: np.ndarray, mask: np.ndarray, side: int, rng: np.random.Generator, replaced: float) -> np.ndarray:
    """A random view, uint8 [side, side, 3].

    With probability ``replaced`` the background is another and the figure is reframed in it; else the photograph keeps its own
    and is cropped or padded a little. Either may be mirrored, tilted, and lit otherwise.
    """
    if rng.random() < replaced:
        picture = _reframed(pixels, mask, side, rng)
    else:
        margin = round(0.12 * len(pixels))
        padded = np.pad(pixels, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
        length = round(len(pixels) * rng.uniform(0.8, 1.1))
        top, left = rng.integers(0, len(padded) - length + 1, 2)
        picture = _square(padded[top : top + length, left : left + length], side)
    if rng.random() < 0.5:
        picture = picture[:, ::-1]
    image = Image.fromarray(np.ascontiguousarray(picture))
    if rng.random() < 0.5:
        edge = tuple(int(value) for value in picture[0, 0])
        image = image.rotate(rng.uniform(-10, 10), Image.Resampling.BILINEAR, fillcolor=edge)
    image = ImageEnhance.Brightness(image).enhance(rng.uniform(0.7, 1.3))
    image = ImageEnhance.Contrast(image).enhance(rng.uniform(0.7, 1.3))
    # Hue says clay and slip, so saturation and white balance vary gently.
    image = ImageEnhance.Color(image).enhance(rng.uniform(0.6, 1.3))
    balance = rng.uniform(0.93, 1.07, 3)
    return np.clip(np.asarray(image) * balance, 0, 255).astype(np.uint8)


def figure(pixels: np.ndarray, mask: np.ndarray, side: int, level: int = 255) -> np.ndarray:
    """The figure alone, centred and filling uint8 [side, side, 3] but for a margin: what the decoder is asked to draw."""
    top, bottom, left, right = background.bounds(mask)
    flat = background.replace(pixels, mask, np.full(3, level, np.uint8))[top:bottom, left:right]
    return _framed(flat, np.full((side, side, 3), level, np.uint8), 0.94, (0.5, 0.5))


def figures(pixels: np.ndarray, masks: np.ndarray, side: int) -> np.ndarray:
    """:func:`figure` over n photographs -> uint8 [n, side, side, 3]."""
    return np.stack([figure(*pair, side) for pair in zip(pixels, masks, strict=True)])


def _reframed(pixels: np.ndarray, mask: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    top, bottom, left, right = background.bounds(mask)
    backdrop = background.random_backdrop((side, side), rng)
    share, place = rng.uniform(0.5, 1.0), (rng.uniform(0.2, 0.8), rng.uniform(0.3, 0.9))
    cut, alpha = pixels[top:bottom, left:right], mask[top:bottom, left:right]
    figure_ = _framed(cut, np.zeros_like(backdrop), share, place)
    where = _framed(np.repeat(alpha[..., None].astype(np.uint8) * 255, 3, 2), np.zeros_like(backdrop), share, place)
    weight = where / 255.0
    return np.round(weight * figure_ + (1 - weight) * backdrop).astype(np.uint8)


def _framed(cut: np.ndarray, canvas: np.ndarray, share: float, place: Sequence[float]) -> np.ndarray:
    side = len(canvas)
    scale = share * side / max(cut.shape[:2])
    height, width = (max(1, min(side, round(length * scale))) for length in cut.shape[:2])
    top, left = round((side - height) * place[1]), round((side - width) * place[0])
    result = canvas.copy()
    result[top : top + height, left : left + width] = Image.fromarray(cut).resize((width, height), Image.Resampling.BILINEAR)
    return result


def _square(pixels: np.ndarray, side: int) -> np.ndarray:
    if pixels.shape[:2] == (side, side):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR))
