"""What an encoded picture would cost to open, told from its structure alone, before any library begins.

Picture libraries walk chunks, segments and directories one by one and copy each value they name, so a small file can ask for
hours of work or gigabytes of memory. Real photographs stay far below every limit here.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from services.common import errors

# Exif, ICC profiles, XMP and thumbnails of real photographs come to some dozens.
MOST_SEGMENTS = 1_024
# 64 MiB in IDAT chunks of 4 KiB, half of what encoders write at the least.
MOST_CHUNKS = 20_000
MOST_TAGS = 1_024
# Offsets and lengths of strips or tiles: 120 megapixels in tiles of 32 x 32 have 230,000 of both.
MOST_VALUES = 400_000
# A progressive JPEG has about ten scans. Each is drawn over the whole picture: this many times 100 megapixels is some seconds.
MOST_SCANNED_PIXELS = 3_200_000_000
_SMALLEST_SCAN = 1_000_000

_PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_START_OF_SCAN, _END = 0xDA, 0xD9
# In a scan's data 0xFF is followed by 0x00 or a restart marker; anything else ends the scan.
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_TAG_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_BYTES, _TEXT, _UNDEFINED = 1, 2, 7
# A damaged directory that costs no more than this to read is the decoder's to judge.
_CHEAP = 16 * 2**20
_SAVE = "save it again in a picture editor and send that."


def judge(data: bytes) -> None:
    """Raises ``ImageTooManyPixels`` or ``ImageTooManyBytes`` for a file whose structure asks for more work than its pixels.

    What is damaged passes: the decoder will say so.
    """
    if data.startswith(b"\xff\xd8"):
        _jpeg(data)
    elif data.startswith(b"\x89PNG\r\n\x1a\n"):
        _require_few(_png_chunks(data), "PNG")
    elif data.startswith(b"RIFF"):
        _require_few(_riff_chunks(data), "WebP")
    elif not directory_is_plausible(data, most_bytes=len(data) + _CHEAP):
        raise errors.ImageTooManyBytes(f"The TIFF names more values than its file can hold; {_SAVE}")


def directory_is_plausible(block: bytes, *, most_bytes: int) -> bool:
    """Whether the values that the first two directories of a TIFF, BigTIFF or Exif block name are no more than
    ``most_bytes`` together, so that reading them all is cheap. A block that is no such thing is plausible.
    """
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return True
    big = block[2:4] in (b"+\0", b"\0+")
    count_of, entry_of, offset_of = (order + kind for kind in (("Q", "HHQ", "Q") if big else ("H", "HHI", "I")))
    entry_size, inline = (20, 8) if big else (12, 4)
    size = values = 0
    try:
        (position,) = struct.unpack_from(offset_of, block, 8 if big else 4)
        for _ in range(2):
            if not position:
                break
            (entries,) = struct.unpack_from(count_of, block, position)
            if entries > MOST_TAGS:
                return False
            position += struct.calcsize(count_of)
            for _ in range(entries):
                _, kind, count = struct.unpack_from(entry_of, block, position)
                length = count * _TAG_BYTES.get(kind, 0)
                if length > inline:
                    (where,) = struct.unpack_from(offset_of, block, position + entry_size - inline)
                    size += max(0, min(length, len(block) - where))
                    values += count if kind not in (_BYTES, _TEXT, _UNDEFINED) else 0
                position += entry_size
            (position,) = struct.unpack_from(offset_of, block, position)
    except (struct.error, OverflowError):  # ends before it says so, or points beyond what a file can have
        pass
    return size <= most_bytes and values <= MOST_VALUES


def _jpeg(data: bytes) -> None:
    position, pieces, scans, pixels = 2, 0, 0, 0
    several_scans = False
    components = 0
    exif: list[bytes] = []
    while position + 4 <= len(data) and pieces <= MOST_SEGMENTS:
        pieces += 1
        if data[position] != 0xFF or data[position + 1] in (0x00, 0xFF):
            position += 1  # filling: readers take it byte by byte, so that each counts
            continue
        marker, (length,) = data[position + 1], struct.unpack_from(">H", data, position + 2)
        if marker == _END:
            break
        if 0xD0 <= marker <= 0xD8 or marker == 0x01:  # markers without a length
            position += 2
            continue
        body = data[position + 4 : position + 2 + length]
        if marker in _FRAMES and len(body) >= 6:
            height, width, components = struct.unpack_from(">HHB", body, 1)
            pixels, several_scans = max(height * width, _SMALLEST_SCAN), marker in _PROGRESSIVE
        elif marker == 0xE1 and body.startswith(b"Exif\0\0"):
            exif.append(body[6:])
        elif marker == 0xE2 and body.startswith(b"MPF\0"):
            _require_metadata(body[4:])
        position += 2 + length
        if marker == _START_OF_SCAN:
            scans += 1
            several_scans = several_scans or (bool(body) and body[0] < components)
            if not several_scans:
                break  # one scan holds all of the picture, and readers stop after it
            if scans * pixels > MOST_SCANNED_PIXELS:
                raise errors.ImageTooManyPixels(f"The JPEG draws its picture in {scans} scans or more; {_SAVE}")
            if (end := _AFTER_SCAN.search(data, position)) is None:
                break
            position, pieces = end.start(), pieces - 1
    if pieces > MOST_SEGMENTS:
        raise errors.ImageTooManyBytes(f"The JPEG has more than {MOST_SEGMENTS} segments beside its picture; {_SAVE}")
    _require_metadata(b"".join(exif))


def _require_metadata(block: bytes) -> None:
    # Real blocks point at each of their bytes once. Sixteen times 64 KiB is still cheap.
    if not directory_is_plausible(block, most_bytes=16 * len(block)):
        raise errors.ImageTooManyBytes(f"The metadata name more values than the file can hold; {_SAVE}")


def _png_chunks(data: bytes) -> Iterator[None]:
    position = 8
    while position + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        position += 12 + length
        yield
        if name == b"IEND":
            break


def _riff_chunks(data: bytes) -> Iterator[None]:
    position, end = 12, min(len(data), 8 + struct.unpack_from("<I", data.ljust(8, b"\0"), 4)[0])
    while position + 8 <= end:
        (length,) = struct.unpack_from("<I", data, position + 4)
        position += 8 + length + length % 2
        yield


def _require_few(chunks: Iterator[None], format_: str) -> None:
    for count, _ in enumerate(chunks, 1):
        if count > MOST_CHUNKS:
            raise errors.ImageTooManyBytes(f"The {format_} has more than {MOST_CHUNKS} chunks; {_SAVE}")
