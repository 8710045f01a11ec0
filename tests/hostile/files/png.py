"""PNGs: every valid kind, and those that cost more than their bytes."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Iterator

from tests.files import chunk, png_by_hand

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
# First column, first row, steps of both (PNG specification, 8.2).
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def _rows(pixels: list[list[int]], bits: int) -> bytes:
    """Samples row by row -> scan lines without a filter, packed as the depth asks."""
    packed = bytearray()
    for row in pixels:
        text = "".join(f"{sample:0{bits}b}" for sample in row)
        text += "0" * (-len(text) % 8)
        packed += b"\0" + int(text, 2).to_bytes(len(text) // 8, "big")
    return bytes(packed)


def valid(colour: int, bits: int, *, interlaced: bool, transparent: bool = False, size: tuple[int, int] = (33, 19)) -> bytes:
    """One valid PNG of a colour type and depth, of samples drawn with a fixed seed."""
    draw = random.Random(f"{colour} {bits}")
    channels, (width, height) = CHANNELS[colour], size
    pixels = [[[draw.randrange(2**bits) for _ in range(channels)] for _ in range(width)] for _ in range(height)]
    if interlaced:
        data = b""
        for left, top, across, down in _PASSES:
            part = [[sample for pixel in row[left::across] for sample in pixel] for row in pixels[top::down]]
            data += _rows([row for row in part if row], bits)
    else:
        data = _rows([[sample for pixel in row for sample in pixel] for row in pixels], bits)
    extra = b""
    if colour == 3:
        extra += chunk(b"PLTE", draw.randbytes(3 * 2**bits))
        extra += chunk(b"tRNS", draw.randbytes(2**bits)) if transparent else b""
    elif transparent and colour in (0, 2):
        extra += chunk(b"tRNS", struct.pack(f">{channels}H", *pixels[0][0]))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, int(interlaced)))
    return SIGNATURE + header + extra + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def every_valid_kind() -> Iterator[tuple[str, bytes]]:
    """As PngSuite has them: colour types, depths, interlaced or not, with transparency where it may stand alone."""
    for colour, depths in DEPTHS.items():
        for bits in depths:
            for interlaced in (False, True):
                for transparent in (False, True) if colour in (0, 2, 3) else (False,):
                    name = f"{colour}-{bits}-{'adam7' if interlaced else 'rows'}{'-trns' if transparent else ''}"
                    yield name, valid(colour, bits, interlaced=interlaced, transparent=transparent)


def with_chunks(kind: bytes, body: bytes, length: int) -> bytes:
    """``length`` bytes of one chunk again and again before the pixels."""
    one = chunk(kind, body)
    return png_by_hand(64, 48, 8, 0, bytes(65 * 48), one * (length // len(one)))


def deep(width: int, height: int) -> bytes:
    """Black and clear, four samples of 16 bits a pixel: a byte of the file stands for a thousand of pixels."""
    packer = zlib.compressobj(9)
    row, data = bytes(1 + 8 * width), b""
    for _ in range(height):
        data += packer.compress(row)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 6, 0, 0, 0))
    return SIGNATURE + header + chunk(b"IDAT", data + packer.flush()) + chunk(b"IEND", b"")


def animated(frames: int) -> bytes:
    """An APNG of ``frames`` frames of one pixel, the first of which is the picture itself."""
    pixel = zlib.compress(bytes(2))
    pieces = [chunk(b"acTL", struct.pack(">II", frames, 0)), _control(0, 64, 48)]
    later = [
        _control(2 * number - 1, 1, 1) + chunk(b"fdAT", struct.pack(">I", 2 * number) + pixel) for number in range(1, frames)
    ]
    whole = png_by_hand(64, 48, 8, 0, bytes(65 * 48), b"".join(pieces))
    end = chunk(b"IEND", b"")
    return whole.removesuffix(end) + b"".join(later) + end


def _control(sequence: int, width: int, height: int) -> bytes:
    return chunk(b"fcTL", struct.pack(">IIIIIHHBB", sequence, width, height, 0, 0, 1, 100, 0, 0))
