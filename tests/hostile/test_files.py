"""Files that cost more than their bytes: judged from their structure, off the event loop, before work starts on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.hostile.callers.both import at_once, code
from tests.hostile.files import jpeg, png, tiff
from tests.hostile.watch.pod import MEBIBYTE, Pod, scaled
from tests.hostile.watch.table import watched
from tests.serving import on_both

LARGE = scaled(12, 60) * MEBIBYTE


def test_scans(pod: Pod) -> None:
    """Row 1. A scan of 44 bytes walks over 36 megapixels; one file of a mebibyte holds 23,000 of them."""
    data = jpeg.with_empty_scans(MEBIBYTE // 46, (6000, 6000))
    with watched(pod, "two progressive JPEGs of 1 MiB, 22,000 empty scans", "8 of 8 photographs 504"):
        codes = at_once([lambda transport=transport: code(pod, transport, data) for transport in ("http", "grpc")])
        assert codes == ["IMAGE_TOO_MANY_PIXELS"] * 2


def test_scans_of_a_small_picture(pod: Pod) -> None:
    """Not the pixels alone: a scan costs its own bytes as well."""
    data = jpeg.with_empty_scans(LARGE // 24, (64, 64))
    with watched(pod, "progressive JPEG of 64 x 64, empty scans as many as fit", "not tried"):
        assert at_once([lambda transport=transport: code(pod, transport, data) for transport in ("http", "grpc")]) in (
            ["IMAGE_TOO_MANY_PIXELS"] * 2,
            ["IMAGE_TOO_MANY_BYTES"] * 2,
        )


@on_both
def test_a_progressive_photograph_is_answered(pod: Pod, transport: str) -> None:
    """The ten scans of libjpeg's own script are no attack, at any size that is admitted."""
    assert code(pod, transport, jpeg.photograph((6000, 6000), progressive=True, quality=90)) == "OK"


STRUCTURES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "PNG of empty chunks": ("/livez frozen 22 s (60 MiB)", lambda: png.with_chunks(b"aaAa", b"", LARGE)),
    "PNG of text chunks": ("not tried", lambda: png.with_chunks(b"tEXt", b"a\0b", LARGE)),
    "JPEG of 0xFF fill": ("/livez frozen 3 s (12 MiB)", lambda: jpeg.with_fill(12 * MEBIBYTE)),
    "JPEG of empty COM segments": ("/livez frozen", lambda: jpeg.with_segments(0xFE, b"", LARGE)),
    "JPEG of APP1 segments": ("/livez frozen", lambda: jpeg.with_segments(0xE1, b"Exif\0\0", LARGE)),
    "JPEG of APP2 profiles": ("not tried", lambda: jpeg.with_segments(0xE2, b"ICC_PROFILE\0\1\1", LARGE)),
    "JPEG of APP2 MPF": ("not tried", lambda: jpeg.with_segments(0xE2, b"MPF\0" + tiff.sharing_exif(600), LARGE)),
    "JPEG of APP13 resources": ("not tried", lambda: jpeg.with_segments(0xED, b"Photoshop 3.0\0", LARGE)),
    "JPEG of tables": ("not tried", lambda: jpeg.with_segments(0xC4, bytes([0x10, 1, *[0] * 15, 0xE0]), LARGE)),
    "WebP of empty chunks": ("not tried", lambda: tiff.webp_chunks(b"aaaa", b"", LARGE)),
    "TIFF of 1,000,000 strips": ("not tried", lambda: tiff.strips(1_000_000)),
    "TIFF of 100,000 pages": ("not tried", lambda: tiff.pages(100_000)),
    "BigTIFF of 500,000 entries": ("not tried", lambda: tiff.big(500_000)),
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_headers(pod: Pod, name: str) -> None:
    """Row 2. Both transports at once, and the same answer from both."""
    before, make = STRUCTURES[name]
    data = make()
    with watched(pod, f"{name}, {len(data) / MEBIBYTE:.0f} MiB, twice", before):
        http, grpc = at_once([lambda transport=transport: code(pod, transport, data) for transport in ("http", "grpc")])
        assert http == grpc
        assert http in {"OK", "IMAGE_TOO_MANY_BYTES", "IMAGE_TOO_MANY_PIXELS", "IMAGE_UNDECODABLE", "IMAGE_TRUNCATED"}


