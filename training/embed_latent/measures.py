"""Does the latent plane keep its promise? Fit to the prior, collapse, reconstruction, and what the plane says of the groups.

All take plain NumPy arrays: latents float [n, d], labels int [n], pictures uint8 [n, h, w, 3]. Distances between distributions
are unbiased (U-statistics), so that a group of 80 and one of 3,144 may be compared; they can therefore be a little below zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats
from scipy.spatial import distance
from skimage.metrics import structural_similarity
from sklearn.metrics import balanced_accuracy_score
from sklearn.neighbors import NearestNeighbors


class MeasureError(ValueError):
    """The arrays do not allow this measure; the message says why."""


def _points(name: str, values: np.ndarray, least: int = 2) -> np.ndarray:
    points = np.asarray(values, np.float64)
    if points.ndim != 2 or len(points) < least:
        raise MeasureError(f"{name}: needs at least {least} points as rows of a matrix, got shape {points.shape}")
    if not np.isfinite(points).all():
        raise MeasureError(f"{name}: holds NaN or infinite values")
    return points


def mmd(x: np.ndarray, y: np.ndarray, *, permutations: int = 500, rng: np.random.Generator) -> tuple[float, float]:
    """Squared maximum mean discrepancy of two samples and its permutation p-value.

    Gretton et al. 2012, equation 3 (unbiased), with the mean of three Gaussian kernels at half, once and twice the median
    distance. p = (1 + permutations at least as large) / (1 + permutations): never 0.
    """
    x, y = _points("mmd, first sample", x), _points("mmd, second sample", y)
    between = distance.squareform(distance.pdist(np.concatenate([x, y]), "sqeuclidean"))
    median = np.median(between[np.triu_indices_from(between, 1)])
    if not median > 0:
        raise MeasureError("mmd: all points are one point")
    kernel = np.mean([np.exp(-between / (2 * scale**2 * median)) for scale in (0.5, 1.0, 2.0)], axis=0)
    np.fill_diagonal(kernel, 0)
    n, m = len(x), len(y)
    # One membership column per permutation (the first is the truth), so that all statistics are two matrix products.
    member = np.zeros((n + m, permutations + 1))
    member[:n, 0] = 1
    for column in range(1, permutations + 1):
        member[rng.permutation(n + m)[:n], column] = 1
    inside = kernel @ member
    xx, everything, row = (member * inside).sum(0), kernel.sum(), kernel.sum(1) @ member
    xy, yy = row - xx, everything - 2 * row + xx
    values = xx / (n * (n - 1)) + yy / (m * (m - 1)) - 2 * xy / (n * m)
    return float(values[0]), float((1 + (values[1:] >= values[0]).sum()) / (1 + permutations))


def energy_distance(x: np.ndarray, y: np.ndarray) -> float:
    """2 E|x-y| - E|x-x'| - E|y-y'| in the latents' unit (Székely and Rizzo 2013), each mean over distinct pairs."""
    x, y = _points("energy distance, first sample", x), _points("energy distance, second sample", y)
    return float(2 * distance.cdist(x, y).mean() - distance.pdist(x).mean() - distance.pdist(y).mean())


def ks_radius(latents: np.ndarray, scale: float) -> float:
    """Kolmogorov-Smirnov distance of the radii from the Rayleigh law of a 2-d N(0, scale²) (chi law for d dimensions)."""
    points = _points("ks radius", latents)
    return float(stats.kstest(np.linalg.norm(points, axis=1) / scale, stats.chi(points.shape[1]).cdf).statistic)


def ks_angle(latents: np.ndarray) -> float:
    """Kolmogorov-Smirnov distance of the angles in the plane from the uniform law, the cut lying at -pi."""
    points = _points("ks angle", latents)
    angle = np.arctan2(points[:, 1], points[:, 0])
    return float(stats.kstest(angle, stats.uniform(-np.pi, 2 * np.pi).cdf).statistic)


def share_within(latents: np.ndarray, scale: float, sigmas: float = 3.0) -> float:
    """Share of points whose Mahalanobis radius under N(0, scale²) is at most ``sigmas``; 0.989 of the prior itself at 3."""
    return float((np.linalg.norm(_points("share within", latents), axis=1) <= sigmas * scale).mean())


