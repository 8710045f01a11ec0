"""What a person marks on a photograph: points, strokes and a box, and where they lie in what the model sees."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic_core import from_json

from protos.maquette.remove_background.v1 import remove_background_pb2 as pb
from services.common import errors, images
from services.common.grpc_server import chosen
from services.remove_background.refine import Part

MOST_POINTS, MOST_STROKES, MOST_VERTICES = 256, 256, 4096
# Radius of the disk that a point marks, and half the width of a stroke that says none: of the photograph's longer side.
REACH = 1 / 400
# Widest stroke, of the longer side; marks of one view that are learnt from.
_WIDEST, _MOST_MARKS = 0.25, 400

Place = tuple[float, float]


class Mark(StrEnum):
    """What a place is."""

    OBJECT = "object"
    BACKGROUND = "background"


FRAMES = {
    pb.FRAME_UNSPECIFIED: images.Frame.SENSOR,
    pb.FRAME_SENSOR: images.Frame.SENSOR,
    pb.FRAME_DISPLAY: images.Frame.DISPLAY,
}
# One that is not said is left for the parameters to refuse.
_MARKS = {pb.MARK_OBJECT: Mark.OBJECT, pb.MARK_BACKGROUND: Mark.BACKGROUND}


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Point(_Frozen):
    """A pixel's column and row; fractions are within the pixel."""

    x: float
    y: float
    mark: Mark


class Stroke(_Frozen):
    """A line through the vertices (x, y), ``width`` pixels wide; one vertex is a dot."""

    vertices: tuple[Place, ...] = Field(min_length=1, max_length=MOST_VERTICES)
    width: float | None = Field(None, gt=0)
    mark: Mark


class Box(_Frozen):
    """The object lies within: what is outside is background."""

    left: float
    top: float
    right: float
    bottom: float

    @model_validator(mode="after")
    def _has_an_area(self) -> Box:
        if not (self.left < self.right and self.top < self.bottom):
            raise ValueError("of the box should have left < right and top < bottom")
        return self


class Hints(_Frozen):
    """In pixels of the photograph, in the frame asked for. Where marks meet, points win over strokes, later over earlier."""

    points: tuple[Point, ...] = Field((), max_length=MOST_POINTS)
    strokes: tuple[Stroke, ...] = Field((), max_length=MOST_STROKES)
    box: Box | None = None

    @model_validator(mode="after")
    def _few_vertices(self) -> Hints:
        if sum(len(stroke.vertices) for stroke in self.strokes) > MOST_VERTICES:
            raise ValueError(f"of all strokes should have at most {MOST_VERTICES} vertices together")
        return self


