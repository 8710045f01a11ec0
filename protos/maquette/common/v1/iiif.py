"""The IIIF Image API, versions 2 and 3: which rendition of a photograph to ask an image server for.

A photograph has an address, ``BASE``: ``BASE/info.json`` tells its size and what the server can make of it,
``BASE/REGION/SIZE/ROTATION/QUALITY.FORMAT`` is a rendition (Image API 3.0, sections 2 to 5). Paths here may go on in the query,
as some servers write them.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any

INFORMATION = "/info.json"
LAST = "default.jpg"
_WHOLE = re.compile(r"(?P<base>.+)/full/(?:full|max)/0/(?P<last>(?:default|color|native)\.(?:jpg|png|webp|tif))")
_LEVEL = re.compile(r"level([012])\b")
_MOST = 1_000_000


@dataclass(frozen=True)
class Information:
    """What ``info.json`` says, of both versions. ``sizes`` are (width, height) of renditions that are ready; ``widest`` is the
    widest rendition of the photograph's own shape that the server makes.
    """

    version: int
    level: int
    width: int
    height: int
    sizes: tuple[tuple[int, int], ...]
    features: tuple[str, ...]
    widest: float

    @classmethod
    def read(cls, said: bytes) -> Information:
        """Raises ``ValueError`` where that is no image of version 2 or 3."""
        try:
            return cls._of(json.loads(said))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
            raise ValueError("not an image of the IIIF Image API 2 or 3") from error

    @classmethod
    def _of(cls, said: dict[str, Any]) -> Information:
        profile, features = said.get("profile"), said.get("extraFeatures", ())
        if isinstance(profile, list):  # version 2 says its limits beside its level
            for each in profile[1:]:
                said = each | said
            profile, features = profile[0], said.get("supports", ())
        version = 3 if "/image/3/" in str(said.get("@context")) or said.get("type") == "ImageService3" else 2
        level = _LEVEL.search(str(profile))
        if "iiif.io/api/image" not in f"{said.get('protocol')} {said.get('@context')}" or level is None:
            raise ValueError
        width, height = _pixels(said["width"]), _pixels(said["height"])
        sizes = tuple((_pixels(size["width"]), _pixels(size["height"])) for size in said.get("sizes", ()))
        shape = width / height
        widest = said.get("maxWidth", math.inf)
        tallest = said.get("maxHeight", widest)
        area = math.sqrt(said["maxArea"] * shape) if "maxArea" in said else math.inf
        limit = float(min(widest, tallest * shape, area))
        return cls(version, int(level[1]), width, height, sizes, tuple(map(str, features)), limit)

    def size(self, least: int | None) -> str:
        """The ``SIZE`` of a rendition whose shorter side is at least ``least`` pixels; None: of the largest there is."""
        largest = "max" if self.version == 3 or self.widest < math.inf else "full"
        if least is None or least >= min(self.width, self.height):
            return largest
        if self.level == 0 and "sizeByW" not in self.features:
            ready = [size for size in self.sizes if min(size) >= least]
            if not ready:
                return largest
            width, height = min(ready)
            return f"{width},{height if self.version == 3 else ''}"
        width = math.ceil(self.width * least / min(self.width, self.height))
        return largest if width > self.widest else f"{width},"


def whole(path: str) -> tuple[str, str] | None:
    """The path of a rendition of a whole photograph in its full size -> that of its ``info.json``, and how the path ends.

    None for any other path: a rendition of another size, or of a part, is what its caller wants.
    """
    match = _WHOLE.fullmatch(path)
    return (match["base"] + INFORMATION, match["last"]) if match else None


def rendition(path: str, said: bytes, least: int | None, last: str = LAST) -> str:
    """The path of an ``info.json`` and its bytes -> the path of the whole photograph, its shorter side at least ``least``
    pixels where it has them. Raises ``ValueError`` where that is no Image API of version 2 or 3.
    """
    return f"{path.removesuffix(INFORMATION)}/full/{Information.read(said).size(least)}/0/{last}"


def _pixels(said: Any) -> int:
    if not isinstance(said, int) or not 1 <= said <= _MOST:
        raise ValueError
    return said
