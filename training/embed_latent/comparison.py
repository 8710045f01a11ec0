"""How near groups of points lie, how sure that is, and whether one lies between two others.

All distances are energy distances without bias from group size (distinct pairs only). Uncertainty is the Bayesian bootstrap
(Rubin 1981): points get random weights, none is drawn twice, so that no pair is at distance 0 only because it was drawn twice.
Tests permute the groups' names, within the strata of a confounder where one is given.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.spatial import distance

LEVEL = 0.95  # of every interval
# A mixture may miss the group by this share of the distance between its two parents and still be called a mixture.
MISS = 0.05


class ComparisonError(ValueError):
    """The groups cannot be compared; the message names the group."""


@dataclass(frozen=True)
class Pair:
    """Two groups in one space. ``distance`` with ``low`` and ``high`` (95 %), ``p`` of the permutation test; ``within`` and
    ``p_within``: the same inside the strata of the confounder, None where no stratum holds two works of each group;
    ``shared``: share of the smaller group's works that lie in such strata."""

    one: str
    other: str
    distance: float
    low: float
    high: float
    p: float
    within: float | None = None
    p_within: float | None = None
    shared: float | None = None


@dataclass(frozen=True)
class Between:
    """Is ``group`` a mixture of ``one`` and ``other``? ``share`` of ``one`` in the nearest mixture (not held to 0..1) and
    ``miss``: the energy distance left, as a share of that between the two parents; both with 95 % intervals. ``nearer``:
    the parent that it lies nearer to, where the interval of the difference leaves out 0."""

    group: str
    one: str
    other: str
    share: float
    share_low: float
    share_high: float
    miss: float
    miss_low: float
    miss_high: float
    between: bool
    nearer: str | None


def _sizes(groups: np.ndarray, least: int = 2) -> list[str]:
    names, counts = np.unique(groups, return_counts=True)
    for name, count in zip(names, counts, strict=True):
        if count < least:
            raise ComparisonError(f"group {str(name)!r} has {count} object; comparing groups needs at least {least} in each")
    if len(names) < 2:
        raise ComparisonError("at least two groups are needed")
    return [str(name) for name in names]


def _weights(groups: np.ndarray, names: list[str], draws: int, rng: np.random.Generator) -> np.ndarray:
    """float [draws + 1, groups, n]: weights of each group's points, the first draw the sample itself (all 1)."""
    weights = np.zeros((draws + 1, len(names), len(groups)))
    for index, name in enumerate(names):
        ours = groups == name
        weights[0, index, ours] = 1
        weights[1:, index, ours] = rng.exponential(size=(draws, int(ours.sum())))
    return weights