def _of_text(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return from_json(value, allow_inf_nan=False)
        except ValueError:
            raise ValueError("should be JSON") from None
    return value


HintsParameter = Annotated[
    Hints | None,
    BeforeValidator(_of_text),
    WithJsonSchema({"type": "object", "title": "Hints", "description": "the message Hints as JSON"}),
]


def of_message(message: pb.Hints) -> dict[str, Any]:
    """The hints as their model takes them, judged there; how many there are is judged before they are copied. Raises
    ``ParameterInvalid``."""
    vertices = sum(len(stroke.vertices) for stroke in message.strokes)
    if len(message.points) > MOST_POINTS or len(message.strokes) > MOST_STROKES or vertices > MOST_VERTICES:
        raise errors.ParameterInvalid(
            f"Parameter `hints` should have at most {MOST_POINTS} points, and {MOST_STROKES} strokes "
            f"with {MOST_VERTICES} vertices together."
        )
    values: dict[str, Any] = {
        "points": [{"x": point.x, "y": point.y, "mark": _MARKS.get(point.mark, point.mark)} for point in message.points],
        "strokes": [
            {
                "vertices": [(vertex.x, vertex.y) for vertex in stroke.vertices],
                "mark": _MARKS.get(stroke.mark, stroke.mark),
                **chosen(stroke, "width"),
            }
            for stroke in message.strokes
        ],
    }
    if message.HasField("box"):
        values["box"] = {side: getattr(message.box, side) for side in ("left", "top", "right", "bottom")}
    return values


class Placed:
    """Hints on one photograph of ``width`` x ``height``, its size upright, brought to the upright frame in shares of the sides.

    Raises ``ParameterInvalid`` for a place outside of the photograph.
    """

    def __init__(self, hints: Hints, photograph: images.Decoded, frame: images.Frame) -> None:
        self._size = (photograph.width, photograph.height)
        self._orientation = photograph.orientation if frame is images.Frame.SENSOR else 1
        self._given = self._size[::-1] if self._orientation >= 5 else self._size
        longer = max(self._size)
        # (vertices [n, 2], half the width as a share of the longer side, is it object)
        self.lines = [
            (self._upright(stroke.vertices), min((stroke.width or 2 * REACH * longer) / 2 / longer, _WIDEST), stroke.mark)
            for stroke in hints.strokes
        ]
        self.lines += [(self._upright(((point.x, point.y),)), REACH, point.mark) for point in hints.points]
        self.box: tuple[float, float, float, float] | None = None
        if box := hints.box:
            corners = self._upright(((box.left, box.top), (box.right, box.bottom)), most=1)
            (left, top), (right, bottom) = corners.min(0), corners.max(0)
            self.box = (float(left), float(top), float(right), float(bottom))

    def _upright(self, vertices: tuple[Place, ...], most: int = 0) -> npt.NDArray[np.float64]:
        places = np.array(vertices)
        width, height = self._given
        # A box may end on the far edge; a pixel may not begin there.
        inside = (places >= 0) & ((places <= self._given) if most else (places < self._given))
        if not inside.all():
            raise errors.ParameterInvalid(
                f"Parameter `hints` marks a place outside of the photograph, which is {width} x {height} pixels in this frame."
            )
        u, v = (places / self._given).T
        x, y = {
            1: (u, v),
            2: (1 - u, v),
            3: (1 - u, 1 - v),
            4: (u, 1 - v),
            5: (v, u),
            6: (1 - v, u),
            7: (1 - v, 1 - u),
            8: (v, 1 - u),
        }[self._orientation]
        return np.stack([x, y], 1)

    def marks(self, where: tuple[float, float, float, float]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Places [n, 2] (x, y) within the part ``where`` = (left, top, right, bottom), in shares of its sides, and what each
        is: 1 object, -1 background. The border of the box counts as background."""
        spacing = (where[2] - where[0]) / 80
        places = [
            (place, 1.0 if mark is Mark.OBJECT else -1.0)
            for vertices, reach, mark in self.lines
            for place in _along(vertices, reach, spacing)
        ]
        if self.box:
            left, top, right, bottom = self.box
            out = np.array([left - spacing, top - spacing, right + spacing, bottom + spacing])
            ring = out[[[0, 1], [2, 1], [2, 3], [0, 3], [0, 1]]]
            places += [(place, -1.0) for place in _along(ring, 0, 4 * spacing)]
        if not places:
            return np.zeros((0, 2), np.float32), np.zeros(0, np.float32)
        at = (np.array([place for place, _ in places]) - where[:2]) / np.subtract(where[2:], where[:2])
        sign = np.array([sign for _, sign in places])
        inside = ((at >= 0) & (at < 1)).all(1)
        at, sign = at[inside], sign[inside]
        if len(at) > _MOST_MARKS:
            chosen = np.linspace(0, len(at) - 1, _MOST_MARKS).astype(int)
            at, sign = at[chosen], sign[chosen]
        return at.astype(np.float32), sign.astype(np.float32)

    def paint(self, mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """The mask [h, w], upright and of any size, with every marked place as it was marked."""
        picture = Image.fromarray(mask).copy()
        size = np.array(picture.size)
        draw, longer = ImageDraw.Draw(picture), max(picture.size)
        for vertices, reach, mark in self.lines:
            value, radius = 255 if mark is Mark.OBJECT else 0, max(reach * longer, 0.5)
            pixels = [tuple(float(side) for side in place) for place in vertices * size]
            if len(pixels) > 1:
                draw.line(pixels, value, max(1, round(2 * radius)), joint="curve")
            for x, y in (pixels[0], pixels[-1]):
                draw.ellipse((x - radius, y - radius, x + radius, y + radius), value)
                # The smallest ellipse may miss the pixel it lies in.
                draw.point((int(x), int(y)), value)
        if self.box:
            part = slices(self.box, mask.shape)
            inside = np.asarray(picture)[part]
            painted = np.zeros_like(mask)
            painted[part] = inside
            return painted
        return np.asarray(picture)


def shares(where: Part | None, size: tuple[int, ...]) -> tuple[float, float, float, float]:
    """Rows and columns of an array of ``size`` -> (left, top, right, bottom) in shares of its sides; all of it for None."""
    if where is None:
        return 0.0, 0.0, 1.0, 1.0
    (rows, columns), (height, width) = where, size[:2]
    return columns.start / width, rows.start / height, columns.stop / width, rows.stop / height


def slices(box: tuple[float, float, float, float], size: tuple[int, ...]) -> Part:
    """(left, top, right, bottom) in shares of the sides -> rows and columns of an array of ``size`` that hold it."""
    (left, top, right, bottom), (height, width) = box, size[:2]
    rows = slice(int(top * height), max(int(top * height) + 1, int(np.ceil(bottom * height))))
    return rows, slice(int(left * width), max(int(left * width) + 1, int(np.ceil(right * width))))


def _along(vertices: npt.NDArray[np.float64], reach: float, spacing: float) -> Iterator[npt.NDArray[np.float64]]:
    """Places along the line, about ``spacing`` apart, and to both sides of it where it is wider than that."""
    yield vertices[0]
    for start, end in pairwise(vertices):
        length = float(np.hypot(*(end - start)))
        steps = min(_MOST_MARKS, max(1, round(length / spacing)))
        across = np.array([-(end - start)[1], (end - start)[0]]) / max(length, 1e-9)
        for step in range(1, steps + 1):
            middle = start + (end - start) * step / steps
            yield middle
            if reach > spacing:
                yield middle + across * reach * 0.7
                yield middle - across * reach * 0.7
