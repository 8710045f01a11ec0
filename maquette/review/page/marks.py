"""What a person marks on a photograph: hints for the service, and strokes of a brush, in pixels of the upright picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageDraw

from maquette.client.errors import make
from maquette.review.page.upright import Turn

Mark = dict[str, Any]
POINT, STROKE, PAINT, ANEW = "point", "stroke", "paint", "anew"
# What the contract takes of hints (remove_background.proto), and of one stroke of a brush.
MOST_HINTS, MOST_VERTICES = 256, 4096


def parse(given: Any, size: tuple[int, int]) -> Mark:
    """A mark as the page sends it: ``kind`` point, stroke or paint; ``mark`` object or background; ``vertices`` [[x, y], ...]
    within ``size``, (width, height); for strokes and paint ``width`` in pixels. Raises :class:`ParameterInvalid`.
    """
    if not isinstance(given, dict) or given.get("kind") not in (POINT, STROKE, PAINT):
        raise make("PARAMETER_INVALID", "A mark has a kind: point, stroke or paint.")
    if given.get("mark") not in ("object", "background"):
        raise make("PARAMETER_INVALID", "mark takes object or background.")
    vertices = given.get("vertices")
    most = 1 if given["kind"] == POINT else MOST_VERTICES
    if not isinstance(vertices, list) or not 1 <= len(vertices) <= most:
        raise make("PARAMETER_INVALID", f"vertices takes 1 to {most} places, each [x, y].")
    made: Mark = {"kind": given["kind"], "mark": given["mark"], "vertices": [_place(one, size) for one in vertices]}
    if given["kind"] != POINT:
        made["width"] = _number(given.get("width"), 0.1, max(size) / 2, "width")
    return made


def _place(given: Any, size: tuple[int, int]) -> list[float]:
    if not isinstance(given, list) or len(given) != 2:
        raise make("PARAMETER_INVALID", "vertices takes places, each [x, y].")
    return [
        _number(value, 0, side, f"a place in a picture of {size[0]} x {size[1]} pixels")
        for value, side in zip(given, size, strict=True)
    ]


def _number(given: Any, least: float, most: float, what: str) -> float:
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not math.isfinite(given) or not least <= given <= most:
        raise make("PARAMETER_INVALID", f"{what} takes numbers from {least:g} to {most:g}.")
    return round(float(given), 1)


def since_anew(marks: Sequence[Mark]) -> list[Mark]:
    """Those that the mask is made of: what was marked before it was last made anew is gone from it."""
    start = max((index + 1 for index, one in enumerate(marks) if one["kind"] == ANEW), default=0)
    return list(marks[start:])


def hints(marks: Sequence[Mark], turn: Turn, *, upright: bool) -> dict[str, Any] | None:
    """As the client takes them, in the frame of the masks; None where there are none. Raises :class:`ParameterInvalid`."""

    def placed(vertex: list[float]) -> tuple[float, float]:
        width, height = turn.upright if upright else turn.stored
        x, y = (vertex[0], vertex[1]) if upright else turn.to_stored((vertex[0], vertex[1]))
        return min(x, width - 0.01), min(y, height - 0.01)  # the last pixel ends at the edge, which is outside

    points = [one for one in marks if one["kind"] == POINT]
    strokes = [one for one in marks if one["kind"] == STROKE]
    if max(len(points), len(strokes)) > MOST_HINTS or sum(len(one["vertices"]) for one in strokes) > MOST_VERTICES:
        raise make("PARAMETER_INVALID", "That is more hints than the service takes; finish with the brush, or undo some.")
    if not (points or strokes):
        return None
    return {
        "points": [{"x": x, "y": y, "mark": one["mark"]} for one in points for x, y in [placed(one["vertices"][0])]],
        "strokes": [
            {"vertices": [placed(vertex) for vertex in one["vertices"]], "width": one["width"], "mark": one["mark"]}
            for one in strokes
        ],
    }


def paint(mask: Image.Image, marks: Sequence[Mark], turn: Turn, *, upright: bool) -> None:
    """Draw the strokes of the brush into a mask (``L``, 255 object), with round ends."""
    draw = ImageDraw.Draw(mask)
    for one in marks:
        if one["kind"] != PAINT:
            continue
        fill, width = (255 if one["mark"] == "object" else 0), one["width"]
        line = [(x, y) if upright else turn.to_stored((x, y)) for x, y in one["vertices"]]
        if len(line) > 1:
            draw.line(line, fill=fill, width=max(1, round(width)), joint="curve")
        for x, y in line:
            draw.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=fill)
