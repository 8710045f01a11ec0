"""Thumbnails of photographs: one of them, upright, or thousands, packed in a few sprites."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

WORKERS = max(1, min(4, os.cpu_count() or 1))  # each holds one decoded photograph
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What a damaged or foreign file makes Pillow raise.
UNREADABLE = (OSError, UnidentifiedImageError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError)
# Pixels of a side. Every browser, phones too, takes pictures of this size, and a GPU holds them as one texture.
SPRITE = 2048
# (works up to, pixels of a tile's side): few works are shown large, and many keep the page at some 25 MB.
_TILES = ((400, 160), (1_500, 112), (5_000, 80), (15_000, 64))
_SMALLEST = 48
ORIENTATION, _EXIF, _TAKEN, _TAKEN_SUBSECOND = 0x0112, 0x8769, 0x9003, 0x9291


def small(path: Path, longest: int) -> tuple[Image.Image, int, tuple[int, int], str]:
    """Upright RGB thumbnail of at most ``longest`` pixels a side, the orientation it was stored with, its size as the header
    says, and when it was taken. Raises one of ``UNREADABLE``.
    """
    with warnings.catch_warnings():
        # Large photographs and slightly damaged EXIF blocks are the user's own, and no news on a page.
        warnings.simplefilter("ignore")
        with Image.open(path) as opened:
            size, exif = opened.size, opened.getexif()
            orientation = int(exif.get(ORIENTATION, 1))
            details = exif.get_ifd(_EXIF)
            taken = f"{details.get(_TAKEN, '')}{details.get(_TAKEN_SUBSECOND, '')}".strip("\x00 ")
            opened.draft("RGB", (longest, longest))  # a JPEG is decoded at up to an eighth of its size
            opened.load()
            left = int(opened.getexif().get(ORIENTATION, 1))  # Pillow turns TIFFs by itself
            picture = eight_bits(opened)
    picture.thumbnail((longest, longest), Image.Resampling.BOX)
    return picture.transpose(UPRIGHT[left]) if left in UPRIGHT else picture, orientation, size, taken


def eight_bits(picture: Image.Image) -> Image.Image:
    """The picture in RGB; 16-bit and float values are stretched from their least to their greatest."""
    if picture.mode.startswith(("I", "F")):  # Pillow would clip these at 255
        pixels = np.asarray(picture, np.float32)
        low, high = float(pixels.min()), float(pixels.max())
        return Image.fromarray(((pixels - low) * (255 / max(high - low, 1e-9))).astype(np.uint8)).convert("RGB")
    return picture.convert("RGB")


def tile_side(count: int) -> int:
    """Pixels of the side of the square that each of ``count`` thumbnails gets."""
    return next((side for most, side in _TILES if count <= most), _SMALLEST)


def all_of(paths: Sequence[Path], longest: int) -> Iterator[Image.Image | None]:
    """The thumbnail of each photograph in order; None for one that cannot be shown."""

    def one(path: Path) -> Image.Image | None:
        try:
            return small(path, longest)[0]
        except UNREADABLE:
            return None

    with ThreadPoolExecutor(WORKERS) as pool:
        rest = iter(paths)
        # A few at a time: what is looked at next does not wait in memory.
        while some := list(islice(rest, 4 * WORKERS)):
            yield from pool.map(one, some)


class Sprites:
    """Pictures that each hold many thumbnails in square tiles, row by row from the top left.

    A thumbnail lies in the top left corner of its tile.

    ``sizes`` holds (width, height) of each; (0, 0) where there is none, whose tile stays empty.
    """

    def __init__(self, tile: int) -> None:
        self.tile, self.columns = tile, SPRITE // tile
        self.sizes: list[tuple[int, int]] = []
        self._encoded: list[bytes] = []
        self._open = self._new()

    def _new(self) -> Image.Image:
        return Image.new("RGB", (self.tile * self.columns,) * 2, (236, 236, 234))

    def add(self, picture: Image.Image | None) -> None:
        """Takes pictures of at most ``tile`` pixels a side."""
        place = len(self.sizes) % self.columns**2
        if picture is not None:
            row, column = divmod(place, self.columns)
            self._open.paste(picture, (column * self.tile, row * self.tile))
        self.sizes.append(picture.size if picture is not None else (0, 0))
        if place == self.columns**2 - 1:
            self._encoded.append(_webp(self._open))
            self._open = self._new()

    def finish(self) -> list[bytes]:
        """All sprites as WebP files; the last one is cut after its last row."""
        if left := len(self.sizes) % self.columns**2:
            rows = -(-left // self.columns)
            self._encoded.append(_webp(self._open.crop((0, 0, self._open.width, rows * self.tile))))
        return self._encoded


def _webp(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "WEBP", quality=70, method=2)
    return stream.getvalue()
