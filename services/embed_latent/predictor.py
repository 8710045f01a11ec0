"""Where does a figurine lie in the latent plane? Pixels and tensors in, dataclasses out; no transport."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from services.common import images
from services.common.batching import Tensors
from services.common.models import Bundle, BundleError, details

REFERENCE = "reference.npz"
# Neighbours whose mean distance says how unlike the training set a photograph is.
NEIGHBOURS = 5


class Parameters(BaseModel):
    """What a caller may choose."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    features: bool = Field(False, description="also answer the encoder's wider feature vector")


class Prior(BaseModel):
    """A normal prior."""

    mean: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]


class Details(BaseModel):
    """The service's own part of the manifest.

    ``unlike_above`` is a mean Euclidean distance to the nearest training photographs, in the feature space.
    """

    prior: Prior
    groups: tuple[str, ...]
    unlike_above: float = Field(gt=0)


@dataclass(frozen=True, slots=True)
class Embedding:
    """``latent`` float32 [dimensions]; ``features`` float32 [width] where asked for; ``prior_distance`` in deviations."""

    latent: npt.NDArray[np.float32]
    features: npt.NDArray[np.float32] | None
    prior_distance: float
    unlike_training: bool
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReferencePoint:
    """A training photograph in the plane."""

    id: str
    group: str
    latent: tuple[float, ...]


class Predictor:
    """Reads ``latent: float32[batch, dimensions]`` (the posterior mean) and ``features: float32[batch, width]``."""

    def __init__(self, bundle: Bundle) -> None:
        own = details(bundle, Details)
        self.space = bundle.manifest.embedding_space or ""
        if not {"latent", "features"} <= set(bundle.outputs) or not self.space:
            raise BundleError(f"{bundle.path}: an encoder needs outputs `latent`, `features` and an embedding space")
        self.groups, self.prior = own.groups, own.prior
        self._mean = np.asarray(own.prior.mean)
        self._precision = np.linalg.inv(np.asarray(own.prior.covariance))
        reference = bundle.arrays(REFERENCE, "ids", "groups", "latents", "features")
        self._features = reference["features"].astype(np.float32)
        self.feature_dimensions = self._features.shape[1]
        self._unlike_above = own.unlike_above
        self.points = tuple(
            ReferencePoint(str(id_), str(group), tuple(map(float, latent)))
            for id_, group, latent in zip(reference["ids"], reference["groups"], reference["latents"], strict=True)
        )

    def check(self, parameters: Parameters) -> None:
        """Every value the parameters admit is good for every model."""

    def needs_full_size(self, parameters: Parameters) -> bool:
        return False

    def answer(self, photograph: images.Decoded, outputs: Tensors, parameters: Parameters) -> Embedding:
        """``outputs``: ``latent`` float32 [dimensions], ``features`` float32 [width]."""
        latent, features = outputs["latent"], outputs["features"]
        offset = latent - self._mean
        distances = np.sort(np.linalg.norm(self._features - features, axis=1))
        return Embedding(
            latent=latent,
            features=features if parameters.features else None,
            prior_distance=float(np.sqrt(offset @ self._precision @ offset)),
            unlike_training=bool(distances[:NEIGHBOURS].mean() > self._unlike_above),
            notes=photograph.notes,
        )
