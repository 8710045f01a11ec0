"""Which visual group of paintings does a photograph fall in? Pixels and tensors in, dataclasses out; no transport."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from services.common import images
from services.common.models import Bundle, BundleError, Tensors, details

INDEX = "index.npz"
# Two shares of q nearer than this: the work lies between groups.
BETWEEN_MARGIN = 0.1


class Parameters(BaseModel):
    """What a caller may choose."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    neighbours: int = Field(5, ge=0, le=50, description="how many of the most similar works of the collection to answer")


class Cluster(BaseModel):
    """One cluster of the reference collection; exemplars and outliers are ids (file names in the training folder)."""

    id: int = Field(ge=0)
    size: int = Field(ge=0)
    silhouette: float = Field(ge=-1, le=1)
    exemplars: tuple[str, ...]
    outliers: tuple[str, ...] = ()


class Details(BaseModel):
    """The service's own part of the manifest."""

    clusters: tuple[Cluster, ...]


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A work of the reference collection and its Euclidean distance in the embedding space."""

    id: str
    distance: float
    cluster: int


@dataclass(frozen=True, slots=True)
class Assignment:
    """``q`` pairs each cluster with its share, largest first; ``embedding`` is float32 [dimensions]."""

    cluster: Cluster
    q: tuple[tuple[int, float], ...]
    between: bool
    neighbours: tuple[Neighbour, ...]
    embedding: npt.NDArray[np.float32]
    notes: tuple[str, ...]


class Predictor:
    """Reads ``embedding: float32[batch, dimensions]`` and ``assignment: float32[batch, clusters]`` (Student's t, sums to 1).

    The index is searched exhaustively: 10,000 works of 32 dimensions take well under a millisecond, less than an
    approximate index's library would cost at start.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.clusters = details(bundle, Details).clusters
        self.space = bundle.manifest.embedding_space or ""
        if not {"embedding", "assignment"} <= set(bundle.outputs) or not self.space:
            raise BundleError(f"{bundle.path}: a clustering needs outputs `embedding`, `assignment` and an embedding space")
        if [cluster.id for cluster in self.clusters] != list(range(len(self.clusters))):
            raise BundleError(f"{bundle.path}: clusters must be numbered from 0 in order")
        index = bundle.arrays(INDEX, "ids", "embeddings", "clusters")
        self._ids, self._embeddings, self._of = index["ids"], index["embeddings"].astype(np.float32), index["clusters"]

    def check(self, parameters: Parameters) -> None:
        """Every value the parameters admit is good for every model."""

    def needs_full_size(self, parameters: Parameters) -> bool:
        return False

    def answer(self, photograph: images.Decoded, outputs: Tensors, parameters: Parameters) -> Assignment:
        """``outputs``: ``assignment`` float32 [clusters], ``embedding`` float32 [dimensions]."""
        q, embedding = outputs["assignment"], outputs["embedding"]
        order = np.argsort(-q, kind="stable")
        return Assignment(
            cluster=self.clusters[order[0]],
            q=tuple((int(cluster), float(q[cluster])) for cluster in order),
            between=len(order) > 1 and bool(q[order[0]] - q[order[1]] < BETWEEN_MARGIN),
            neighbours=self._nearest(embedding, parameters.neighbours),
            embedding=embedding,
            notes=photograph.notes,
        )

    def _nearest(self, embedding: npt.NDArray[np.float32], count: int) -> tuple[Neighbour, ...]:
        distances = np.linalg.norm(self._embeddings - embedding, axis=1)
        nearest = np.argsort(distances, kind="stable")[:count]
        return tuple(Neighbour(str(self._ids[i]), float(distances[i]), int(self._of[i])) for i in nearest)
