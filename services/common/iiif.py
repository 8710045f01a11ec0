"""The IIIF Image API, versions 2 and 3: which rendition of a photograph to ask an image server for.

A photograph has an address, ``BASE``: ``BASE/info.json`` tells its size and what the server can make of it,
``BASE/REGION/SIZE/ROTATION/QUALITY.FORMAT`` is a rendition (Image API 3.0, sections 2 to 5). Paths here may go on in the query,
as some servers write them.
"""

from __future__ import annotations

import math
import re
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError, model_validator

INFORMATION = "/info.json"
LAST = "default.jpg"
_WHOLE = re.compile(r"(?P<base>.+)/full/(?:full|max)/0/(?P<last>(?:default|color|native)\.(?:jpg|png|webp|tif))")
_LEVEL = re.compile(r"(?:level|#level|compliance.*level)([012])\b")

Pixels = Annotated[int, Field(ge=1, le=1_000_000)]


class Size(BaseModel):
    """Of a rendition that the server has ready."""

    width: Pixels
    height: Pixels


class Information(BaseModel):
    """What ``info.json`` says, of both versions. Limits are pixels; a ``max_height`` that is not said is the ``max_width``."""

    version: int
    level: int
    width: Pixels
    height: Pixels
    sizes: list[Size] = []
    features: list[str] = []
    max_width: Pixels | None = Field(None, alias="maxWidth")
    max_height: Pixels | None = Field(None, alias="maxHeight")
    max_area: Annotated[int, Field(ge=1)] | None = Field(None, alias="maxArea")

    @model_validator(mode="before")
    @classmethod
    def _of_either_version(cls, said: Any) -> Any:
        """Version 2 says its limits beside its level in ``profile``."""
        profile, features = said.get("profile"), said.get("extraFeatures", [])
        version = 3 if "/image/3/" in str(said.get("@context")) or said.get("type") == "ImageService3" else 2
        if isinstance(profile, list):
            more: dict[str, Any] = {}
            for each in profile:
                more |= each if isinstance(each, dict) else {}
            profile, features = next((each for each in profile if isinstance(each, str)), ""), more.get("supports", [])
            said = more | said
        level = _LEVEL.search(str(profile))
        if "iiif.io/api/image" not in f"{said.get('protocol')} {said.get('@context')}" or level is None:
            raise ValueError("not an image of the IIIF Image API 2 or 3")
        return said | {"version": version, "level": int(level[1]), "features": features}

    def size(self, least: int | None) -> str:
        """The ``SIZE`` of a rendition whose shorter side is at least ``least`` pixels; None: of the largest there is."""
        limited = self.max_width or self.max_height or self.max_area
        largest = "max" if self.version == 3 or limited else "full"
        if least is None or least >= min(self.width, self.height):
            return largest
        if self.level == 0 and "sizeByW" not in self.features:
            ready = [size for size in self.sizes if min(size.width, size.height) >= least]
            if not ready:
                return largest
            smallest = min(ready, key=lambda size: size.width)
            return f"{smallest.width},{smallest.height if self.version == 3 else ''}"
        width = math.ceil(self.width * least / min(self.width, self.height))
        return largest if width > self._widest() else f"{width},"

    def _widest(self) -> float:
        """The limits as a width, for renditions of the photograph's own shape."""
        shape = self.width / self.height
        tallest = self.max_height or self.max_width or math.inf
        area = math.sqrt(self.max_area * shape) if self.max_area else math.inf
        return min(self.max_width or math.inf, tallest * shape, area)


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
    try:
        size = Information.model_validate_json(said).size(least)
    except (ValidationError, AttributeError, RecursionError) as error:
        raise ValueError("not an image of the IIIF Image API 2 or 3") from error
    return f"{path.removesuffix(INFORMATION)}/full/{size}/0/{last}"