def mean_distances(apart: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """float [draws, groups, groups]: weighted mean distance between points of two groups, and of distinct points within one.

    ``apart`` float [n, n]; ``weights`` float [draws, groups, n].
    """
    moment = weights @ apart @ weights.transpose(0, 2, 1)
    total = weights.sum(axis=2)
    pairs = total[:, :, None] * total[:, None, :]
    own = np.arange(weights.shape[1])
    pairs[:, own, own] -= (weights**2).sum(axis=2)
    return moment / pairs


def energy(means: np.ndarray) -> np.ndarray:
    """Mean distances [..., groups, groups] -> energy distances of the same shape."""
    within = np.diagonal(means, axis1=-2, axis2=-1)
    result = 2 * means - within[..., :, None] - within[..., None, :]
    own = np.arange(means.shape[-1])
    result[..., own, own] = 0
    return result


def pairs(
    points: np.ndarray,
    groups: np.ndarray,
    strata: np.ndarray | None = None,
    *,
    rng: np.random.Generator,
    bootstrap: int = 500,
    permutations: int = 999,
) -> list[Pair]:
    """Every pair of groups of ``points`` float [n, d]. Raises :class:`ComparisonError` for a group of one."""
    names = _sizes(groups)
    apart = distance.squareform(distance.pdist(points))
    drawn = energy(mean_distances(apart, _weights(groups, names, bootstrap, rng)))
    low, high = np.quantile(drawn[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    result = []
    for i, j in combinations(range(len(names)), 2):
        ours = np.isin(groups, [names[i], names[j]])
        first = (groups[ours] == names[i]).astype(float)
        between = apart[np.ix_(ours, ours)]
        everyone = np.zeros(len(first), int)
        value, p = _permuted(between, first, everyone, permutations, rng)
        within, p_within, shared = None, None, None
        if strata is not None:
            layer = np.unique(strata[ours], return_inverse=True)[1]
            usable = np.isin(
                layer, [s for s in np.unique(layer) if min(first[layer == s].sum(), (1 - first[layer == s]).sum()) >= 2]
            )
            small = first == (1 if first.sum() <= len(first) / 2 else 0)
            shared = float(usable[small].mean())
            if usable.any():
                within, p_within = _permuted(between[np.ix_(usable, usable)], first[usable], layer[usable], permutations, rng)
        result.append(Pair(names[i], names[j], value, float(low[i, j]), float(high[i, j]), p, within, p_within, shared))
    return result


def _permuted(
    apart: np.ndarray, first: np.ndarray, layer: np.ndarray, permutations: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Energy distance averaged over layers, weighted by the smaller group's count in each, and its p within layers."""
    total, weight_sum = np.zeros(permutations + 1), 0.0
    for number in np.unique(layer):
        index = np.flatnonzero(layer == number)
        ours = first[index]
        member = np.stack([ours, *(rng.permutation(ours) for _ in range(permutations))])
        weights = np.stack([member, 1 - member], axis=1)
        weight = min(ours.sum(), len(ours) - ours.sum())
        total += weight * energy(mean_distances(apart[np.ix_(index, index)], weights))[:, 0, 1]
        weight_sum += weight
    values = total / weight_sum
    return float(values[0]), float((1 + (values[1:] >= values[0] - 1e-12).sum()) / (1 + permutations))


def betweens(points: np.ndarray, groups: np.ndarray, *, rng: np.random.Generator, bootstrap: int = 500) -> list[Between]:
    """Every group against every pair of others; empty for fewer than three groups.

    The energy distance of group X from the mixture a A + (1 - a) B is quadratic in a, so the nearest mixture is closed-form:
    a = 1/2 + (E(X,B) - E(X,A)) / (2 E(A,B)). X is called between A and B when the interval of a lies inside 0..1 and what the
    mixture misses is not surely more than ``MISS`` of E(A,B).
    """
    names = _sizes(groups)
    apart = distance.squareform(distance.pdist(points))
    drawn = energy(mean_distances(apart, _weights(groups, names, bootstrap, rng)))
    result = []
    quantiles = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    for x in range(len(names)):
        for a, b in combinations([index for index in range(len(names)) if index != x], 2):
            xa, xb, ab = drawn[:, x, a], drawn[:, x, b], np.maximum(drawn[:, a, b], 1e-9)
            share = 0.5 + (xb - xa) / (2 * ab)
            held = np.clip(share, 0, 1)
            miss = (held * xa + (1 - held) * xb - held * (1 - held) * ab) / ab
            (share_low, share_high), (miss_low, miss_high) = np.quantile(share[1:], quantiles), np.quantile(miss[1:], quantiles)
            difference = np.quantile((xa - xb)[1:], quantiles)
            nearer = names[a] if difference[1] < 0 else names[b] if difference[0] > 0 else None
            # Parents that cannot be told apart have no between.
            apart_enough = np.quantile(drawn[1:, a, b], quantiles[0]) > 0
            between = bool(apart_enough and share_low > 0 and share_high < 1 and miss_low <= MISS)
            result.append(
                Between(names[x], names[a], names[b], float(share[0]), float(share_low), float(share_high),
                        float(miss[0]), float(miss_low), float(miss_high), between, nearer)
            )  # fmt: skip
    return result
