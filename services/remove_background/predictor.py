"""Which pixels of a photograph are the object? Pixels and tensors in, dataclasses out; no transport."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import mahotas
import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from services.common import errors, images
from services.common.models import Bundle, BundleError, Tensors, details
from services.remove_background import hypercolumns, look, png, refine
from services.remove_background.adapters import AdapterParameter
from services.remove_background.correction import View, adapted, hinted
from services.remove_background.hints import HintsParameter, Placed, shares, slices
from services.remove_background.hypercolumns import Hypercolumns

Mask = npt.NDArray[np.uint8]
# What the graph answered when it was asked again, beside its first answer.
SECOND = "second_probability"
# Smaller regions are specks, not components of the object.
SMALLEST_COMPONENT = 0.001
# What training writes for hints and adapters: the file in the bundle, and its output.
FEATURES_FILE, FEATURES = hypercolumns.FILE, hypercolumns.OUTPUT


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
    hints: HintsParameter = Field(None, description="places that a person marked as object or background, and a box")
    adapter: AdapterParameter = Field(None, description="what was learnt from photographs like this one")

    @property
    def guided(self) -> bool:
        return self.hints is not None or self.adapter is not None


class Lesson(Parameters):
    """A photograph to learn from: with its mask, an encoded picture of its size in the frame; else with hints."""

    mask: bytes = b""


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


@dataclass(frozen=True, slots=True)
class Example:
    """What is kept of a :class:`Lesson` until all are there: views, the whole photograph's first, and its share of object."""

    views: tuple[View, ...]
    coverage: float


