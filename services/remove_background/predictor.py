"""Which pixels of a photograph are the object? Pixels and tensors in, dataclasses out; no transport."""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass
from enum import StrEnum

import mahotas
import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from services.common import images
from services.common.models import Bundle, BundleError, Tensors, details
from services.remove_background import look, refine

Mask = npt.NDArray[np.uint8]
# What the graph answered when it was asked again, beside its first answer.
SECOND = "second_probability"
# Smaller regions are specks, not components of the object.
SMALLEST_COMPONENT = 0.001


class Output(StrEnum):
    """What to answer."""

    MASK = "mask"
    CUTOUT = "cutout"
    BOTH = "both"

    @classmethod
    def _missing_(cls, value: object) -> Output | None:
        return cls.BOTH if value == "both-as-json" else None  # its name until 0.1


class Parameters(BaseModel):
    """What a caller may choose."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    output: Output = Field(
        Output.MASK, description="the mask, the cut-out (the photograph with the mask as its alpha channel), or both"
    )
    frame: images.Frame = Field(images.Frame.SENSOR, description="rows as the camera stored them, or upright")
    threshold: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="probability from which a pixel is object; default: the model's, without the regions it nowhere is sure of",
    )


class Details(BaseModel):
    """The service's own part of the manifest.

    A region above ``threshold`` is object only if its probability reaches ``strong`` somewhere; 0: every region is.
    """

    threshold: float = Field(gt=0, lt=1)
    strong: float = Field(0, ge=0, lt=1)


@dataclass(frozen=True, slots=True)
class Report:
    """``coverage`` 0-1; ``edges`` whether the object touches top, right, bottom, left; ``uncertainty`` 0-1."""

    width: int
    height: int
    coverage: float
    edges: tuple[bool, bool, bool, bool]
    components: int
    empty: bool
    uncertainty: float


@dataclass(frozen=True, slots=True)
class Removal:
    """PNGs of the photograph's pixel size in the frame asked for; empty bytes where not asked for."""

    mask: bytes
    cutout: bytes
    report: Report
    notes: tuple[str, ...]


class Predictor:
    """Reads ``probability: float32[batch, height, width]``, of a pixel being object."""

    def __init__(self, bundle: Bundle) -> None:
        self._details, self._prepare = details(bundle, Details), bundle.prepare
        if "probability" not in bundle.outputs:
            raise BundleError(f"{bundle.path}: a mask model needs an output `probability`")
        if bundle.manifest.input.resize is not images.ResizeRule.SQUASH:
            raise BundleError(f"{bundle.path}: masks are stretched back over the photograph, so the resize rule must be squash")

    def check(self, parameters: Parameters) -> None:
        """Every value the parameters admit is good for every model."""

    def needs_full_size(self, parameters: Parameters) -> bool:
        return parameters.output is not Output.MASK

    def second_view(self, photograph: images.Decoded, outputs: Tensors, parameters: Parameters) -> images.RGB | None:
        """What the model should be asked about as well, prepared for it; its ``probability`` goes into ``outputs`` as
        ``SECOND``. None where one look is enough."""
        where = look.part(self._sure(outputs["probability"], parameters), self._threshold(parameters), photograph.pixels)
        return self._prepare(photograph.pixels[where]) if where else None

    def answer(self, photograph: images.Decoded, outputs: Tensors, parameters: Parameters) -> Removal:
        """``outputs``: ``probability`` float32 [height, width] of the model's size, upright, and ``SECOND`` likewise where
        :meth:`second_view` asked for it."""
        threshold, pixels = self._threshold(parameters), photograph.pixels
        probability, where = self._sure(outputs["probability"], parameters), None
        if SECOND in outputs and (where := look.part(probability, threshold, pixels)):
            both = look.joined(outputs["probability"], outputs[SECOND], where, pixels.shape[:2])
            probability = self._sure(both, parameters)
        mask = full_size_mask(probability, pixels, (photograph.height, photograph.width), threshold, where)
        in_sensor_frame, wants = parameters.frame is images.Frame.SENSOR, parameters.output
        if in_sensor_frame:
            mask = images.to_sensor(mask, photograph.orientation)
        cutout = b""
        if wants is not Output.MASK:
            pixels = photograph.pixels
            cutout = _png(np.dstack([images.to_sensor(pixels, photograph.orientation) if in_sensor_frame else pixels, mask]))
        return Removal(
            mask=b"" if wants is Output.CUTOUT else _png(mask),
            cutout=cutout,
            report=report(mask, probability, threshold, pixels[where].size / pixels.size if where else 1),
            notes=photograph.notes,
        )

    def _threshold(self, parameters: Parameters) -> float:
        return parameters.threshold or self._details.threshold

    def _sure(self, probability: refine.Probability, parameters: Parameters) -> refine.Probability:
        # Who asks for a threshold gets every pixel from it on.
        strong = self._details.strong if parameters.threshold is None else 0
        return refine.without_weak(probability, self._threshold(parameters), strong)


def full_size_mask(
    probability: refine.Probability,
    pixels: images.RGB,
    size: tuple[int, int],
    threshold: float,
    where: refine.Part | None = None,
) -> Mask:
    """Probability [h, w] and its photograph uint8 [H, W, 3], perhaps shrunk -> mask uint8 of ``size`` = (height, width),
    the photograph's own: 255 object, 0 background. ``where``: the probability is of these rows and columns, and 0 elsewhere.

    The probability is refined, interpolated and cut at the threshold itself: its own range is never stretched, so that an
    empty scene stays empty.
    """
    height, width = size
    # 8 bits cost a quarter of float's memory at 50 MP.
    level = refine.refine(probability, pixels[where] if where else pixels, threshold)
    if where:
        level = look.placed(level, where, pixels.shape[:2])
    return np.asarray(Image.fromarray(level).resize((width, height), Image.Resampling.BILINEAR).point([0] * 128 + [255] * 128))


def report(mask: Mask, probability: npt.NDArray[np.float32], threshold: float, share: float = 1) -> Report:
    """What the mask is like; components and uncertainty are measured at the model's size, where the mask was decided, of the
    part that was looked at last: ``share`` of the photograph."""
    small = probability >= threshold
    # Pixels that touch by a corner belong together.
    sizes = mahotas.labeled.labeled_size(mahotas.label(small, np.ones((3, 3), bool))[0])[1:]
    near = mahotas.dilate(small, np.ones((5, 5), bool))
    doubt = 4 * probability * (1 - probability)
    return Report(
        width=mask.shape[1],
        height=mask.shape[0],
        coverage=float(np.count_nonzero(mask) / mask.size),
        edges=(bool(mask[0].any()), bool(mask[:, -1].any()), bool(mask[-1].any()), bool(mask[:, 0].any())),
        components=int((sizes * share >= SMALLEST_COMPONENT * small.size).sum()),
        empty=not mask.any(),
        uncertainty=float(doubt[near].mean() if near.any() else doubt.max()),
    )


def _png(pixels: npt.NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    # A mask is runs of two values: coded as such it takes three quarters of level 1's time and a third of its bytes.
    strategy = zlib.Z_RLE if pixels.ndim == 2 else zlib.Z_DEFAULT_STRATEGY
    Image.fromarray(pixels).save(stream, "PNG", compress_level=1, compress_type=strategy)
    return stream.getvalue()
