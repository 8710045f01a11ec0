"""From points of the latent plane back to pictures: walk the plane. Numbers in, PNGs out; no transport."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from services.common import errors, models
from services.common.models import Bundle, BundleError, Tensors

MOST_POINTS = 64
# Deviations from the centre of the prior. No work lies there, so a decoder is never trained on it: its pictures mean nothing.
FARTHEST = 6.0


class Points(BaseModel):
    """What a caller sends: one point, or several one after another."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    latent: tuple[FiniteFloat, ...]
    embedding_space: str | None = None


class Details(BaseModel):
    """The decoder's part of the manifest: its file and the size of its pictures, pixels."""

    file: str
    height: int = Field(gt=0)
    width: int = Field(gt=0)


class Prior(BaseModel):
    """A normal prior."""

    mean: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]

    def distance(self, points: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """float [n, dimensions] -> Mahalanobis distances from the centre, float64 [n], in standard deviations."""
        offset = points.astype(np.float64) - np.asarray(self.mean)
        precision = np.linalg.inv(np.asarray(self.covariance))
        return np.asarray(np.sqrt(np.einsum("ni,ij,nj->n", offset, precision, offset)), np.float64)


@dataclass(frozen=True, slots=True)
class Drawing:
    """``images``: a PNG for each point."""

    images: tuple[bytes, ...]
    width: int
    height: int


class Decoder:
    """Reads ``images: uint8[batch, height, width, 3]`` from ``latent: float32[batch, dimensions]``."""

    def __init__(self, bundle: Bundle, own: Details, prior: Prior) -> None:
        self._prior, self._space = prior, bundle.manifest.embedding_space
        if own.file not in bundle.manifest.files:
            raise BundleError(f"{bundle.path / models.MANIFEST}: does not list the decoder {own.file}")
        self.height, self.width = own.height, own.width
        self._session = models.open_session(bundle.path / own.file, threads=1)
        try:
            shape = self.run(np.asarray([prior.mean], np.float32))["images"].shape
        except Exception as error:  # onnxruntime raises its own unexported classes
            raise BundleError(f"{bundle.path / own.file}: cannot decode the centre of the prior: {error}") from error
        if shape != (1, own.height, own.width, 3):
            raise BundleError(f"{bundle.path / own.file}: draws {shape}, the manifest says {own.height} x {own.width}")

    def run(self, latents: npt.NDArray[np.float32]) -> Tensors:
        """float32 [batch, dimensions] -> ``images`` uint8 [batch, height, width, 3]."""
        return {"images": self._session.run(["images"], {"latent": latents})[0]}

    def points(self, asked: Points) -> npt.NDArray[np.float32]:
        """float32 [n, dimensions], 1 to ``MOST_POINTS``. Raises ``ParameterInvalid`` for points that cannot be decoded."""
        if asked.embedding_space is not None and asked.embedding_space != self._space:
            raise errors.ParameterInvalid(
                f"The points are of the space `{asked.embedding_space[:100]}`, this service decodes `{self._space}`; "
                "embed the photographs again, or ask the service that made the points."
            )
        dimensions = len(self._prior.mean)
        if not asked.latent or len(asked.latent) % dimensions or len(asked.latent) > MOST_POINTS * dimensions:
            raise errors.ParameterInvalid(
                f"Parameter `latent` should hold {dimensions} values a point, for 1 to {MOST_POINTS} points one after another."
            )
        values = np.asarray(asked.latent, np.float64).reshape(-1, dimensions)
        distances = self._prior.distance(values)
        # Not "any above": what is too large for the sum is no number, and lies beyond too.
        if not (distances <= FARTHEST).all():
            first = int(np.argmax(~(distances <= FARTHEST)))
            raise errors.ParameterInvalid(
                f"Point {first + 1} lies {distances[first]:.3g} standard deviations from the centre of the prior; "
                f"send points within {FARTHEST:g}."
            )
        return values.astype(np.float32)

    def drawing(self, pictures: list[npt.NDArray[np.uint8]]) -> Drawing:
        """uint8 [height, width, 3] each -> PNGs."""
        return Drawing(tuple(map(_png, pictures)), self.width, self.height)


def _png(pixels: npt.NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()
