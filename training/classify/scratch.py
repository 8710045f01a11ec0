"""The best configuration for Fashion-MNIST: a small residual network from nothing, in minutes of one CPU core.

Residual blocks (He et al. 2016) at 14 x 14 and 7 x 7 only, since at 28 x 28 a layer costs four times as much; one cycle of the
learning rate (Smith and Topin 2018); flips and shifts of up to two pixels; smoothed labels (Szegedy et al. 2016, section 7);
the average of the last weights (Izmailov et al. 2018); answers averaged over a picture and its mirror image.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from training.common import runs

_SAVE_EVERY = 100  # steps; an epoch of 469 takes minutes on a busy machine
_PAD = 2


@dataclass(frozen=True)
class Recipe:
    """Chosen by a few epochs each, not searched."""

    epochs: int = 10
    batch: int = 128
    rate: float = 0.4  # SGD's highest, reached after a fifth of the steps
    momentum: float = 0.9
    weight_decay: float = 5e-4
    smoothing: float = 0.1
    # The share of the steps at the end whose weights are averaged.
    averaged: float = 0.15
    widths: tuple[int, int, int] = (32, 48, 96)
    seed: int = 0


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(_conv(channels, channels), _conv(channels, channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layers(x)


class Network(nn.Module):
    """float [n, 1, 28, 28], 0-255 -> logits [n, classes]."""

    def __init__(self, widths: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        first, second, third = widths
        self.layers = nn.Sequential(
            _conv(1, first),
            _conv(first, second, 2),
            _Residual(second),
            _conv(second, third, 2),
            _Residual(third),
            nn.AdaptiveMaxPool2d(1),
            nn.Flatten(),
        )
        self.last = nn.Linear(third, classes, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # 0.2860 and 0.3530: mean and deviation of the training pictures. 1/8: large logits would end the learning early.
        return self.last(self.layers((x / 255 - 0.2860) / 0.3530)) / 8


def epochs(
    pictures: np.ndarray,
    accepted: np.ndarray,
    test: np.ndarray,
    test_accepted: np.ndarray,
    recipe: Recipe,
    kept: Path,
) -> Iterator[tuple[dict[str, float], Network]]:
    """Train epoch by epoch on uint8 [n, 28, 28]; yield the history's row and the averaged network so far.

    ``test`` is watched, never trained on. ``kept`` is the checkpoint, written every hundred steps; a killed training goes on
    there with the same result: order, shifts and flips come from the seed and the number of the step.
    """
    torch.manual_seed(recipe.seed)
    inputs, labels = torch.from_numpy(pictures.copy()), torch.from_numpy(accepted.argmax(1))
    network = Network(recipe.widths, accepted.shape[1]).to(memory_format=torch.channels_last)
    average = torch.optim.swa_utils.AveragedModel(network, use_buffers=True)
    each = -(-len(inputs) // recipe.batch)
    total = each * recipe.epochs
    optimiser = torch.optim.SGD(
        network.parameters(), recipe.rate, recipe.momentum, weight_decay=recipe.weight_decay, nesterov=True
    )
    parts = {"network": network, "average": average, "optimiser": optimiser}
    step, sums = 0, [0.0, 0.0]
    if kept.exists():
        saved = torch.load(kept, weights_only=True)
        step, sums = saved["step"], saved["sums"]
        for name, part in parts.items():
            part.load_state_dict(saved[name])
    while step < total:
        epoch, within = divmod(step, each)
        order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(recipe.seed * 1009 + epoch))
        batch = order[within * recipe.batch : (within + 1) * recipe.batch]
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate * min(5 * (step + 1) / total, 1.25 * (1 - step / total))
        network.train()
        logits = network(_augmented(inputs[batch], recipe.seed * 1_000_003 + step))
        value = F.cross_entropy(logits, labels[batch], label_smoothing=recipe.smoothing)
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        step += 1
        if step > total * (1 - recipe.averaged):
            average.update_parameters(network)
        sums = [sums[0] + float(value.detach()) * len(batch), sums[1] + float((logits.argmax(1) == labels[batch]).sum())]
        if step % each == 0:
            best = average.module if average.n_averaged else network
            probabilities = predict(best, test)
            wanted = probabilities[np.arange(len(test)), test_accepted.argmax(1)]
            row = {"epoch": epoch, "train loss": sums[0] / len(inputs), "test loss": float(-np.log(wanted).mean())}
            row |= {"train accuracy": sums[1] / len(inputs)}
            row |= {"test accuracy": float((probabilities.argmax(1) == test_accepted.argmax(1)).mean())}
            sums = [0.0, 0.0]
            yield row, best
        if step % each == 0 or step % _SAVE_EVERY == 0:
            state = {name: part.state_dict() for name, part in parts.items()}
            with runs.whole(kept) as temporary:
                torch.save({"epoch": step // each, "step": step, "sums": sums, **state}, temporary)
    yield {}, average.module if average.n_averaged else network


def predict(network: Network, pictures: np.ndarray) -> np.ndarray:
    """uint8 [n, 28, 28] -> probabilities float [n, classes], of the mean logits of a picture and its mirror image."""
    network.eval()
    with torch.inference_mode():
        answers = [
            (network(batch) + network(batch.flip(3))).div(2).softmax(1)
            for batch in torch.from_numpy(pictures.copy())[:, None].float().split(500)
        ]
    return torch.cat(answers).numpy()


def _augmented(batch: torch.Tensor, seed: int) -> torch.Tensor:
    """uint8 [n, 28, 28] -> float [n, 1, 28, 28]: half of them mirrored, each shifted by -2 to 2 pixels both ways."""
    random = torch.Generator().manual_seed(seed)
    count, side = len(batch), batch.shape[-1]
    padded = F.pad(batch[:, None].float(), (_PAD,) * 4)
    rows, columns = (torch.randint(2 * _PAD + 1, (count, 1), generator=random) + torch.arange(side) for _ in range(2))
    mirrored = torch.rand(count, 1, generator=random) < 0.5
    columns = torch.where(mirrored, columns.flip(1), columns)
    shifted = padded[torch.arange(count)[:, None, None], 0, rows[:, :, None], columns[:, None, :]]
    return shifted[:, None].contiguous(memory_format=torch.channels_last)
