"""Train the classifier of sculpture types on cached features, in cross-validation by work, then on everything.

    python -m training.classify.train --data data/types/labels.csv --out RUN

``--data`` is a folder of one folder per type, a folder with ``labels.csv``, or such a table. Two minutes of features for a
thousand photographs on one core, kept in ``RUN/cache``; then under a minute. A killed run goes on where it was.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from tqdm import tqdm

from services.common.images import ResizeRule
from training.classify import data as datasets
from training.classify import features, head, scores
from training.classify.backbones import BACKBONES, WeightsUnavailable
from training.classify.config import Config
from training.common import plots, runs

RENDERS = "renders"


def train(data: Path, out: Path, config: Config, cache: Path | None = None) -> Path:
    """Write to ``out``: ``oof.npz`` (held-out logits of every fold), ``head.npz`` (trained on all), history and curves.

    Rendered photographs (source ``renders``) are trained on in every fold and never scored. Where there are photographs without
    sculpture, a second classifier knows them too (:func:`head.joined`); each of their sources is held out whole.
    Raises ``DataError``, ``WeightsUnavailable`` and ``RunError``.
    """
    torch.set_num_threads(1)
    runs.open_run(out, {**asdict(config), "data": str(data)})
    runs.seed_everything(config.seed)
    cache = cache or out / "cache"
    set_ = datasets.load(data, (config.size, config.size), config.resize, cache)
    for line in set_.left_out:
        typer.echo(f"left out: {line}", err=True)
    views = features.extract(set_.pixels, config, cache)
    fold = datasets.folds(set_, config.folds, config.seed)
    fold[set_.sources == RENDERS] = -1
    for number, source in enumerate(sorted(set(set_.sources[set_.others]))):
        fold[set_.others & (set_.sources == source)] = number % config.folds
    held_out = []
    histories = []
    for number in tqdm(range(config.folds), desc="folds", unit="fold", disable=None):
        test = fold == number
        kept = out / f"fold{number}.npz"
        if not kept.exists():
            scored = test & ~set_.others
            watch = (views[scored, 0], set_.accepted[scored])
            linear, history = head.joined(views[~test], set_.accepted[~test], set_.sources[~test], config, watch)
            _save(kept, linear, history)
        linear, history = load_head(kept)
        held_out.append(np.where(test[:, None], linear.logits(views[:, 0]), 0))
        histories.append(history)
    logits = np.sum(held_out, axis=0, dtype=np.float32)
    linear, history = head.joined(views, set_.accepted, set_.sources, config)
    _save(out / "head.npz", linear, history)
    real = (fold >= 0) & ~set_.others
    temperature = scores.temperature(logits[real][:, : len(set_.labels)], set_.accepted[real])
    with runs.whole(out / "oof.npz") as temporary:
        np.savez(temporary, logits=logits, accepted=set_.accepted, fold=fold, sources=set_.sources, works=set_.works)
    runs.write_json(
        out / "data.json",
        {
            "labels": [label.model_dump() for label in set_.labels],
            "photographs": [str(photo.path) for photo in set_.photos],
            "sources": {name: int((set_.sources == name).sum()) for name in sorted(set(set_.sources))},
            "left_out": set_.left_out,
            "temperature": temperature,
        },
    )
    curves = _mean_history(histories)
    (out / runs.HISTORY).unlink(missing_ok=True)
    for row in curves:
        runs.log(out, **row)
    plots.curves(curves, out / "curves.png", {"loss": ["train loss", "test loss"], "accuracy": ["test accuracy"]})
    return out


def load_head(path: Path) -> tuple[head.Linear, list[dict[str, float]]]:
    """What :func:`train` keeps per fold: the classifier and its history."""
    with np.load(path) as stored:
        rows = [dict(zip(stored["columns"].tolist(), row.tolist(), strict=True)) for row in stored["history"]]
        return head.Linear(stored["weight"], stored["bias"]), rows


def _save(path: Path, linear: head.Linear, history: list[dict[str, float]]) -> None:
    with runs.whole(path) as temporary:
        np.savez(
            temporary,
            weight=linear.weight,
            bias=linear.bias,
            columns=list(history[0]),
            history=[list(row.values()) for row in history],
        )


def _mean_history(histories: list[list[dict[str, float]]]) -> list[dict[str, float]]:
    """Means over the folds, up to where the first of them converged."""
    return [{name: float(np.mean([row[name] for row in rows])) for name in rows[0]} for rows in zip(*histories, strict=False)]


def main(
    data: Annotated[Path, typer.Option(help="folder of one folder per type, folder with labels.csv, or such a table")],
    out: Annotated[Path, typer.Option(help="the run folder")],
    backbone: Annotated[str, typer.Option(help=f"one of {', '.join(BACKBONES)}")] = Config.backbone,
    resize: Annotated[ResizeRule, typer.Option(help="how a photograph is brought to the model's size")] = Config.resize,
    size: Annotated[int, typer.Option(min=32, help="side of the model's input, pixels, a multiple of 32")] = Config.size,
    folds: Annotated[int, typer.Option(min=2, help="cross-validation folds")] = Config.folds,
    l2: Annotated[float, typer.Option(min=0, help="ridge on the classifier's weights")] = Config.l2,
    class_balance: Annotated[float, typer.Option(min=0, max=1, help="0: types as found, 1: all alike")] = Config.class_balance,
    source_balance: Annotated[float, typer.Option(min=0, max=1, help="the same for sources")] = Config.source_balance,
    seed: Annotated[int, typer.Option(help="of the split")] = Config.seed,
    cache: Annotated[Path | None, typer.Option(help="where pixels and features are kept; RUN/cache by default")] = None,
) -> None:
    """Train on photographs of sculpture; then see `evaluate` and `export`."""
    if backbone not in BACKBONES:
        fail(f"--backbone {backbone}: choose one of {', '.join(BACKBONES)}")
    config = Config(
        backbone=backbone,
        resize=resize,
        size=size,
        folds=folds,
        l2=l2,
        class_balance=class_balance,
        source_balance=source_balance,
        seed=seed,
    )
    try:
        train(data, out, config, cache)
    except (datasets.DataError, WeightsUnavailable, runs.RunError) as error:
        fail(str(error))
    typer.echo(f"trained: {out}; next: python -m training.classify.evaluate --run {out}")


def fail(message: str) -> None:
    """End as one clear sentence and exit code 2."""
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(2)


if __name__ == "__main__":
    typer.run(main)