DIRECTORIES: dict[str, Callable[[], bytes]] = {
    "TIFF, 1,000 values share 4 MiB": lambda: tiff.sharing(1000, 4 * MEBIBYTE),
    "BigTIFF, 1,000 values share 2 MiB": lambda: tiff.big(1000, None, 2 * MEBIBYTE),
    "BigTIFF, 2^40 entries claimed": lambda: tiff.big(10, 2**40),
    "BigTIFF, values of 2^50 bytes": lambda: tiff.big(100, None, 2**50),
    "BigTIFF, its directory at 2^64 - 8": lambda: tiff.big(10)[:8] + b"\xf8" + b"\xff" * 7 + bytes(100),
    "TIFF, a circle of directories": tiff.in_a_circle,
    "Exif in a PNG, 40,000 values share 500 kB": lambda: _png_exif(tiff.sharing_exif(500_000)),
    "Exif in a JPEG, 5,000 values share 64 kB": lambda: jpeg.with_exif(tiff.sharing_exif()),
    "Exif in a WebP, 40,000 values share 500 kB": lambda: tiff.webp_exif(tiff.sharing_exif(500_000)),
}


def _png_exif(block: bytes) -> bytes:
    return png.with_chunks(b"eXIf", block, len(block) + 12)


@pytest.mark.parametrize("name", DIRECTORIES)
def test_directories(pod: Pod, name: str) -> None:
    """Values that add up to more than the file: refused, or not looked at."""
    data = DIRECTORIES[name]()
    with watched(pod, f"{name}, 8 at once", "not tried", peak=pod.busy + 256 * MEBIBYTE):
        found = at_once([lambda transport=transport: code(pod, transport, data) for transport in ("http", "grpc") * 4])
        assert len(set(found)) == 1
        assert set(found) <= {"OK", "IMAGE_UNDECODABLE", "IMAGE_TRUNCATED", "IMAGE_TOO_MANY_BYTES"}


ANIMATIONS: dict[str, Callable[[], bytes]] = {
    "APNG of 50,000 frames": lambda: png.animated(50_000),
    "WebP of 2,000 frames": lambda: tiff.webp_frames(2000),
}


@pytest.mark.parametrize("name", ANIMATIONS)
def test_animations(pod: Pod, name: str) -> None:
    """The first frame is used, and the others cost nothing."""
    data = ANIMATIONS[name]()
    with watched(pod, f"{name}, 8 at once", "not tried", peak=pod.busy + 256 * MEBIBYTE):
        found = at_once([lambda transport=transport: code(pod, transport, data) for transport in ("http", "grpc") * 4])
        assert len(set(found)) == 1
        assert found[0] in {"OK", "IMAGE_TOO_MANY_BYTES", "IMAGE_TOO_MANY_PIXELS"}


def test_deep_pixels(pod: Pod) -> None:
    """Row 9. Eight bytes a pixel in the file, three in the answer: converted in strips."""
    size: tuple[int, int] = scaled((6000, 5000), (15_000, 8000))
    data = png.deep(*size)
    # 1.2 GiB for 120 megapixels.
    peak = pod.busy + int(1.0 * 2**30 * size[0] * size[1] / 120e6) + 64 * MEBIBYTE
    name = f"PNG of {len(data) // 1024} KiB, {size[0] * size[1] // 10**6} MP, RGBA of 16 bits"
    with watched(pod, name, "2.9 GB, then 504 (120 MP)", peak=peak):
        for transport in ("http", "grpc"):
            assert code(pod, transport, data) == "OK"


def test_warnings_of_the_parser_are_not_kept(pod: Pod) -> None:
    """Pillow warns in sentences of the caller's numbers, and Python keeps each sentence it has shown for ever."""
    requests: list[dict[str, Any]] = [{"entries": 600, "claimed": None, "value": 2**40 + number} for number in range(40)]
    with watched(pod, "40 TIFFs that Pillow warns about 600 times each", "not tried"):
        at_once([lambda one=one: code(pod, "http", tiff.big(**one)) for one in requests])
    assert "Warning" not in pod.log
