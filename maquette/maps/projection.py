"""Where works lie on a map, and which are next to each other, from their embeddings."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
PERPLEXITY = 30


@dataclass(frozen=True)
class Layout:
    """``points`` float32 [works, 2]; ``note`` says what it shows and what it does not; ``axes`` names them where they mean
    something that can be read off.
    """

    name: str
    points: Array
    note: str
    axes: tuple[str, str] | None = None


def layouts(vectors: Array) -> Iterator[Layout]:
    """Arrangements of float32 [works, dimensions]: t-SNE where openTSNE is installed, and the first two principal components.

    There is no t-SNE of few works, nor of works that lie on one line or in one place; the components' note says so then.
    """
    components, shares = principal_components(vectors)
    without = ""
    if not importlib.util.find_spec("openTSNE"):
        without = " No t-SNE: pip install 'maquette-serving[report]' brings openTSNE, which computes it."
    elif len(vectors) <= 3 * PERPLEXITY:
        without = f" No t-SNE: it wants more than {3 * PERPLEXITY} works."
    elif shares[1] <= 1e-9:
        without = " No t-SNE: the works lie on one line or in one place."
    else:
        note = "t-SNE: neighbours stay neighbours. The sizes of clumps and the distances between them mean nothing."
        yield Layout("t-SNE", _tsne(vectors), note)
    shown = f"{shares.sum():.0%}"
    note = f"Principal components: distances are true, but of {shown} of the variance; the rest is flattened.{without}"
    axes = (f"component 1 ({shares[0]:.0%} of the variance)", f"component 2 ({shares[1]:.0%})")
    yield Layout("Principal components", components, note, axes)


def principal_components(vectors: Array) -> tuple[Array, npt.NDArray[np.float64]]:
    """The first two of float32 [works, dimensions], as float32 [works, 2], and their shares of the variance."""
    centred = vectors - vectors.mean(axis=0, dtype=np.float64)
    if min(centred.shape) < 2:
        padded = np.zeros((len(vectors), 2), np.float32)
        padded[:, : centred.shape[1]] = centred[:, :2]
        return padded, np.array([1.0, 0.0])
    left, lengths, right = np.linalg.svd(centred, full_matrices=False)
    # A component's sign is arbitrary: its largest loading is made positive, so that the map is the same everywhere.
    signs = np.sign(right[np.arange(2), np.abs(right[:2]).argmax(axis=1)])
    total = float((lengths**2).sum())
    return (left[:, :2] * lengths[:2] * signs).astype(np.float32), lengths[:2] ** 2 / (total or 1.0)


def _tsne(vectors: Array) -> Array:
    """Poličar, Stražar and Zupan, openTSNE: a modular Python library for t-SNE, 2024; its defaults, a fixed seed."""
    openTSNE: Any = importlib.import_module("openTSNE")
    fitted = openTSNE.TSNE(perplexity=PERPLEXITY, initialization="pca", random_state=0, n_jobs=1).fit(vectors)
    return np.asarray(fitted, np.float32)


def nearest(vectors: Array, count: int) -> npt.NDArray[np.int64]:
    """int64 [works, count]: of each work the nearest others by Euclidean distance, nearest first; fewer columns where there
    are fewer works."""
    count = min(count, len(vectors) - 1)
    found = np.zeros((len(vectors), max(count, 0)), np.int64)
    if count < 1:
        return found
    squares = (vectors**2).sum(axis=1)
    for start in range(0, len(vectors), 512):  # [512, works] distances at a time
        block = vectors[start : start + 512]
        distances = squares - 2 * block @ vectors.T
        distances[np.arange(len(block)), np.arange(start, start + len(block))] = np.inf
        some = np.argpartition(distances, count - 1, axis=1)[:, :count]
        order = np.take_along_axis(distances, some, axis=1).argsort(axis=1, kind="stable")
        found[start : start + 512] = np.take_along_axis(some, order, axis=1)
    return found
