"""The classifier on cached features: softmax regression where a photograph may have several right answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

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
    standard = torch.from_numpy((flat - mean) / scale).float()
    allowed = torch.from_numpy(np.repeat(accepted, repeats, axis=0))
    sample = torch.from_numpy(np.repeat(balance(accepted, sources, config), repeats) / (count * repeats)).float()
    weight = torch.zeros(channels, accepted.shape[1], requires_grad=True)
    bias = torch.zeros(accepted.shape[1], requires_grad=True)
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=1, history_size=10, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        logits = standard @ weight + bias
        likely = torch.logsumexp(logits.masked_fill(~allowed, -torch.inf), 1)
        loss = (sample * (logits.logsumexp(1) - likely)).sum() + config.l2 * weight.square().sum()
        loss.backward()
        return loss

    def folded() -> Linear:
        plain = weight.detach().numpy() / scale[:, None]
        return Linear(plain.astype(np.float32), (bias.detach().numpy() - mean @ plain).astype(np.float32))

    history: list[dict[str, float]] = []
    for epoch in range(config.iterations):
        row = {"epoch": float(epoch), "train loss": float(optimiser.step(closure).detach())}
        if watch is not None:
            logits = folded().logits(watch[0])
            row["test loss"] = scores.negative_log_likelihood(logits, watch[1])
            row["test accuracy"] = float(scores.correct(logits, watch[1]).mean())
        history.append(row)
        if epoch and history[-2]["train loss"] - row["train loss"] < 1e-5:
            break
    return folded(), history
