"""Where does a figurine lie in the latent plane? Pixels and tensors in, dataclasses out; no transport."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter
from pydantic import BaseModel, ConfigDict, Field

from services.common import errors, images
from services.common.models import Bundle, BundleError, Tensors, details
from services.embed_latent import decoder

REFERENCE = "reference.npz"
Mask = npt.NDArray[np.bool_]
# Neighbours whose mean distance says how unlike the training set a photograph is.
NEIGHBOURS = 5
# Share of a photograph below which a mask is taken for no figure at all: nothing is known, so nothing is masked.
LEAST_FIGURE = 0.01
NO_FIGURE = "no figure was found to mask; the photograph was embedded as it is"
_MASK_SIDE = 512


class Parameters(BaseModel):
    """What a caller may choose."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    features: bool = Field(False, description="also answer the encoder's wider feature vector")
    mask: bool = Field(False, description="first lay the figure on white with the service's mask model")


class Details(BaseModel):
    """The service's own part of the manifest.

    ``unlike_above`` is a mean Euclidean distance to the nearest training photographs, in the feature space.
    """

    prior: decoder.Prior
    decoder: decoder.Details
    groups: tuple[str, ...]
    unlike_above: float = Field(gt=0)


class MaskDetails(BaseModel):
    """What is read of the mask model's manifest: the probability from which a pixel is figure."""

    threshold: float = Field(gt=0, lt=1)


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


class Masker:
    """The figure in a photograph, found by the mask service's model: a bundle with ``probability: float32[batch, h, w]``."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle, self._threshold = bundle, details(bundle, MaskDetails).threshold
        if "probability" not in bundle.outputs or bundle.manifest.input.resize is not images.ResizeRule.SQUASH:
            raise BundleError(f"{bundle.path}: a mask model needs an output `probability` and the resize rule squash")

    def mask(self, pixels: images.RGB, prepare: Callable[[images.RGB], images.RGB]) -> Mask | None:
        """uint8 RGB [h, w, 3] -> bool, True on the figure, where ``prepare`` puts it; None where there is next to none."""
        probability = self._bundle.run(self._bundle.prepare(pixels)[None])["probability"][0]
        if (probability >= self._threshold).mean() < LEAST_FIGURE:
            return None
        height, width = pixels.shape[:2]
        # In the photograph's shape, so that it is framed as the photograph is, but never of 50 megapixels.
        scale = min(1.0, _MASK_SIDE / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        grey = Image.fromarray(np.rint(probability * 255).astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)
        # Turned about, for the bars of a letterbox are white, and no figure.
        wall = prepare(255 - np.asarray(grey.convert("RGB")))[..., 0]
        return wall <= (1 - self._threshold) * 255


def on_white(pixels: images.RGB, mask: Mask) -> images.RGB:
    """The figure of uint8 [h, w, 3] on white, its edge softened by a pixel, as training lays it there."""
    soft = Image.fromarray(np.where(mask, 255, 0).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.8))
    alpha = np.asarray(soft, np.float32)[..., None] / 255
    return np.rint(alpha * pixels + (1 - alpha) * 255).astype(np.uint8)


class Predictor:
    """Reads ``latent: float32[batch, dimensions]`` (the posterior mean) and ``features: float32[batch, width]``."""

    def __init__(self, bundle: Bundle, masker: Masker | None = None) -> None:
        own = details(bundle, Details)
        self.space = bundle.manifest.embedding_space or ""
        if not {"latent", "features"} <= set(bundle.outputs) or not self.space:
            raise BundleError(f"{bundle.path}: an encoder needs outputs `latent`, `features` and an embedding space")
        self.groups, self.prior = own.groups, own.prior
        self.decoder = decoder.Decoder(bundle, own.decoder, own.prior)
        self._masker, self._prepare = masker, bundle.prepare
        reference = bundle.arrays(REFERENCE, "ids", "groups", "latents", "features")
        self._features = reference["features"].astype(np.float32)
        self.feature_dimensions = self._features.shape[1]
        self._unlike_above = own.unlike_above
        self.points = tuple(
            ReferencePoint(str(id_), str(group), tuple(map(float, latent)))
            for id_, group, latent in zip(reference["ids"], reference["groups"], reference["latents"], strict=True)
        )

    def check(self, parameters: Parameters) -> None:
        """``mask`` needs a mask model."""
        if parameters.mask and self._masker is None:
            raise errors.ParameterInvalid(
                "This service has no mask model; leave `mask` out, or send cut-outs made by the mask service."
            )

    def needs_full_size(self, parameters: Parameters) -> bool:
        return False

    def prepare(self, photograph: images.Decoded, parameters: Parameters) -> tuple[images.Decoded, images.RGB]:
        """What the encoder sees of a photograph; a note says when it was to be masked and holds no figure."""
        seen = self._prepare(photograph.pixels)
        if not parameters.mask or self._masker is None:
            return photograph, seen
        mask = self._masker.mask(photograph.pixels, self._prepare)
        if mask is None:
            return replace(photograph, notes=(*photograph.notes, NO_FIGURE)), seen
        return photograph, on_white(seen, mask)

    def answer(self, photograph: images.Decoded, outputs: Tensors, parameters: Parameters) -> Embedding:
        """``outputs``: ``latent`` float32 [dimensions], ``features`` float32 [width]."""
        latent, features = outputs["latent"], outputs["features"]
        distances = np.sort(np.linalg.norm(self._features - features, axis=1))
        return Embedding(
            latent=latent,
            features=features if parameters.features else None,
            prior_distance=float(self.prior.distance(latent[None])[0]),
            unlike_training=bool(distances[:NEIGHBOURS].mean() > self._unlike_above),
            notes=photograph.notes,
        )
