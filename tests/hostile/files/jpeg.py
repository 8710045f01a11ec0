"""JPEGs that cost more than their bytes: empty scans, fill bytes, empty segments, Exif that points at itself."""

from __future__ import annotations

import struct

from PIL import Image

from tests.files import encode

SOI, EOI = b"\xff\xd8", b"\xff\xd9"


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def photograph(size: tuple[int, int] = (320, 240), mode: str = "RGB", **options: object) -> bytes:
    return encode(Image.linear_gradient("L").resize(size).convert(mode), "JPEG", **options)


def with_empty_scans(count: int, size: tuple[int, int]) -> bytes:
    """A progressive JPEG with ``count`` more scans than it needs; each says only that all blocks of a component end here.

    A scan walks over every block of the picture, whatever it says of it.
    """
    base = photograph(size, "L", progressive=True)
    assert base.endswith(EOI)
    # One code, `0`: the block ends, and so do the next 16383 + 16384 (ITU T.81, G.1.2.2, EOB14 with all extra bits set).
    tables = segment(0xC4, bytes([0x10, 1, *[0] * 15, 0xE0]))
    blocks = -(-size[0] // 8) * -(-size[1] // 8)
    bits = "011111111111111" * -(-blocks // 32767)
    bits += "1" * (-len(bits) % 8)
    data = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\x00")
    # One component, coefficients 1 to 63, the last bit refined: the costliest scan that says nothing.
    scan = segment(0xDA, bytes([1, base[base.index(b"\xff\xda") + 5], 0x00, 1, 63, 0x10])) + data
    return base[:-2] + tables + scan * count + EOI


def with_fill(length: int) -> bytes:
    """Fill bytes between two markers, of which a file may have as many as it likes (ITU T.81, B.1.1.2)."""
    return SOI + b"\xff" * length + photograph()[2:]


def with_segments(marker: int, body: bytes, length: int) -> bytes:
    """``length`` bytes of one segment again and again before a good photograph."""
    one = segment(marker, body)
    return SOI + one * (length // len(one)) + photograph()[2:]


def with_exif(tiff: bytes) -> bytes:
    """``tiff`` as the Exif of a good photograph, cut to what a segment holds."""
    return SOI + segment(0xE1, (b"Exif\0\0" + tiff)[:65533]) + photograph()[2:]
