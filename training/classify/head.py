"""The classifier on cached features: softmax regression where a photograph may have several right answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import OptimizeResult, minimize
from scipy.special import logsumexp

from training.classify import scores
from training.classify.config import Config


@dataclass(frozen=True, slots=True)
class Linear:
    """logits = features @ weight + bias; ``weight`` float32 [channels, classes]."""

    weight: np.ndarray
    bias: np.ndarray

    def logits(self, features: np.ndarray) -> np.ndarray:
        """float32 [n, channels] -> [n, classes]."""
        return features @ self.weight + self.bias


def balance(accepted: np.ndarray, sources: Sequence[str], config: Config) -> np.ndarray:
    """Weight of each photograph, mean 1, from ``class_balance`` and ``source_balance``.

    A photograph with several accepted types counts as the rarest of them.
    """
    rarity = np.where(accepted, accepted.sum(0), np.inf)
    kind = rarity.argmin(1)
    weights = np.ones(len(accepted))
    sources = np.asarray(sources)
    for type_ in np.unique(kind):
        of_type = kind == type_
        for source in np.unique(sources[of_type]):
            cell = of_type & (sources == source)
            weights[cell] = cell.sum() ** -config.source_balance
        weights[of_type] *= of_type.sum() ** (1 - config.class_balance) / weights[of_type].sum()
    return weights / weights.mean()


def joined(
    views: np.ndarray,
    accepted: np.ndarray,
    sources: np.ndarray,
    config: Config,
    watch: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[Linear, list[dict[str, float]]]:
    """:func:`fit` the types to the sculptures; where some photographs show none, also all of it with one type more for them.

    Returns one classifier: the columns of the types, then those of the second, whose last is no sculpture. Two, because
    negatives among the types blur these: one classifier for both cost 0.035 of macro F1.
    """
    others = ~accepted.any(1)
    types, history = fit(views[~others], accepted[~others], sources[~others], config, watch)
    if not others.any():
        return types, history
    second, _ = fit(views, np.column_stack([accepted, others]), sources, replace(config, l2=config.l2_others))
    return Linear(np.hstack([types.weight, second.weight]), np.concatenate([types.bias, second.bias])), history


def tempered(linear: Linear, types: int, temperature: float) -> Linear:
    """The logits of the types divided by ``temperature``; the rest as they are. Folded into the weights it costs nothing."""
    scale = np.ones(len(linear.bias), np.float32)
    scale[:types] = 1 / temperature
    return Linear(linear.weight * scale, linear.bias * scale)


def fit(
    views: np.ndarray,
    accepted: np.ndarray,
    sources: Sequence[str],
    config: Config,
    watch: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[Linear, list[dict[str, float]]]:
    """Minimise -log of the summed probability of the accepted types, plus ridge, by L-BFGS.

    ``views`` float32 [n, views, channels] (the photograph, its mirror image ...); ``accepted`` bool [n, classes]. With
    ``watch`` = (features [m, channels], accepted [m, classes]) the history follows its loss and accuracy. The features are
    standardised on the way, and the standardisation is folded into the weights that come back.
    """
    count, repeats, channels = views.shape
    flat = views.reshape(-1, channels)
    mean, scale = flat.mean(0), (flat.std(0) + 1e-3) * np.sqrt(channels) / 8
    standard = ((flat - mean) / scale).astype(np.float32)
    allowed = np.repeat(accepted, repeats, axis=0)
    sample = np.repeat(balance(accepted, sources, config), repeats) / (count * repeats)
    shape = (channels, accepted.shape[1])
    history: list[dict[str, float]] = []

    def split(flat_weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return flat_weights[: -shape[1]].reshape(shape), flat_weights[-shape[1] :]

    def objective(flat_weights: np.ndarray) -> tuple[float, np.ndarray]:
        weight, bias = split(flat_weights)
        logits = standard @ weight.astype(np.float32) + bias
        likely = np.where(allowed, logits, -np.inf)
        all_, right = logsumexp(logits, axis=1), logsumexp(likely, axis=1)
        loss = float(sample @ (all_ - right)) + config.l2 * float(np.square(weight).sum())
        slope = sample[:, None] * (np.exp(logits - all_[:, None]) - np.exp(likely - right[:, None]))
        gradient = standard.T @ slope.astype(np.float32) + 2 * config.l2 * weight
        return loss, np.concatenate([gradient.reshape(-1), slope.sum(0)])

    def folded(flat_weights: np.ndarray) -> Linear:
        weight, bias = split(flat_weights)
        plain = weight / scale[:, None]
        return Linear(plain.astype(np.float32), (bias - mean @ plain).astype(np.float32))

    def log(intermediate_result: OptimizeResult) -> None:
        row = {"epoch": float(len(history)), "train loss": float(intermediate_result.fun)}
        if watch is not None:
            logits = folded(intermediate_result.x).logits(watch[0])
            row["test loss"] = scores.negative_log_likelihood(logits, watch[1])
            row["test accuracy"] = float(scores.correct(logits, watch[1]).mean())
        history.append(row)

    start = np.zeros(shape[0] * shape[1] + shape[1])
    options = {"maxiter": config.iterations, "ftol": 1e-7, "gtol": 1e-6}
    found = minimize(objective, start, jac=True, method="L-BFGS-B", callback=log, options=options)
    return folded(found.x), history
