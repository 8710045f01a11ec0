"""A PNG that says where it came from: a text chunk put into it, and read back, without decoding a pixel.

Source: PNG specification, third edition, sections 5.3 (chunk layout) and 11.3.3 (textual information).
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from maquette.client.errors import ServiceFailed

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER_END = len(_SIGNATURE) + 25  # IHDR, always first, has 13 bytes of data and 12 of frame
_END = b"\x00\x00\x00\x00IEND\xae\x42\x60\x82"
_KEYWORD = b"maquette\x00"
# What decides how a PNG looks: size and depth, palette, transparency, the compressed pixels.
_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT")
_MOST = 2**13  # bytes of our chunk; one has about a thousand


def parts(png: bytes, facts: dict[str, Any], *, own: bool = True) -> tuple[bytes, bytes, bytes]:
    """The bytes of ``png`` with ``facts`` as a tEXt chunk behind its header, in three parts so that no pixel is copied twice.

    The facts get one more, ``pixels``: the digest by which :func:`owned` tells later whether the file is as it was written.
    Without ``own`` the file is a person's from the start, and the digest is one that :func:`as_reviewed` reads.
    Raises :class:`ServiceFailed` when the bytes are not one whole PNG.
    """
    digest = _digest(png)
    if digest is None:
        raise ServiceFailed("INTERNAL", "The service answered something that is not a whole PNG.")
    data = _KEYWORD + json.dumps(facts | ({"pixels": digest} if own else {"pixels": "a person's", "reviewed": digest})).encode(
        "ascii"
    )
    chunk = struct.pack(">I", len(data)) + b"tEXt" + data + struct.pack(">I", zlib.crc32(b"tEXt" + data))
    return png[:_HEADER_END], chunk, png[_HEADER_END:]


def owned(path: Path) -> dict[str, Any] | None:
    """What :func:`parts` put into the file, where its pixels are still those; None for any other file.

    An editor may keep the chunk or drop it: either way what it saves is compressed anew, and no longer ours. Raises
    ``OSError``.
    """
    found = facts(path)
    return found if found is not None and found.get("pixels") == _digest(path.read_bytes()) else None


def as_reviewed(path: Path) -> bool:
    """Whether a person's mask is as ``maquette review`` wrote it, and no other program changed it. Raises ``OSError``."""
    found = facts(path)
    return found is not None and found.get("reviewed") == _digest(path.read_bytes())


def facts(path: Path) -> dict[str, Any] | None:
    """What :func:`parts` put into the file, whoever changed its pixels since; None where nothing was. Raises ``OSError``."""
    with path.open("rb") as stream:
        if stream.read(len(_SIGNATURE)) != _SIGNATURE:
            return None
        for kind, size in _chunks(stream):
            if kind == b"IDAT":
                break
            if kind == b"tEXt" and size <= _MOST and (found := _parsed(stream.read(size))) is not None:
                return found
        # Some editors write their texts behind the pixels.
        stream.seek(max(0, stream.seek(0, 2) - _MOST))
        tail = stream.read()
        place = tail.rfind(b"tEXt" + _KEYWORD)
        if place < 4:
            return None
        (size,) = struct.unpack(">I", tail[place - 4 : place])
        return _parsed(tail[place + 4 : place + 4 + size])


def is_whole(path: Path) -> bool:
    """The file is a PNG from its first chunk to its last. Raises ``OSError``."""
    with path.open("rb") as stream:
        if stream.read(len(_SIGNATURE)) != _SIGNATURE:
            return False
        size = stream.seek(0, 2)
        stream.seek(max(0, size - len(_END)))
        return stream.read() == _END


def _digest(png: bytes) -> str | None:
    """Lower-case hex sha256 over the chunks that decide how the picture looks; None for what is not a whole PNG."""
    if not (png.startswith(_SIGNATURE) and png.endswith(_END)):
        return None
    digest, view, place = hashlib.sha256(), memoryview(png), len(_SIGNATURE)
    while place + 8 <= len(png):
        size, kind = struct.unpack_from(">I4s", png, place)
        if kind in _PIXELS:
            digest.update(view[place + 4 : place + 8 + size])
        place += 12 + size
    return digest.hexdigest() if place == len(png) else None


def _chunks(stream: IO[bytes]) -> Iterator[tuple[bytes, int]]:
    """Kind and size of each chunk, the stream standing at its data."""
    place = stream.tell()
    while len(head := stream.read(8)) == 8:
        size, kind = struct.unpack(">I4s", head)
        yield kind, size
        place = stream.seek(place + 12 + size)


def _parsed(data: bytes) -> dict[str, Any] | None:
    if not data.startswith(_KEYWORD):
        return None
    try:
        found = json.loads(data[len(_KEYWORD) :])
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
