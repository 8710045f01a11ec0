"""Small valid files of every format, and what a fixed seed makes of them."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

from PIL import Image

from tests.files import encode
from tests.hostile.files import png, tiff

_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def valid() -> dict[str, bytes]:
    """Valid files, by what is particular about them."""
    picture = Image.linear_gradient("L").resize((48, 32)).convert("RGB")
    clear = picture.convert("RGBA")
    profiled = encode(picture, "JPEG", exif=_exif())
    return {
        "jpeg": encode(picture, "JPEG"),
        "jpeg-progressive": encode(picture, "JPEG", progressive=True),
        "jpeg-cmyk": encode(picture.convert("CMYK"), "JPEG"),
        "jpeg-grey": encode(picture.convert("L"), "JPEG"),
        "jpeg-exif": profiled,
        "jpeg-restarts": encode(picture, "JPEG", restart_marker_blocks=1),
        "mpo": encode(picture, "MPO", save_all=True, append_images=[picture]),
        "png": encode(picture),
        "png-palette": png.valid(3, 8, interlaced=False, transparent=True),
        "png-adam7": png.valid(2, 8, interlaced=True),
        "png-16": png.valid(6, 16, interlaced=False),
        "png-1": png.valid(0, 1, interlaced=True),
        "apng": encode(picture, save_all=True, append_images=[picture.rotate(90)]),
        "tiff": encode(picture, "TIFF"),
        "tiff-lzw": encode(picture, "TIFF", compression="tiff_lzw"),
        "tiff-deflate": encode(clear, "TIFF", compression="tiff_adobe_deflate"),
        "tiff-jpeg": encode(picture, "TIFF", compression="jpeg"),
        "tiff-g4": encode(picture.convert("1"), "TIFF", compression="group4"),
        "tiff-lab": encode(picture.convert("LAB"), "TIFF"),
        "tiff-big": encode(picture, "TIFF", big_tiff=True),
        "tiff-pages": tiff.pages(3),
        "webp": encode(picture, "WEBP"),
        "webp-lossless": encode(clear, "WEBP", lossless=True),
        "webp-frames": tiff.webp_frames(3),
    }


def _exif() -> bytes:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a statue"
    return exif.tobytes()


def mutants(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """``count`` mutants, each with a name that finds it again."""
    files = valid()
    draw = random.Random(seed)
    names = sorted(files)
    for number in range(count):
        name = names[number % len(names)]
        data = bytearray(files[name])
        for _ in range(draw.choice((1, 1, 2, 4, 16))):
            draw.choice(_WAYS)(data, draw, files)
        yield f"{name} {number} of seed {seed}", bytes(data)


def _flip(data: bytearray, draw: random.Random, files: dict[str, bytes]) -> None:
    if data:
        data[_place(data, draw)] ^= 1 << draw.randrange(8)


def _set(data: bytearray, draw: random.Random, files: dict[str, bytes]) -> None:
    if data:
        data[_place(data, draw)] = draw.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF))


def _number(data: bytearray, draw: random.Random, files: dict[str, bytes]) -> None:
    width = draw.choice((">H", "<H", ">I", "<I"))
    size = struct.calcsize(width)
    if len(data) > size:
        start = min(_place(data, draw), len(data) - size)
        struct.pack_into(width, data, start, draw.choice(_EXTREMES) % 2 ** (8 * size))


def _cut(data: bytearray, draw: random.Random, files: dict[str, bytes]) -> None:
    del data[draw.randrange(len(data) + 1) :]


def _remove(data: bytearray, draw: random.Random, files: dict[str, bytes]) -> None:
    start = draw.randrange(len(data) + 1)
    del data[start : start + draw.randrange(1, 64)]


def _repeat(data: bytearray, draw: random.Random, files: dict[str, bytes]) -> None:
    start = draw.randrange(len(data) + 1)
    piece = data[start : start + draw.randrange(1, 256)]
    data[start:start] = piece * draw.randrange(1, 20)


def _splice(data: bytearray, draw: random.Random, files: dict[str, bytes]) -> None:
    other = files[draw.choice(sorted(files))]
    start = draw.randrange(len(other))
    data[draw.randrange(len(data) + 1) :] = other[start:]


def _place(data: bytearray, draw: random.Random) -> int:
    """Headers are where parsers are: half of the changes hit the first 64 bytes."""
    return draw.randrange(min(len(data), draw.choice((64, 2**31))))


_WAYS = (_flip, _flip, _set, _set, _number, _number, _cut, _remove, _repeat, _splice)
