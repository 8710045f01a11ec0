"""Fit a bundle to one object: python -m training.remove_background.finetune --photos DIR --masks DIR --bundle OLD --out NEW

Takes 5 to 30 masked photographs of the object. One in five is set aside, and Dice is told for these before and after; a bundle
that became no better is not written. Minutes on two cores: the first half of the encoder, which sees edges and textures and
costs most, stays as it is. Stopped, it goes on from its last checkpoint when the same command is given again; until the bundle
is written its run lies beside it, in ``.VERSION.run``.
"""

from __future__ import annotations

import base64
import json
import math
import os
import shutil
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import typer

from services.common import models
from training.common import bundle, runs
from training.remove_background import data, export, lineage, measures, model, sources
from training.remove_background.config import Config, from_json
from training.remove_background.sources import DataError, Source
from training.remove_background.train import MAY_CHANGE, Trainer, fail, fit, read_weights, set_threads

FEWEST = 5
# One in so many is set aside.
SET_ASIDE = 5
# Layers up to this one keep their weights: two thirds of the encoder's time, a tenth of its weights.
FROZEN_TO = "block5_add"
LEARNING_RATE, BATCH, WARMUP, EMA = 3e-4, 8, 20, 0.97
# Batches between checkpoints.
STEPS = 20


def load(path: Path, steps: int) -> tuple[models.Bundle, Config, list[np.ndarray]]:
    """The bundle, its configuration set for fine-tuning, and its weights as Keras orders them, out of the SavedModel."""
    opened = models.load(path)
    try:
        config = from_json(json.loads((path / "metrics.json").read_text())["configuration"])
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"{path}: holds no SavedModel of training.remove_background.export ({error})") from error
    settings = {
        "batch": BATCH,
        "steps": min(steps, STEPS),
        "epochs": math.ceil(steps / STEPS),
        "sizes": (),
        "warmup": WARMUP,
        "decay": 1.0,
        "ema": EMA,
        "augment": True,
        "frozen_to": FROZEN_TO,
    }
    mixture = (("pairs", 1.0),)
    return (
        opened,
        replace(config, size=opened.manifest.input.height, learning_rate=LEARNING_RATE, mixture=mixture, **settings),
        read_weights(path, config),
    )


def split(every: Source) -> tuple[Source, Source]:
    """(to train on, set aside): by the order of their names, evenly spread over a walk around the object."""
    if len(every) < FEWEST:
        raise DataError(f"{len(every)} masked photographs are too few; give at least {FEWEST}")
    aside = set(sorted(every.names)[SET_ASIDE // 2 :: SET_ASIDE])
    return every.only(lambda name, _: name not in aside), every.only(lambda name, _: name in aside)


def tune(
    config: Config, weights: list[np.ndarray], seen: data.Data, run: Path, seed: int, before: dict[str, object] | None = None
) -> tuple[keras.Model, float, float]:
    """Train, with checkpoints in the folder ``run``; returns the network with the averaged weights, and Dice of what was set
    aside before and after. ``before``: the lineage of ``weights``."""
    trainer = Trainer(config, config.epochs * config.steps)
    trainer.model.set_weights(weights)
    trainer.average = trainer.weights()
    network = model.build(config)
    network.set_weights(weights)
    first = measures.quick(network, seen.held, config.size, 1000)["pairs"]
    fit(trainer, seen, run, seed, before)
    # Not the best on what was set aside: that would be a choice made on it.
    network.set_weights(trainer.averaged())
    return network, first, measures.quick(network, seen.held, config.size, 1000)["pairs"]


def main(
    photos: Annotated[Path, typer.Option(exists=True, file_okay=False, help="photographs of the object")],
    masks: Annotated[
        Path, typer.Option(exists=True, file_okay=False, help="their masks: NAME.png or NAME.jpg.png, white = object")
    ],
    bundle_: Annotated[Path, typer.Option("--bundle", exists=True, file_okay=False, help="the bundle to begin from")],
    out: Annotated[Path, typer.Option(help=".../remove_background/<new version>")],
    steps: Annotated[int, typer.Option(min=1)] = 120,
    threads: Annotated[int, typer.Option(min=1)] = 2,
    seed: int = 0,
) -> None:
    """Fine-tune; see the module's docstring."""
    set_threads(threads)
    if out.exists():
        fail(f"{out} is there already; give another version")
    try:
        old, config, weights = load(bundle_, steps)
        train, held = split(sources.pairs(photos, masks))
        names = [{photos.name: sorted(source.names)} for source in (train, held)]
        seen = data.Data({"pairs": train}, {"pairs": held}, pairs=("pairs",), seen=names[0], chosen_on=names[1])
        facts = {**asdict(config), "seed": seed, "bundle": bundle_.name, "photos": names}
        run = runs.open_run(out.with_name(f".{out.name}.run"), facts, MAY_CHANGE)
        runs.seed_everything(seed)
        network, before, after = tune(config, weights, seen, run, seed, lineage.of(bundle_))
        told = f"Dice of {len(held)} photographs set aside: {before:.4f} before, {after:.4f} after"
        if after <= before:
            fail(f"{told}; no better, so {out} was not written")
        size = (config.size, config.size)
        pictures = [np.asarray(keras.utils.array_to_img(pixels).resize(size)) for pixels in (*held.pixels, *train.pixels)]
        with tempfile.TemporaryDirectory() as scratch:
            graph, saved_model = export.convert(network, config.size, Path(scratch))
            parity = export.check(network, graph, saved_model, pictures)
            manifest = old.manifest
            golden = models.Golden.model_validate_json((bundle_ / models.GOLDEN).read_bytes())
            extra = bundle.Dataset(
                name=photos.name, items=len(train), licence="the owner's", note=f"Fine-tuned to this object. {told}."
            )
            bundle.write(
                out,
                graph=graph,
                saved_model=saved_model,
                extra_files={lineage.FILE: run / lineage.FILE},
                golden_picture=base64.b64decode(golden.image),
                card=(bundle_ / "MODEL_CARD.md").read_text(encoding="utf-8")
                + f"\n## Fine-tuned\n\nTo `{photos.name}`. {told}.\n",
                metrics={
                    "before": before,
                    "after": after,
                    "set_aside": held.names,
                    "parity": parity,
                    "configuration": asdict(config),
                },
                headline={"dice_set_aside": after, "dice_set_aside_before": before},
                training_data=(*manifest.training_data, extra),
                seed=seed,
                **{
                    name: getattr(manifest, name)
                    for name in ("architecture", "licence", "input", "intended_use", "not_for", "details")
                },
            )
        shutil.rmtree(run)
    except (DataError, models.BundleError, bundle.ParityError, runs.RunError) as error:
        fail(str(error))
    typer.echo(f"{told}; written to {out}")


if __name__ == "__main__":
    typer.run(main)
