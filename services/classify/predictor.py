"""Which type of sculpture does a photograph show? Pixels and tensors in, dataclasses out; no transport."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from services.classify import explanation
from services.common import errors, images
from services.common.models import Bundle, BundleError, Label, Tensors, details

DEFAULT_TOP_K = 3
ACTIVATION = "activation"
# Logits, were all of the photograph like its highest place. A map that says less is drawn as faint as it is: stretched by
# its own maximum, a blank wall would glow.
FAINTEST = 2.0


class Parameters(BaseModel):
    """What a caller may choose."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    top_k: int | None = Field(None, ge=1, description="how many types to answer, best first; default 3")
    confidence: float | None = Field(
        None, ge=0, le=1, description="least probability of an answer; below it the model abstains; default: the model's"
    )
    explain: bool = Field(False, description="also answer a picture of where the photograph speaks for the first of the types")


class Details(BaseModel):
    """The service's own part of the manifest."""

    abstain_below: float = Field(
        ge=0,
        le=1,
        description="abstain when the best probability, times that of a sculpture where the graph has it, is below this",
    )


class Reason(StrEnum):
    """Why the model abstains."""

    NO_SCULPTURE = "hardly a sculpture is seen"
    UNSURE_OF_TYPE = "no type is probable enough"


@dataclass(frozen=True, slots=True)
class Prediction:
    """A label and its calibrated probability, 0 to 1."""

    label: Label
    probability: float


@dataclass(frozen=True, slots=True)
class Classification:
    """``predictions`` best first; ``reason`` where the model abstains, by ``confidence``, and a person should decide;
    ``explanation`` a PNG where asked for.
    """

    predictions: tuple[Prediction, ...]
    reason: Reason | None
    confidence: float
    notes: tuple[str, ...]
    explanation: bytes | None = None

    @property
    def abstained(self) -> bool:
        return self.reason is not None


class Predictor:
    """Reads the graph's ``probabilities: float32[batch, labels]``, which sum to 1.

    A graph with ``sculpture: float32[batch]`` also knows how likely there is one at all, and abstains where not.
    A graph with ``activation: float32[batch, rows, columns, labels]`` can explain: how much each place speaks for each label.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._labels = bundle.manifest.labels
        self._details = details(bundle, Details)
        self._resize = bundle.manifest.input.resize
        self._can_explain = ACTIVATION in bundle.outputs
        if not self._labels or "probabilities" not in bundle.outputs:
            raise BundleError(f"{bundle.path}: a classifier needs labels and an output `probabilities`")

    def check(self, parameters: Parameters) -> None:
        """Raises ``ParameterInvalid`` for more types than there are, and for what the model cannot explain."""
        if parameters.top_k and parameters.top_k > len(self._labels):
            raise errors.ParameterInvalid(f"Parameter `top_k` should be from 1 to {len(self._labels)}.")
        if parameters.explain and not self._can_explain:
            raise errors.ParameterInvalid("Parameter `explain` should be left out: this model cannot explain its answers.")

    def needs_full_size(self, parameters: Parameters) -> bool:
        # A photograph shrunk for the model alone is too small to look at.
        return parameters.explain

    def answer(self, photograph: images.Decoded, outputs: Tensors, parameters: Parameters) -> Classification:
        """``outputs["probabilities"]``: float32 [labels]; ``outputs["activation"]``: float32 [rows, columns, labels]."""
        probabilities = outputs["probabilities"]
        confidence = self._details.abstain_below if parameters.confidence is None else parameters.confidence
        best = np.argsort(-probabilities, kind="stable")[: parameters.top_k or DEFAULT_TOP_K]
        return Classification(
            predictions=tuple(Prediction(self._labels[i], float(probabilities[i])) for i in best),
            reason=_reason(float(probabilities.max()), float(outputs.get("sculpture", 1.0)), confidence),
            confidence=confidence,
            notes=photograph.notes,
            explanation=(
                explanation.overlay(photograph.pixels, heat(outputs[ACTIVATION], int(best[0])), self._resize)
                if parameters.explain
                else None
            ),
        )


def _reason(best: float, sculpture: float, confidence: float) -> Reason | None:
    """``best``: the highest probability of a type, ``sculpture``: that there is one at all; together they must reach
    ``confidence``. The smaller of the two is the reason.
    """
    if best * sculpture >= confidence:
        return None
    return Reason.NO_SCULPTURE if sculpture < best else Reason.UNSURE_OF_TYPE


def heat(activation: npt.NDArray[np.float32], label: int) -> npt.NDArray[np.float32]:
    """Activation [rows, columns, labels] -> heat [rows, columns], 0 to 1: how much each place speaks for ``label``.

    ``activation`` is what a place adds to each logit, the class activation map (Zhou et al. 2016, section 2). It is held
    against the mean of all labels, because softmax knows differences only.
    """
    places = activation.shape[0] * activation.shape[1]
    for_label = np.maximum(activation[..., label] - activation.mean(-1), 0) * places
    return np.asarray(for_label / max(float(for_label.max()), FAINTEST), np.float32)
