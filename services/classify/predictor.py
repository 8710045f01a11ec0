"""Which type of sculpture does a photograph show? Pixels and tensors in, dataclasses out; no transport."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from services.common import errors, images
from services.common.batching import Tensors
from services.common.models import Bundle, BundleError, Label, details

DEFAULT_TOP_K = 3


class Parameters(BaseModel):
    """What a caller may choose."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    top_k: int | None = Field(None, ge=1, description="how many types to answer, best first; default 3")


class Details(BaseModel):
    """The service's own part of the manifest."""

    abstain_below: float = Field(ge=0, le=1, description="abstain when the best probability is below this")


@dataclass(frozen=True, slots=True)
class Prediction:
    """A label and its calibrated probability, 0 to 1."""

    label: Label
    probability: float


@dataclass(frozen=True, slots=True)
class Classification:
    """``predictions`` best first; ``abstained`` when a person should decide."""

    predictions: tuple[Prediction, ...]
    abstained: bool
    notes: tuple[str, ...]


class Predictor:
    """Reads the graph's ``probabilities: float32[batch, labels]``, which sum to 1."""

    def __init__(self, bundle: Bundle) -> None:
        self._labels = bundle.manifest.labels
        self._details = details(bundle, Details)
        if not self._labels or "probabilities" not in bundle.outputs:
            raise BundleError(f"{bundle.path}: a classifier needs labels and an output `probabilities`")

    def check(self, parameters: Parameters) -> None:
        """Raises ``ParameterInvalid`` when more types are asked for than there are."""
        if parameters.top_k and parameters.top_k > len(self._labels):
            raise errors.ParameterInvalid(f"Parameter `top_k` should be from 1 to {len(self._labels)}.")

    def needs_full_size(self, parameters: Parameters) -> bool:
        return False

    def answer(self, photograph: images.Decoded, outputs: Tensors, parameters: Parameters) -> Classification:
        """``outputs["probabilities"]``: float32 [labels]."""
        probabilities = outputs["probabilities"]
        best = np.argsort(-probabilities, kind="stable")[: parameters.top_k or DEFAULT_TOP_K]
        return Classification(
            predictions=tuple(Prediction(self._labels[i], float(probabilities[i])) for i in best),
            abstained=bool(probabilities.max() < self._details.abstain_below),
            notes=photograph.notes,
        )
