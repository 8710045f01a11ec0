"""The paper's experiment as one command: Flinkert (2023), on Fashion-MNIST or any folder of photographs.

    python -m training.classify.paper --fashion-mnist /usr/share/datasets/fashion-mnist --out RUN
    python -m training.classify.paper --data FOLDER --out RUN
    python -m training.classify.paper --fashion-mnist FOLDER --configuration best --out RUN

``--data`` is what `train` takes: one folder per type, or a labels.csv; a fifth of the works is held out. What it costs and
which numbers to expect: README, "The paper, reproduced". A killed run goes on where it was and ends with the same numbers.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from tqdm import tqdm

from services.common.images import ResizeRule
from training.classify import adam, fashion, report, scores, scratch
from training.classify import data as datasets
from training.classify import draws as drawing
from training.classify.backbones import BACKBONES, WeightsUnavailable
from training.classify.train import fail
from training.common import runs, tracking


class Configuration(StrEnum):
    """``paper``: a frozen backbone; ``best``: a small residual network from nothing, for Fashion-MNIST."""

    PAPER = "paper"
    BEST = "best"


@dataclass(frozen=True)
class Paper:
    """The paper's pipeline around :class:`training.classify.adam.Recipe`."""

    backbone: str = "efficientnet_b0"
    size: int = 224
    colour: bool = False
    # Draws of TrivialAugmentWide that the epochs take in turn; 0: the pictures as they are.
    draws: int = 4
    seed: int = 0
    # Fashion-MNIST only: the first so many of its 60,000 training pictures, where the backbone's time is short.
    limit: int | None = None


@dataclass(frozen=True)
class Split:
    """Pictures uint8 [n, h, w, 3], accepted bool [n, classes], for training and held out."""

    train: np.ndarray
    train_accepted: np.ndarray
    test: np.ndarray
    test_accepted: np.ndarray
    names: tuple[str, ...]
    left_out: tuple[str, ...] = ()


def of_fashion(folder: Path, limit: int | None = None) -> Split:
    """Fashion-MNIST's own split, of the training pictures the first ``limit``. Raises ``DataError``."""
    parts = []
    for part in ("train", "test"):
        pictures, labels = fashion.load(folder, part)
        if part == "train":
            pictures, labels = pictures[:limit], labels[:limit]
        parts += [np.repeat(pictures[..., None], 3, -1), np.eye(len(fashion.NAMES), dtype=bool)[labels]]
    return Split(*parts, names=fashion.NAMES)


def of_photographs(folder: Path, size: int, seed: int, cache: Path) -> Split:
    """A fifth of the works held out, every type spread evenly; near duplicates never straddle. Raises ``DataError``."""
    set_ = datasets.load(folder, (size, size), ResizeRule.SQUASH, cache)
    if set_.others.any():
        raise datasets.DataError(f"{folder}: holds photographs of no type; the paper's classifier has no answer for them")
    test = datasets.folds(set_, 5, seed) == 0
    if not test.any() or not set_.accepted[~test].any(0).all():
        raise datasets.DataError(f"{folder}: too few works to hold a fifth of them out; add photographs of other works")
    names = tuple(label.id for label in set_.labels)
    return Split(set_.pixels[~test], set_.accepted[~test], set_.pixels[test], set_.accepted[test], names, set_.left_out)


def train(
    split: Split, out: Path, config: Paper, recipe: adam.Recipe, cache: Path, wandb: tracking.Wandb = tracking.Wandb.OFF
) -> dict[str, Any]:
    """Features, 100 epochs, reports; returns metrics.json. Raises ``WeightsUnavailable`` and ``RunError``."""
    torch.set_num_threads(1)
    settings = {**asdict(config), **asdict(recipe), "configuration": Configuration.PAPER.value}
    runs.open_run(out, settings)
    train_, test = (pictures if config.colour else drawing.grey(pictures) for pictures in (split.train, split.test))

    def features(pictures: np.ndarray, draw: int) -> np.ndarray:
        return drawing.extract(pictures, config.backbone, config.size, draw, config.seed, cache)

    watched = features(test, 0)
    draws = [features(train_, draw) for draw in range(1, config.draws + 1)] or [features(train_, 0)]
    kept = out / adam.CHECKPOINT
    rows = adam.epochs(draws, split.train_accepted, watched, split.test_accepted, recipe, config.seed, kept)
    linear = follow(rows, out, settings, kept, recipe.epochs, wandb)
    probabilities = scores.probabilities(linear.logits(watched.astype(np.float32)))
    return report.write(out, probabilities, split.test_accepted, split.names, test, {"left_out": split.left_out, **settings})


