"""The paper's way to train a classifier on a frozen backbone: Adam, batches, cross-entropy, a fixed number of epochs.

Written out in NumPy (Kingma and Ba 2015, algorithm 1): for one layer on cached features PyTorch's step is four times as long,
nearly all of it overhead, and a run is ten thousands of steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from training.classify import scores
from training.classify.head import Linear
from training.common import runs

CHECKPOINT = "checkpoint.pt"
_BETAS, _EPSILON = (0.9, 0.999), 1e-8  # PyTorch's defaults, as the paper's


@dataclass(frozen=True)
class Recipe:
    """Batch, optimiser, loss and epochs are the paper's (section 5); what it leaves unsaid is torchvision's own."""

    epochs: int = 100
    batch: int = 32
    rate: float = 1e-3  # Adam's default: "not fine-tuned", section 7
    weight_decay: float = 0.0  # the same
    dropout: float = 0.2  # of torchvision's efficientnet_b0 before its last layer
    # Draw photographs by the inverse of their type's number to this power: 0 as found, as in the paper; 1 types all alike.
    balance: float = 0.0


def epochs(
    draws: Sequence[np.ndarray],
    accepted: np.ndarray,
    test: np.ndarray,
    test_accepted: np.ndarray,
    recipe: Recipe,
    seed: int,
    kept: Path | None = None,
) -> Iterator[tuple[dict[str, float], Linear]]:
    """Minimise cross-entropy epoch by epoch; yield the history's row and the classifier so far.

    Of several accepted types the summed probability counts.

    ``draws`` features [n, channels] of the same pictures, taken in turn; ``test`` [m, channels] is watched, never trained on.
    With ``kept`` (a file) every epoch is saved there, and a killed training goes on after the last, with the same result: each
    epoch's order and dropout come from the seed and its number.
    """
    count, channels = len(accepted), draws[0].shape[1]
    bound = channels**-0.5  # torch.nn.Linear's own beginning
    weights = np.random.default_rng(seed).uniform(-bound, bound, (channels + 1, accepted.shape[1])).astype(np.float32)
    first, second, start = np.zeros_like(weights), np.zeros_like(weights), 0
    if kept is not None and kept.exists():
        saved = torch.load(kept, weights_only=True)
        start = saved["epoch"]
        weights, first, second = (saved[name].numpy() for name in ("weights", "first", "second"))
    watched = test.astype(np.float32)
    chance = None
    if recipe.balance:
        rarity = np.where(accepted, accepted.sum(0), np.inf).min(1)
        chance = rarity**-recipe.balance / (rarity**-recipe.balance).sum()
    keep = round(256 * (1 - recipe.dropout))
    steps = start * -(-count // recipe.batch)
    for epoch in range(start, recipe.epochs):
        random = np.random.default_rng((seed, epoch))
        draw = draws[epoch % len(draws)]
        order = random.permutation(count) if chance is None else random.choice(count, count, p=chance)
        total, hits = 0.0, 0
        for at in range(0, count, recipe.batch):
            batch = order[at : at + recipe.batch]
            inputs = draw[batch].astype(np.float32)
            if keep < 256:
                # Dropout to the nearest 256th: a random byte costs a fifth of a random float.
                inputs *= random.integers(256, size=inputs.shape, dtype=np.uint8) < keep
                inputs *= np.float32(256 / keep)
            logits, right = inputs @ weights[:-1] + weights[-1], accepted[batch]
            likely, wanted = _softmax(logits), _softmax(np.where(right, logits, -np.inf))
            slope = (likely - wanted) / np.float32(len(batch))
            gradient = np.vstack([inputs.T @ slope, slope.sum(0)]) + np.float32(recipe.weight_decay) * weights
            steps += 1
            first += np.float32(1 - _BETAS[0]) * (gradient - first)
            second += np.float32(1 - _BETAS[1]) * (gradient * gradient - second)
            rate = recipe.rate * np.sqrt(1 - _BETAS[1] ** steps) / (1 - _BETAS[0] ** steps)
            weights -= np.float32(rate) * first / (np.sqrt(second) + np.float32(_EPSILON * np.sqrt(1 - _BETAS[1] ** steps)))
            total -= float(np.log(np.maximum((likely * right).sum(1), 1e-30)).sum())
            hits += int(right[np.arange(len(batch)), logits.argmax(1)].sum())
        linear = Linear(weights[:-1].copy(), weights[-1].copy())
        answers = linear.logits(watched)
        row = {
            "epoch": epoch,
            "train loss": total / count,
            "test loss": scores.negative_log_likelihood(answers, test_accepted),
            "train accuracy": hits / count,
            "test accuracy": float(scores.correct(answers, test_accepted).mean()),
        }
        yield row, linear
        # Saved once the row is logged: a kill between the two repeats the epoch, and its row is dropped first.
        if kept is not None:
            state = {"weights": weights, "first": first, "second": second}
            with runs.whole(kept) as temporary:
                torch.save({"epoch": epoch + 1, **{name: torch.from_numpy(value) for name, value in state.items()}}, temporary)
    if start >= recipe.epochs:
        yield {}, Linear(weights[:-1], weights[-1])


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)
