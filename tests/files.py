"""Image files that no library would write."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

from PIL import Image


def encode(image: Image.Image, format_: str = "PNG", **options: Any) -> bytes:
    """What a library does write."""
    stream = io.BytesIO()
    image.save(stream, format_, **options)
    return stream.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_by_hand(width: int, height: int, bits: int, colour_type: int, rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG whose header may claim what its rows do not hold; ``extra`` are further chunks."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def bomb() -> bytes:
    """60,000 x 60,000 pixels in about 100 kB, which would be 10 GB decoded."""
    return png_by_hand(60_000, 60_000, 8, 2, bytes(60_000 * 1600))
