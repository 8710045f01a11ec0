"""Train the plane: python -m training.embed_latent.train --data data/figurines_west_mexico --out RUN

Configurations (one line each in config.py): --configuration aae | paper | wae-mmd | swae | vae | unlabelled | ...
A run stopped at any moment goes on from its last checkpoint when the same command is given again, with the same result.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from tqdm import tqdm

from training.common import runs
from training.embed_latent import augment, data, eye, measures, paper, plots
from training.embed_latent.config import CONFIGURATIONS, Config
from training.embed_latent.eye import TrainingError
from training.embed_latent.plane import Plane

PLANE, SEEN, EYE = "plane.pt", "seen.npz", "eye.pt"


def prepare(run: Path, works: data.Works, config: Config, cache: Path) -> dict[str, np.ndarray]:
    """All that the plane is trained and measured on, made once and kept in ``run/seen.npz``.

    ``views`` float32 [n, views, d]: the texture of all views; ``keep``, ``white``, ``grey``, ``black`` float32 [n, d]:
    of the photograph as served and with its background laid flat, and ``features keep`` ... float32 [n, features] of the same;
    ``targets`` uint8 [n, side, side, 3]: what the decoder is to draw; ``train`` and ``held`` int64: the split.
    """
    kept = run / SEEN
    if not kept.exists():
        train, held = data.split(works, folds=config.folds, fold=config.fold, seed=config.split_seed)
        views = eye.Views(cache, works, config)
        fitted = eye.fit(works.labels, len(works.names), train, views, config)
        with runs.whole(run / EYE) as temporary:
            torch.save(fitted.state_dict(), temporary)
        texture = views.wide()[:, :, eye.Trunk.WIDTH :].numpy()
        plain = eye.features(fitted, views).numpy()
        seen = {"train": train, "held": held, "targets": targets(works, config), "views": texture}
        for index, backdrop in enumerate(augment.BACKDROPS):
            seen |= {backdrop: texture[:, index], f"features {backdrop}": plain[:, index]}
        with runs.whole(kept) as temporary:
            np.savez(temporary, **seen)
    with np.load(kept) as stored:
        return dict(stored)


def describe(run: Path, works: data.Works) -> None:
    """``run/groups.json``: what the run was trained on, work by work."""
    fields = {name: getattr(works, name).tolist() for name in ("files", "labels", "sources", "objects")}
    runs.write_json(run / "groups.json", {"names": works.names, **fields})


def targets(works: data.Works, config: Config) -> np.ndarray:
    """uint8 [n, side, side, 3]: the figure alone on white, or the photograph."""
    if config.target == "figure":
        return augment.figures(works.pixels, works.masks, config.side)
    return augment.plains(works.pixels, works.masks, config.side)


def train_plane(
    run: Path, seen: dict[str, np.ndarray], labels: np.ndarray, names: list[str], config: Config, seed: int
) -> Plane:
    """Train on ``seen`` (see :func:`prepare`), logging an epoch a row; resumes from ``run/plane.pt``.

    Raises :class:`TrainingError` when a loss is no number; the last checkpoint stands.
    """
    torch.manual_seed(seed)
    plane = Plane(config, seen["views"].shape[-1], len(names))
    path = run / PLANE
    plane.standardise(torch.from_numpy(seen["views"][seen["train"]]).flatten(0, 1))
    start = plane.restore(path) if path.exists() else 0
    runs.read_history(run, before_epoch=start)
    train, held = torch.from_numpy(seen["train"]), seen["held"]
    views, target, label = (torch.from_numpy(array) for array in (seen["views"], seen["targets"], labels))
    weights = torch.ones(len(train))
    if config.balanced:
        weights = 1 / torch.bincount(label[train])[label[train]].float()
    for epoch in (
        bar := tqdm(range(start, config.epochs), desc="plane", unit="epoch", disable=None, initial=start, total=config.epochs)
    ):
        torch.manual_seed(seed * 100_003 + epoch)  # an epoch's own seed: resuming draws what an unbroken run would have drawn
        began, sums = time.monotonic(), {}
        plane.set_rate(_cosine(epoch, config.epochs))
        for _ in range(config.steps):
            chosen = train[torch.multinomial(weights, config.batch, replacement=True)]
            which = torch.randint(views.shape[1], (config.batch,))
            losses = plane.step(views[chosen, which], target[chosen], label[chosen])
            for name, value in losses.items():
                if not math.isfinite(value):
                    raise TrainingError(
                        f"plane: the {name} loss became {value} in epoch {epoch}; {path} still holds the epoch before the last "
                        "checkpoint: lower the rate, or raise r1, and start in another --out"
                    )
                sums[name] = sums.get(name, 0.0) + value / config.steps
        row = {"epoch": epoch, **sums, "seconds": time.monotonic() - began}
        last = epoch == config.epochs - 1
        if epoch % 10 == 9 or last:
            mean, _ = plane.encode(torch.from_numpy(seen["keep"]))
            fit = measures.prior_fit(mean[held], config.prior_std, rng=np.random.default_rng(epoch), permutations=100)
            across = measures.class_structure(mean[seen["train"]], labels[seen["train"]], mean[held], labels[held])
            row |= {
                name: fit[name] for name in ("mmd2", "mmd_p", "ks_radius", "effective_rank", "share_within_3_sigma", "farthest")
            }
            row |= {
                "spread_x": fit["spread"][0],
                "spread_y": fit["spread"][1],
                "balanced_accuracy": across["balanced_accuracy"],
            }
            bar.set_postfix(ks=f"{fit['ks_radius']:.3f}", group=f"{across['balanced_accuracy']:.2f}")
            if epoch % 20 == 19 or last:
                plots.plane(mean, labels, names, run / "plots" / f"plane-{epoch + 1:04d}.png", config.prior_std, held=held)
        runs.log(run, **row)
        if epoch % 10 == 9 or last:
            plane.save(path, epoch + 1)
    plots.history(runs.read_history(run), run / "plots")
    return plane


def main(
    data_: Annotated[Path, typer.Option("--data", help="folder of photographs with labels.csv")],
    out: Annotated[Path, typer.Option(help="run folder; an unfinished run in it goes on")],
    configuration: Annotated[str, typer.Option(help=", ".join(CONFIGURATIONS))] = "aae",
    seed: Annotated[int, typer.Option(help="of weights, views' order and noise")] = 0,
    fold: Annotated[int, typer.Option(help="which fifth of the objects is held out")] = 0,
    epochs: Annotated[int | None, typer.Option(help="instead of the configuration's")] = None,
    labels: Annotated[Path | None, typer.Option(help="instead of DATA/labels.csv")] = None,
    cache: Annotated[
        Path | None, typer.Option(help="shared by runs for decoded photographs and views; default OUT/cache")
    ] = None,
    mask_model: Annotated[
        Path | None, typer.Option(help="bundle of the mask service, to find the figures with; default: fitted to the border")
    ] = None,
    minutes: Annotated[float, typer.Option(help="paper configuration: stop after this wall time")] = math.inf,
) -> None:
    """Train one configuration of the latent plane."""
    torch.set_num_threads(1)
    with plainly():
        if configuration not in CONFIGURATIONS:
            raise TrainingError(f"--configuration {configuration}: choose one of {', '.join(CONFIGURATIONS)}")
        config = replace(CONFIGURATIONS[configuration], fold=fold)
        config = replace(config, epochs=epochs) if epochs else config
        settings = asdict(config) | {"seed": seed, "data": str(data_), "labels": str(labels or "")}
        runs.open_run(out, settings | ({"mask_model": mask_model.name} if mask_model else {}))
        works = data.load(
            data_,
            labels,
            side=config.side if config.encoder == "dense" else data.SIDE,
            cache=cache or out / "cache",
            mask_model=mask_model,
        )
        describe(out, works)
        if config.encoder == "dense":
            paper.train(out, works, config, seed, minutes=minutes)
            return
        seen = prepare(out, works, config, cache or out / "cache")
        train_plane(out, seen, works.labels, works.names, config, seed)


@contextmanager
def plainly() -> Iterator[None]:
    """What a user can cause ends as one sentence and exit code 2."""
    try:
        yield
    except (data.DataError, TrainingError, runs.RunError, measures.MeasureError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None


def _cosine(epoch: int, epochs: int) -> float:
    """1 for the first half, then down to 0.05: the adversary's game settles only when both slow down."""
    late = max(0.0, 2 * epoch / max(1, epochs) - 1)
    return 0.05 + 0.95 * (1 + math.cos(math.pi * late)) / 2


if __name__ == "__main__":
    typer.run(main)
