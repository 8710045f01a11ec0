"""Label Studio's regions and the contract's words for them: masks as brush regions, clicks as hints, types as choices.

Label Studio gives places in percent of the picture as a browser shows it: upright by EXIF.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from label_studio_converter import brush
from label_studio_tools.core.label_config import parse_config
from numpy.typing import NDArray
from PIL import Image

from maquette.client.errors import make

# Bytes of a brush region, of which a hand-drawn one of 50 megapixels has about 1 MB.
_MOST_RLE = 16 * 2**20

Region = dict[str, Any]
Mask = NDArray[np.uint8]


@dataclass(frozen=True)
class Tag:
    """A control of the labelling page: its name, the picture it is for, and what it offers, by that in lower case."""

    name: str
    to: str
    field: str  # of a task's data, where the picture is
    offers: Mapping[str, str]


@dataclass(frozen=True)
class Page:
    """What of a project's labelling page Maquette can fill in."""

    brush: Tag | None = None
    choices: Tag | None = None


def page_of(label_config: str) -> Page:
    """The first BrushLabels and the first Choices that are for an Image. Raises :class:`ParameterInvalid`."""
    try:
        controls = parse_config(label_config)
    except Exception as error:  # lxml's and KeyErrors alike: it is no labelling configuration
        raise make("PARAMETER_INVALID", "The labelling configuration of the project cannot be read.") from error
    found: dict[str, Tag] = {}
    for name, control in controls.items():
        pictures = [one for one in control["inputs"] if one["type"] == "Image"]
        if pictures and control["type"] not in found:
            offers = {
                offer.casefold(): value
                for value in control["labels"]
                for offer in (value, control["labels_attrs"][value].get("value", value))
            }
            found[control["type"]] = Tag(name, control["to_name"][0], pictures[0]["value"], offers)
    made = Page(found.get("BrushLabels"), found.get("Choices"))
    if made.brush and not made.brush.offers:
        raise make("PARAMETER_INVALID", f"BrushLabels {made.brush.name} has no Label.")
    return made


def brush_region(tag: Tag, mask: bytes, score: float) -> list[Region]:
    """A mask (PNG, white is object) as one brush region of the tag's first label; none where no pixel is object."""
    with Image.open(io.BytesIO(mask)) as picture:
        pixels = np.where(np.asarray(picture.convert("L")) >= 128, 255, 0).astype(np.uint8)
    if not pixels.any():
        return []
    label = next(iter(tag.offers.values()))
    value = {"format": "rle", "rle": brush.mask2rle(pixels), "brushlabels": [label]}
    return [_region(tag, "brushlabels", value, score, pixels.shape)]


def choice(tag: Tag, predictions: Iterable[Any]) -> list[Region]:
    """The most probable type that the page offers, by its name or its label; none where it offers none of them."""
    for prediction in predictions:
        value = tag.offers.get(prediction.name.casefold()) or tag.offers.get(prediction.label.casefold())
        if value is not None:
            return [_region(tag, "choices", {"choices": [value]}, prediction.probability)]
    return []


def _region(tag: Tag, kind: str, value: Region, score: float, shape: Sequence[int] = ()) -> Region:
    size = {"original_height": shape[0], "original_width": shape[1], "image_rotation": 0} if shape else {}
    place = {"from_name": tag.name, "to_name": tag.to, "type": kind}
    return place | size | {"value": value, "score": round(float(score), 4), "readonly": False}


def hints(context: Mapping[str, Any]) -> dict[str, Any]:
    """Clicks and boxes of an interactive request as hints. A box that is not positive is a stroke along its diagonals.

    Raises :class:`ParameterInvalid`.
    """
    points, strokes, box = [], [], None
    try:
        for region in context["result"]:
            value, width, height = region["value"], int(region["original_width"]), int(region["original_height"])
            x, y = _pixel(value["x"], width), _pixel(value["y"], height)
            mark = "object" if region.get("is_positive", True) else "background"
            if region["type"] == "keypointlabels":
                points.append({"x": x, "y": y, "mark": mark})
            elif region["type"] == "rectanglelabels":
                right, bottom = _pixel(value["x"] + value["width"], width), _pixel(value["y"] + value["height"], height)
                if mark == "object":
                    box = {"left": x, "top": y, "right": max(right, x + 1), "bottom": max(bottom, y + 1)}
                else:
                    strokes += [{"vertices": [[x, y], [right, bottom]], "mark": mark}]
                    strokes += [{"vertices": [[right, y], [x, bottom]], "mark": mark}]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise make(
            "PARAMETER_INVALID", f"The interactive request has no regions as Label Studio sends them: {error}."
        ) from error
    return {"points": points, "strokes": strokes} | ({"box": box} if box else {})


def _pixel(percent: float, size: int) -> int:
    return min(max(int(percent * size / 100), 0), size - 1)


def mask_of(result: Iterable[Region], label: str | None) -> Mask | None:
    """The brush regions of an annotation together, uint8 [height, width], 255 object; of ``label`` where one is given.

    None where there is none. Raises :class:`ParameterInvalid` for a region that is not of the picture's size.
    """
    whole: Mask | None = None
    for region in result:
        value = region.get("value", {})
        if region.get("type") != "brushlabels" or (label and label not in value.get("brushlabels", ())):
            continue
        width, height, rle = int(region["original_width"]), int(region["original_height"]), value.get("rle") or []
        # The first four bytes say how much it will be: as many values as four channels have.
        if not 4 < len(rle) <= _MOST_RLE or int.from_bytes(bytes(rle[:4]), "big") != width * height * 4:
            raise make("PARAMETER_INVALID", f"A brush region is not of {width} x {height} pixels.")
        alpha = brush.decode_rle(rle).reshape(height, width, 4)[:, :, 3]
        layer = np.where(alpha >= 128, 255, 0).astype(np.uint8)
        if whole is not None and whole.shape != layer.shape:
            raise make("PARAMETER_INVALID", "The brush regions of one annotation are of two sizes.")
        whole = layer if whole is None else np.maximum(whole, layer)
    return whole