class Predictor:
    """Reads ``probability: float32[batch, height, width]``, of a pixel being object."""

    def __init__(self, bundle: Bundle) -> None:
        self._details, self._prepare = details(bundle, Details), bundle.prepare
        self._model, self._hypercolumns = bundle.manifest, Hypercolumns(bundle)
        if "probability" not in bundle.outputs:
            raise BundleError(f"{bundle.path}: a mask model needs an output `probability`")
        if bundle.manifest.input.resize is not images.ResizeRule.SQUASH:
            raise BundleError(f"{bundle.path}: masks are stretched back over the photograph, so the resize rule must be squash")

    def check(self, parameters: Parameters) -> None:
        """Raises ``AdapterMismatch``, and ``ParameterInvalid`` for hints and adapters of a model that takes none."""
        if parameters.guided:
            self._hypercolumns.require()
        if parameters.adapter:
            parameters.adapter.check(self._model)

    def needs_full_size(self, parameters: Parameters) -> bool:
        return parameters.output is not Output.MASK

    def second_view(self, photograph: images.Decoded, outputs: Tensors, parameters: Parameters) -> images.RGB | None:
        """What the model should be asked about as well, prepared for it; its ``probability`` goes into ``outputs`` as
        ``SECOND``. None where one look is enough."""
        where = self._second_part(photograph, outputs, parameters)
        return self._prepare(photograph.pixels[where]) if where else None

    def _second_part(self, photograph: images.Decoded, outputs: Tensors, parameters: Parameters) -> refine.Part | None:
        probability, threshold = self._sure(outputs["probability"], parameters), self._threshold(parameters)
        return look.part(probability, threshold, photograph.pixels, scarce=parameters.guided)

    def guided(
        self,
        photograph: images.Decoded,
        prepared: images.RGB,
        parameters: Parameters,
        where: refine.Part | None = None,
    ) -> refine.Probability:
        """The probability of :attr:`Bundle.run`, obeying hints and adapter; ``prepared`` is the part ``where`` of the
        photograph, by default all of it. Raises ``ParameterInvalid`` for a mark outside of the photograph."""
        logits, columns = self._hypercolumns(prepared)
        if parameters.adapter:
            if len(parameters.adapter.weights) != len(columns):
                raise errors.ParameterInvalid("Parameter `adapter` is damaged: its weights are not all there.")
            logits = adapted(logits, columns, parameters.adapter.weights, parameters.adapter.constant)
        if parameters.hints:
            placed = Placed(parameters.hints, photograph, parameters.frame)
            part = shares(where, photograph.pixels.shape)
            logits = hinted(logits, columns, *placed.marks(part))
            if placed.box and not where:
                inside = np.zeros(logits.shape, bool)
                inside[slices(placed.box, logits.shape)] = True
                logits = np.where(inside, logits, np.float32(-20))
        return np.asarray(1 / (1 + np.exp(-np.clip(logits, -20, 20))), np.float32)

    def guided_outputs(self, photograph: images.Decoded, prepared: images.RGB, parameters: Parameters) -> Tensors:
        """What :meth:`answer` takes, of both looks, obeying hints and adapter."""
        outputs: Tensors = {"probability": self.guided(photograph, prepared, parameters)}
        if where := self._second_part(photograph, outputs, parameters):
            view = self._prepare(photograph.pixels[where])
            outputs[SECOND] = self.guided(photograph, view, parameters, where)
        return outputs

    def example(self, photograph: images.Decoded, lesson: Lesson) -> Example:
        """Views of the photograph with the mask of the lesson, or that which its hints lead to. Raises the errors of
        ``images.decode`` about the mask, and ``ParameterInvalid`` where it has another size."""
        mask = lessons_mask(photograph, lesson) if lesson.mask else self._hinted_mask(photograph, lesson)
        height, width = mask.shape
        parts: list[tuple[float, float, float, float]] = [(0, 0, 1, 1)]
        if mask.any():
            rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
            box = (columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height)
            for margin in (look.MARGIN, 3 * look.MARGIN):
                across, down = margin * (box[2] - box[0]), margin * (box[3] - box[1])
                parts.append((max(0, box[0] - across), max(0, box[1] - down), min(1, box[2] + across), min(1, box[3] + down)))
        views: list[View] = []
        for part in parts:
            pixels = photograph.pixels[slices(part, photograph.pixels.shape)]
            features = self._hypercolumns(self._prepare(pixels))
            views.append(View.of(*features, mask[slices(part, mask.shape)], step=4 if views else 2))
        return Example(tuple(views), float(np.count_nonzero(mask) / mask.size))

    def _hinted_mask(self, photograph: images.Decoded, lesson: Lesson) -> Mask:
        outputs = self.guided_outputs(photograph, self._prepare(photograph.pixels), lesson)
        return self._mask(photograph, outputs, lesson)[0]

    def answer(self, photograph: images.Decoded, outputs: Tensors, parameters: Parameters) -> Removal | Example:
        """``outputs``: ``probability`` float32 [height, width] of the model's size, upright, and ``SECOND`` likewise where
        :meth:`second_view` asked for it."""
        if isinstance(parameters, Lesson):
            return self.example(photograph, parameters)
        pixels = photograph.pixels
        mask, probability, where = self._mask(photograph, outputs, parameters)
        in_sensor_frame, wants = parameters.frame is images.Frame.SENSOR, parameters.output
        if in_sensor_frame:
            mask = images.to_sensor(mask, photograph.orientation)
        cutout = b""
        if wants is not Output.MASK:
            pixels = photograph.pixels
            turned = images.to_sensor(pixels, photograph.orientation) if in_sensor_frame else pixels
            cutout = png.encoded(np.dstack([turned, mask]))
        return Removal(
            mask=b"" if wants is Output.CUTOUT else png.encoded(mask),
            cutout=cutout,
            report=report(mask, probability, self._threshold(parameters), pixels[where].size / pixels.size if where else 1),
            notes=photograph.notes,
        )

    def _mask(
        self, photograph: images.Decoded, outputs: Tensors, parameters: Parameters
    ) -> tuple[Mask, refine.Probability, refine.Part | None]:
        """The mask, upright and of the photograph's own size; the probability it was made of, and of which part that is."""
        threshold, pixels = self._threshold(parameters), photograph.pixels
        probability, where = self._sure(outputs["probability"], parameters), None
        if SECOND in outputs and (where := look.part(probability, threshold, pixels, scarce=parameters.guided)):
            both = look.joined(outputs["probability"], outputs[SECOND], where, pixels.shape[:2])
            probability = self._sure(both, parameters)
        mask = full_size_mask(probability, pixels, (photograph.height, photograph.width), threshold, where)
        if parameters.hints:
            mask = Placed(parameters.hints, photograph, parameters.frame).paint(mask)
        return mask, probability, where

    def _threshold(self, parameters: Parameters) -> float:
        return parameters.threshold or self._details.threshold

    def _sure(self, probability: refine.Probability, parameters: Parameters) -> refine.Probability:
        # Who asks for a threshold gets every pixel from it on, who marks an object all that follows from it.
        strong = self._details.strong if parameters.threshold is None and not parameters.guided else 0
        return refine.without_weak(probability, self._threshold(parameters), strong)


def lessons_mask(photograph: images.Decoded, lesson: Lesson) -> Mask:
    """The mask of the lesson, upright: 255 where it is brighter than half. Raises as :meth:`Predictor.example` does."""
    turned = lesson.frame is images.Frame.SENSOR and photograph.orientation >= 5
    size = (photograph.height, photograph.width) if turned else (photograph.width, photograph.height)
    encoded = images.inspect(lesson.mask, images.Limits())
    if (encoded.width, encoded.height) != size:
        raise errors.ParameterInvalid(
            f"The mask is {encoded.width} x {encoded.height} pixels and the photograph {size[0]} x {size[1]} in this frame; "
            "send a mask of its size."
        )
    pixels = encoded.decode(images.Frame.DISPLAY).pixels
    mask = np.asarray(Image.fromarray(pixels).convert("L").point([0] * 128 + [255] * 128))
    return images.to_display(mask, photograph.orientation) if lesson.frame is images.Frame.SENSOR else mask


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
