"""Photographs and masks in tiles, each made when it is asked for: 50 megapixels are looked at as fluently as one.

A picture has levels; each has half the width and height of the next, and the first fits into one tile. Of a JPEG the smaller
ones are decoded at that size. What was decoded stays in memory, the latest used, up to ``MOST_BYTES``.
"""

from __future__ import annotations

import io
import math
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageFilter

from maquette.client.errors import make
from maquette.maps.thumbnails import ORIENTATION, UNREADABLE, UPRIGHT, eight_bits
from maquette.review.page.upright import Turn

TILE = 512  # pixels of a side
MOST_BYTES = 384 * 2**20
# Blue and dark, as on the contact sheet: what was cut off by mistake must be recognised.
_TINT, _TINTED = (30, 20, 110), 184
# Orange, on black: seen on marble, on bronze and on grass.
_LINE, _HALO = (255, 120, 0), (0, 0, 0)
_BLANK = (236, 236, 234)


class Look(StrEnum):
    """How a mask lies over its photograph."""

    OUTLINE = "outline"
    TINT = "tint"
    CUTOUT = "cutout"


def levels(size: tuple[int, int]) -> int:
    """How many levels a picture of (width, height) has."""
    return 1 + max(0, math.ceil(math.log2(max(size) / TILE)))


def turn_of(path: Path) -> Turn:
    """Size and orientation. Raises :class:`FileFailed` for what is no picture."""
    try:
        state = path.stat()
    except OSError as error:
        raise make("FILE_UNREADABLE", f"{path} cannot be read: {error.strerror or error}.") from error
    return _turn_of(path, state.st_size, state.st_mtime_ns)


@lru_cache(4096)  # Pillow looks for the EXIF block of a PNG behind its pixels, and decodes them
def _turn_of(path: Path, _size: int, _changed: int) -> Turn:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as opened:
                orientation = int(opened.getexif().get(ORIENTATION, 1))
                return Turn(opened.size, orientation if orientation in UPRIGHT else 1)
    except UNREADABLE as error:
        raise make("FILE_UNREADABLE", f"{path} cannot be shown: it is not a picture that can be read.") from error


def _size_of(path: Path) -> tuple[int, int]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as opened:
                return opened.size
    except UNREADABLE as error:
        raise make("FILE_UNREADABLE", f"{path} cannot be shown: it is not a picture that can be read.") from error


