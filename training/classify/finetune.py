"""Discriminative fine-tuning: upper blocks learn, each slower than the one above it (Howard and Ruder 2018, section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from training.classify.backbones import BACKBONES


@dataclass(frozen=True)
class Recipe:
    """A handful of epochs; batch normalisation keeps ImageNet's statistics, which 32 photographs could not replace."""

    epochs: int = 6
    batch: int = 32
    blocks: int = 6  # the last ones that learn: the stages at 1/32 of the side, and the last convolution
    rate: float = 1e-3  # of the classifier and, times ``decay`` to the power of its distance from the top, of each block
    decay: float = 0.6
    weight_decay: float = 1e-2


def lower(pixels: np.ndarray, backbone: str, recipe: Recipe) -> np.ndarray:
    """uint8 [n, h, w, 3] -> float16 [n, 2, channels, rows, columns]: the frozen blocks' answer to a picture and its mirror."""
    chosen = BACKBONES[backbone]
    network = chosen.build()[: -recipe.blocks]
    mean, std = torch.tensor(chosen.mean), torch.tensor(chosen.std)
    parts = []
    with torch.inference_mode():
        for batch in torch.from_numpy(pixels).split(32):
            normalised = ((batch.float() - mean) / std).permute(0, 3, 1, 2)
            parts.append(torch.stack([network(normalised), network(normalised.flip(3))], 1).half().numpy())
    return np.concatenate(parts)


def logits(inputs: np.ndarray, accepted: np.ndarray, train: np.ndarray, backbone: str, recipe: Recipe, seed: int) -> np.ndarray:
    """Train on the rows ``train`` (bool [n]) of what :func:`lower` gave; logits float32 [m, classes] of the others."""
    torch.manual_seed(seed)
    upper = BACKBONES[backbone].build()[-recipe.blocks :]
    channels = BACKBONES[backbone].channels
    last = nn.Sequential(nn.Dropout(0.2), nn.Linear(channels, accepted.shape[1]))
    groups = [{"params": last.parameters(), "lr": recipe.rate}]
    groups += [
        {"params": block.parameters(), "lr": recipe.rate * recipe.decay ** (depth + 1)}
        for depth, block in enumerate(reversed(upper))
    ]
    optimiser = torch.optim.AdamW(groups, weight_decay=recipe.weight_decay)
    chosen, right = np.flatnonzero(train), torch.from_numpy(accepted)
    steps = recipe.epochs * -(-len(chosen) // recipe.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, [group["lr"] for group in groups], total_steps=steps, pct_start=0.2
    )
    for epoch in range(recipe.epochs):
        random = np.random.default_rng((seed, epoch))
        last.train()
        order = random.permutation(chosen)
        for at in range(0, len(chosen), recipe.batch):
            batch = order[at : at + recipe.batch]
            views = torch.from_numpy(inputs[batch, random.integers(2, size=len(batch))]).float()
            value = _loss(last(upper(views).mean((2, 3))), right[batch])
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
            schedule.step()
    last.eval()
    with torch.inference_mode():
        held_out = torch.from_numpy(inputs[~train]).float()
        return torch.cat(
            [(last(upper(part[:, 0]).mean((2, 3))) + last(upper(part[:, 1]).mean((2, 3)))) / 2 for part in held_out.split(32)]
        ).numpy()


def _loss(logits: torch.Tensor, accepted: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy; of several accepted types the summed probability counts. ``accepted`` bool [n, classes]."""
    right = logits.masked_fill(~accepted, -torch.inf)
    return (logits.logsumexp(1) - right.logsumexp(1)).mean()
