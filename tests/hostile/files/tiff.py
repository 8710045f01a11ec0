"""TIFF directories whose entries say more than the file holds, as a file of their own and as Exif; and WebP made of chunks."""

from __future__ import annotations

import io
import struct

from PIL import Image

from tests.files import encode

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _OFFSETS, _SAMPLES, _ROWS, _COUNTS = (
    256, 257, 258, 259, 262, 273, 277, 278, 279
)  # fmt: skip
_BYTE, _SHORT, _LONG = 1, 3, 4
_PRIVATE = 50_000


def _entry(tag: int, kind: int, count: int, value: int) -> bytes:
    return struct.pack("<HHII", tag, kind, count, value)


def _grey(pixels: int, width: int = 64, height: int = 48) -> list[bytes]:
    """The entries of a grey picture in one strip that begins at ``pixels``."""
    values = {
        _WIDTH: width, _HEIGHT: height, _BITS: 8, _COMPRESSION: 1, _PHOTOMETRIC: 1,
        _OFFSETS: pixels, _SAMPLES: 1, _ROWS: height, _COUNTS: width * height,
    }  # fmt: skip
    return [_entry(tag, _LONG, 1, value) for tag, value in sorted(values.items())]


def _directory(entries: list[bytes], after: int = 0) -> bytes:
    return struct.pack("<H", len(entries)) + b"".join(sorted(entries)) + struct.pack("<I", after)


def sharing(tags: int, value: int) -> bytes:
    """A picture and ``tags`` entries whose value is the same ``value`` bytes, read one by one ``tags`` times as many."""
    shared = [_entry(_PRIVATE + number % 15_000, _BYTE, value, 8) for number in range(tags)]
    body = bytes(max(value, 64 * 48))
    return b"II*\0" + struct.pack("<I", 8 + len(body)) + body + _directory(_grey(8) + shared)


def sharing_exif(length: int = 65_000) -> bytes:
    """An Exif block of at most ``length`` bytes, all of it entries, the value of each of them nearly the whole block."""
    tags = (length - 64) // 12
    return b"II*\0" + struct.pack("<I", 8) + _directory([_entry(0x0112, _SHORT, 1, 1)] + [
        _entry(_PRIVATE + number % 15_000, _BYTE, length - 128, 8) for number in range(tags)
    ])  # fmt: skip


def in_a_circle() -> bytes:
    """The directory after the first is the first."""
    return b"II*\0" + struct.pack("<I", 8 + 64 * 48) + bytes(64 * 48) + _directory(_grey(8), 8 + 64 * 48)


def pages(count: int) -> bytes:
    """A chain of ``count`` directories of one picture."""
    start, size = 8 + 64 * 48, len(_directory(_grey(8)))
    chain = [_directory(_grey(8), start + size * (number + 1) if number + 1 < count else 0) for number in range(count)]
    return b"II*\0" + struct.pack("<I", start) + bytes(64 * 48) + b"".join(chain)


def strips(count: int) -> bytes:
    """A picture one pixel wide in ``count`` strips, whose table is eight bytes a row."""
    entries = [entry for entry in _grey(8, 1, count) if struct.unpack("<H", entry[:2])[0] not in (_OFFSETS, _ROWS, _COUNTS)]
    table = 16 + count
    entries += [
        _entry(_ROWS, _LONG, 1, 1),
        _entry(_OFFSETS, _LONG, count, table),
        _entry(_COUNTS, _LONG, count, table + 4 * count),
    ]
    offsets = struct.pack(f"<{count}I", *range(8, 8 + count)) + struct.pack("<I", 1) * count
    body = bytes(8 + count) + offsets
    return b"II*\0" + struct.pack("<I", 8 + len(body)) + body + _directory(entries)


def big(entries: int, claimed: int | None = None, value: int = 8) -> bytes:
    """A BigTIFF of ``entries`` private tags, which claims to have ``claimed``, each of ``value`` bytes."""
    tags = [struct.pack("<HHQQ", tag, _LONG, 1, number) for tag, number in _big_grey()]
    tags += [struct.pack("<HHQQ", _PRIVATE + number % 15_000, _BYTE, value, 16) for number in range(entries)]
    body = bytes(64 * 48)
    count = len(tags) if claimed is None else claimed
    return b"II+\0" + struct.pack("<HHQ", 8, 0, 16 + len(body)) + body + struct.pack("<Q", count) + b"".join(tags) + bytes(8)


def _big_grey() -> list[tuple[int, int]]:
    return [(struct.unpack("<H", entry[:2])[0], struct.unpack("<I", entry[8:])[0]) for entry in _grey(16)]


def webp_chunks(kind: bytes, body: bytes, length: int) -> bytes:
    """An extended WebP with ``length`` bytes of one chunk behind its picture."""
    one = kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)
    return _webp(b"", one * (length // len(one)))


def webp_exif(tiff: bytes) -> bytes:
    return _webp(b"\x08", b"EXIF" + struct.pack("<I", len(tiff)) + tiff + bytes(len(tiff) % 2))


def _webp(flags: bytes, chunks: bytes) -> bytes:
    simple = encode(Image.linear_gradient("L").convert("RGB").resize((64, 48)), "WEBP")
    size = b"".join(side.to_bytes(3, "little") for side in (63, 47))
    header = b"VP8X" + struct.pack("<I", 10) + (flags or b"\0") + bytes(3) + size
    body = b"WEBP" + header + simple[12:] + chunks
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_frames(count: int) -> bytes:
    """An animated WebP."""
    stream = io.BytesIO()
    frames = [Image.new("RGB", (16, 16), (number % 256, number // 256, 0)) for number in range(count)]
    frames[0].save(stream, "WEBP", save_all=True, append_images=frames[1:], duration=10)
    return stream.getvalue()