class Pyramids:
    """The tiles of all pictures; from several threads."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._known: OrderedDict[tuple[object, ...], Image.Image] = OrderedDict()
        self._lock = threading.Lock()  # one picture is decoded at a time: each takes memory

    def photograph(self, path: Path, level: int, column: int, row: int) -> bytes:
        """A tile as JPEG, upright. Raises :class:`ParameterInvalid` for one that is not there, :class:`FileFailed`."""
        turn = turn_of(path)
        return _encoded(_cut(self._level(path, turn.upright, level, _photograph), column, row), "JPEG", quality=88)

    def mask(self, path: Path, turn: Turn | None, look: Look, level: int, column: int, row: int) -> bytes:
        """A tile of what lies over the photograph, as PNG. ``turn`` is that of the photograph where the mask is as the file
        stores it, None where it is upright. Raises as :meth:`photograph` does.
        """

        def opened(path: Path, reduction: int) -> Image.Image:
            return _mask(path, reduction, turn)

        size = _size_of(path)
        size = size[::-1] if turn and turn.orientation >= 5 else size
        return _over(self._level(path, size, level, opened), look, column, row)

    def _level(self, path: Path, size: tuple[int, int], level: int, open_: Callable[[Path, int], Image.Image]) -> Image.Image:
        if not 0 <= level < levels(size):
            raise make("PARAMETER_INVALID", f"Level {level} is not there; levels are 0 to {levels(size) - 1}.")
        reduction = 2 ** (levels(size) - 1 - level)
        state = path.stat()
        key = (str(path), state.st_size, state.st_mtime_ns, state.st_ino, reduction)
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    made = open_(path, reduction)
            except UNREADABLE as error:
                raise make("FILE_UNREADABLE", f"{path} cannot be shown: it is damaged, or not there any more.") from error
            self._known[key] = made
            while len(self._known) > 1 and sum(map(_bytes, self._known.values())) > self._most:
                self._known.popitem(last=False)
            return made


def _photograph(path: Path, reduction: int) -> Image.Image:
    with Image.open(path) as opened:
        width, height = opened.size
        opened.draft("RGB", (math.ceil(width / reduction), math.ceil(height / reduction)))  # a half, a quarter or an eighth
        opened.load()
        left = int(opened.getexif().get(ORIENTATION, 1))  # Pillow turns TIFFs by itself
        picture = eight_bits(opened)
    factor = max(1, reduction // max(1, round(max(width, height) / max(picture.size))))
    picture = picture.reduce(factor) if factor > 1 else picture
    return picture.transpose(UPRIGHT[left]) if left in UPRIGHT else picture


def _mask(path: Path, reduction: int, turn: Turn | None) -> Image.Image:
    with Image.open(path) as opened:
        mask = opened.convert("L")
    mask = mask.reduce(reduction) if reduction > 1 else mask
    return mask.transpose(UPRIGHT[turn.orientation]) if turn and turn.orientation in UPRIGHT else mask


def _bytes(picture: Image.Image) -> int:
    return picture.width * picture.height * len(picture.getbands())


def _box(picture: Image.Image, column: int, row: int, margin: int = 0) -> tuple[int, int, int, int]:
    left, top = column * TILE, row * TILE
    if column < 0 or row < 0 or left >= picture.width or top >= picture.height:
        raise make("PARAMETER_INVALID", f"Tile {column}, {row} is not there.")
    right, bottom = min(left + TILE, picture.width), min(top + TILE, picture.height)
    return left - margin, top - margin, right + margin, bottom + margin


def _cut(picture: Image.Image, column: int, row: int) -> Image.Image:
    return picture.crop(_box(picture, column, row))


def _over(mask: Image.Image, look: Look, column: int, row: int) -> bytes:
    """A palette of one colour whose transparency follows the mask: small, and quickly encoded."""
    if look is Look.OUTLINE:
        margin = 3
        # What lies outside the picture counts as what is at its edge: the frame is no outline.
        left, top, right, bottom = _box(mask, column, row, margin)
        inner = mask.crop((max(0, left), max(0, top), min(mask.width, right), min(mask.height, bottom)))
        solid = inner.point([0] * 128 + [255] * 128)
        line = _ring(solid, 3)
        tile = Image.composite(Image.new("L", inner.size, 2), _ring(solid, 7).point([0] + [1] * 255), line)
        start = (min(margin, column * TILE), min(margin, row * TILE))
        width, height = right - left - 2 * margin, bottom - top - 2 * margin
        tile = tile.crop((start[0], start[1], start[0] + width, start[1] + height))
        palette, alpha = [0, 0, 0, *_HALO, *_LINE], bytes((0, 130, 255))
    else:
        colour, strongest = (_TINT, _TINTED) if look is Look.TINT else (_BLANK, 255)
        tile, palette = _cut(mask, column, row), list(colour * 256)
        alpha = bytes(strongest * (255 - value) // 255 for value in range(256))
    stream = io.BytesIO()
    shown = Image.frombytes("P", tile.size, tile.tobytes())
    shown.putpalette(palette)
    shown.save(stream, "PNG", transparency=alpha, compress_level=1)
    return stream.getvalue()


def _ring(solid: Image.Image, width: int) -> Image.Image:
    """255 where a square of ``width`` pixels holds both object and background: there its mean is neither."""
    return solid.filter(ImageFilter.BoxBlur(width // 2)).point([0] + [255] * 254 + [0])


def _encoded(picture: Image.Image, kind: str, **options: int) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()