def follow(
    rows: Iterator[tuple[dict[str, float], Any]],
    out: Path,
    settings: dict[str, Any],
    kept: Path,
    epochs: int,
    wandb: tracking.Wandb,
) -> Any:
    """Log every row to the history and wherever it is watched; return what was learnt last. ``kept`` is the checkpoint."""
    start = int(torch.load(kept, weights_only=True)["epoch"]) if kept.exists() else 0
    runs.read_history(out, before_epoch=start)
    with (
        tracking.track(out, settings, start, wandb) as log,
        tqdm(total=epochs, initial=start, unit="epoch", disable=None) as bar,
    ):
        began = time.monotonic()
        for row, last in rows:
            learnt = last
            if row:
                runs.log(out, **row, seconds=round(time.monotonic() - began, 2))
                log(int(row["epoch"]), {name: value for name, value in row.items() if name != "epoch"})
                bar.update()
                began = time.monotonic()
    return learnt


def main(
    out: Annotated[Path, typer.Option(help="the run folder")],
    data: Annotated[Path | None, typer.Option(help="folder of one folder per type, folder with labels.csv, or a table")] = None,
    fashion_mnist: Annotated[Path | None, typer.Option(help="folder of its IDX files; downloaded there where missing")] = None,
    configuration: Annotated[Configuration, typer.Option(help="the paper's, or the best known")] = Configuration.PAPER,
    backbone: Annotated[str, typer.Option(help=f"one of {', '.join(BACKBONES)}")] = Paper.backbone,
    size: Annotated[int, typer.Option(min=32, help="side of the input, pixels, a multiple of 32")] = Paper.size,
    colour: Annotated[bool, typer.Option(help="keep the colours, which the paper drops")] = Paper.colour,
    draws: Annotated[int, typer.Option(min=0, help="draws of TrivialAugmentWide; 0 for none")] = Paper.draws,
    limit: Annotated[int | None, typer.Option(min=1, help="Fashion-MNIST: its first so many training pictures")] = Paper.limit,
    epochs: Annotated[int | None, typer.Option(min=1, help="100, or 10 for best")] = None,
    seed: Annotated[int, typer.Option(help="of split, draws and training")] = Paper.seed,
    wandb: Annotated[tracking.Wandb, typer.Option(help="Weights & Biases beside TensorBoard")] = tracking.Wandb.OFF,
    cache: Annotated[Path | None, typer.Option(help="where features are kept; RUN/cache by default")] = None,
) -> None:
    """Train and report: metrics.json, confusion.png, curves.png, predictions.png, tensorboard/."""
    if backbone not in BACKBONES:
        fail(f"--backbone {backbone}: choose one of {', '.join(BACKBONES)}")
    if (data is None) == (fashion_mnist is None):
        fail("give either --data or --fashion-mnist")
    cache = cache or out / "cache"
    try:
        if configuration is Configuration.BEST:
            if fashion_mnist is None:
                fail("--configuration best is for --fashion-mnist; for photographs see python -m training.classify.train")
            recipe = scratch.Recipe(**({"epochs": epochs} if epochs else {}), seed=seed)
            settings = {**asdict(recipe), "configuration": configuration.value}
            runs.open_run(out, settings)
            split, kept = of_fashion(fashion_mnist), out / adam.CHECKPOINT
            rows = scratch.epochs(
                split.train[..., 0], split.train_accepted, split.test[..., 0], split.test_accepted, recipe, kept
            )
            network = follow(rows, out, settings, kept, recipe.epochs, wandb)
            answers = scratch.predict(network, split.test[..., 0])
            metrics = report.write(out, answers, split.test_accepted, split.names, split.test, settings)
        else:
            paper = Paper(backbone, size, colour, draws, seed, limit)
            split = of_fashion(fashion_mnist, limit) if fashion_mnist else of_photographs(data, size, seed, cache)
            for line in split.left_out:
                typer.echo(f"left out: {line}", err=True)
            metrics = train(split, out, paper, adam.Recipe(**({"epochs": epochs} if epochs else {})), cache, wandb)
    except (datasets.DataError, WeightsUnavailable, runs.RunError) as error:
        fail(str(error))
    typer.echo(report.text(metrics))


if __name__ == "__main__":
    typer.run(main)
