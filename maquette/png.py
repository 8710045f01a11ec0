"""A PNG that says where it came from: a text chunk put into it, and read back, without decoding a pixel.

Source: PNG specification, third edition, sections 5.3 (chunk layout) and 11.3.3 (textual information).
"""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any

from maquette.errors import ServiceFailed

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER_END = len(_SIGNATURE) + 25  # IHDR, always first, has 13 bytes of data and 12 of frame
_END = b"\x00\x00\x00\x00IEND\xae\x42\x60\x82"
_KEYWORD = b"maquette\x00"


def parts(png: bytes, facts: dict[str, Any]) -> tuple[bytes, bytes, bytes]:
    """The bytes of ``png`` with ``facts`` as a tEXt chunk behind its header, in three parts so that no pixel is copied twice.

    Raises :class:`ServiceFailed` when the bytes are not one whole PNG.
    """
    if not (png.startswith(_SIGNATURE) and png.endswith(_END)):
        raise ServiceFailed("INTERNAL", "The service answered something that is not a whole PNG.")
    data = _KEYWORD + json.dumps(facts).encode("ascii")
    chunk = struct.pack(">I", len(data)) + b"tEXt" + data + struct.pack(">I", zlib.crc32(b"tEXt" + data))
    return png[:_HEADER_END], chunk, png[_HEADER_END:]


def is_whole(path: Path) -> bool:
    """The file is a PNG from its first chunk to its last. Raises ``OSError``."""
    with path.open("rb") as stream:
        if stream.read(len(_SIGNATURE)) != _SIGNATURE:
            return False
        size = stream.seek(0, 2)
        stream.seek(max(0, size - len(_END)))
        return stream.read() == _END


def facts(path: Path) -> dict[str, Any] | None:
    """What :func:`parts` put into the file, or None where nothing was. Raises ``OSError``."""
    with path.open("rb") as stream:
        start = stream.read(_HEADER_END + 8)
        if not start.startswith(_SIGNATURE) or start[-4:] != b"tEXt":
            return None
        data = stream.read(min(struct.unpack(">I", start[-8:-4])[0], 2**20))
    if not data.startswith(_KEYWORD):
        return None
    try:
        found = json.loads(data[len(_KEYWORD) :])
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