def effective_rank(latents: np.ndarray) -> float:
    """exp of the entropy of the covariance's normalised eigenvalues (after Roy and Vetterli 2007): 1 on a line, d when round.

    0 when all points are one point.
    """
    values = np.linalg.eigvalsh(np.atleast_2d(np.cov(_points("effective rank", latents).T))).clip(min=0)
    if not values.sum() > 1e-12:
        return 0.0
    share = values / values.sum()
    share = share[share > 0]
    return float(np.exp(-(share * np.log(share)).sum()))


def neighbour_spacing(latents: np.ndarray, scale: float, *, rng: np.random.Generator) -> float:
    """Median nearest-neighbour distance over that of as many draws from N(0, scale²): 1 spread as the prior, 0 collapsed."""
    points = _points("neighbour spacing", latents)
    drawn = rng.normal(0, scale, points.shape)
    ours, wanted = (
        np.median(NearestNeighbors(n_neighbors=2).fit(sample).kneighbors(sample)[0][:, 1]) for sample in (points, drawn)
    )
    return float(ours / wanted)


def reconstruction(pictures: np.ndarray, decoded: np.ndarray) -> tuple[float, float]:
    """Mean squared error on the 0..1 scale and mean structural similarity (Wang et al. 2004) of uint8 [n, h, w, 3] pairs."""
    if pictures.shape != decoded.shape or not len(pictures):
        raise MeasureError(f"reconstruction: shapes differ or are empty, {pictures.shape} and {decoded.shape}")
    error = float(np.mean((pictures / 255.0 - decoded / 255.0) ** 2))
    similar = [structural_similarity(a, b, channel_axis=2, data_range=255) for a, b in zip(pictures, decoded, strict=True)]
    return error, float(np.mean(similar))


def baseline(training: np.ndarray, pictures: np.ndarray) -> float:
    """Mean squared error, 0..1 scale, of answering with the mean of the training pictures: what a decoder must beat."""
    return float(np.mean((pictures / 255.0 - training.mean(axis=0) / 255.0) ** 2))


def neighbour_votes(
    reference: np.ndarray, reference_labels: np.ndarray, query: np.ndarray, *, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """(predicted label int [q], share of the k neighbours bearing each label float [q, labels]); each reference label's votes
    are divided by how common it is, so that a large group does not win by its size."""
    reference, query = _points("reference", reference, k), _points("query", query, 1)
    near = NearestNeighbors(n_neighbors=k).fit(reference).kneighbors(query, return_distance=False)
    votes = np.eye(int(reference_labels.max()) + 1)[reference_labels[near]].mean(axis=1)
    weight = 1 / np.maximum(np.bincount(reference_labels), 1)
    return (votes * weight).argmax(axis=1), votes


def class_structure(
    reference: np.ndarray, reference_labels: np.ndarray, query: np.ndarray, query_labels: np.ndarray, *, k: int = 5
) -> dict[str, float]:
    """``purity``: mean share of a query's k reference neighbours that bear its label; ``balanced_accuracy`` of their vote and
    ``balanced_accuracy_1nn`` of the nearest alone."""
    predicted, votes = neighbour_votes(reference, reference_labels, query, k=k)
    nearest, _ = neighbour_votes(reference, reference_labels, query, k=1)
    padded = np.pad(votes, ((0, 0), (0, max(0, int(query_labels.max()) + 1 - votes.shape[1]))))
    return {
        "purity": float(padded[np.arange(len(query)), query_labels].mean()),
        "balanced_accuracy": float(balanced_accuracy_score(query_labels, predicted)),
        "balanced_accuracy_1nn": float(balanced_accuracy_score(query_labels, nearest)),
    }


def prior_fit(latents: np.ndarray, scale: float, *, rng: np.random.Generator, permutations: int = 500) -> dict[str, Any]:
    """Every measure of fit and of collapse against N(0, scale²), the prior sampled as often as there are latents."""
    points = _points("latents", latents)
    drawn = rng.normal(0, scale, points.shape)
    discrepancy, p = mmd(points, drawn, permutations=permutations, rng=rng)
    return {
        "n": len(points),
        "share_within_3_sigma": share_within(points, scale),
        "mmd2": discrepancy,
        "mmd_p": p,
        "energy_distance": energy_distance(points, drawn),
        "ks_radius": ks_radius(points, scale),
        "ks_angle": ks_angle(points),
        "effective_rank": effective_rank(points),
        "neighbour_spacing": neighbour_spacing(points, scale, rng=rng),
        "spread": [float(value) for value in points.std(axis=0)],
        "farthest": float(np.linalg.norm(points, axis=1).max()),
    }
