"""Train the mask model: python -m training.remove_background.train --renders data/renders --out RUN

    --config shipped | paper; --photographs LABELLED (by `teacher`); --pairs data/masks_weizmann_horses;
    --cutouts and --backgrounds, to compose and for empty scenes

A run stopped at any moment goes on from its last epoch when the same command is given again, with the same result.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import typer
from keras import ops
from tqdm import tqdm

from training.common import plots, runs
from training.remove_background import data as data_
from training.remove_background import measures, model, transfer
from training.remove_background.config import CONFIGURATIONS, Config
from training.remove_background.losses import LOSSES

BEST, LAST = "best.weights.h5", "last.npz"
# Held-out pictures scored after each epoch, of each set at most: evaluate.py scores all.
SCORED = 96


class Trainer:
    """The network, its optimizer, and the running average of the weights; all of it goes into a checkpoint."""

    def __init__(self, config: Config, total_steps: int) -> None:
        self.config = config
        self.model = model.build(config)
        if config.frozen_to:
            names = [layer.name for layer in self.model.layers]
            if config.frozen_to not in names:
                raise ValueError(f"the network has no layer {config.frozen_to!r}")
            for layer in self.model.layers[: names.index(config.frozen_to) + 1]:
                layer.trainable = False
        # Half a cosine down to a hundredth, after a linear start (Loshchilov & Hutter 2017).
        rate: Any = config.learning_rate
        if config.warmup:
            rate = keras.optimizers.schedules.CosineDecay(
                config.learning_rate / 20,
                max(1, total_steps - config.warmup),
                alpha=0.01,
                warmup_target=config.learning_rate,
                warmup_steps=config.warmup,
            )
        options: dict[str, Any] = {"learning_rate": rate, "global_clipnorm": config.clip or None}
        if config.weight_decay:
            options["weight_decay"] = config.weight_decay
        optimizer = keras.optimizers.get({"class_name": config.optimizer, "config": options})
        self.model.compile(optimizer=optimizer, loss=LOSSES[config.loss], jit_compile=False)
        optimizer.build(self.model.trainable_variables)
        self.average = self.weights()
        self.steps = 0

    def weights(self) -> list[np.ndarray]:
        return [ops.convert_to_numpy(weight).copy() for weight in self.model.weights]

    def step(self, pixels: np.ndarray, masks: np.ndarray) -> float:
        loss = float(self.model.train_on_batch(pixels.astype(np.float32), masks))
        if not np.isfinite(loss):
            raise runs.RunError(f"the loss is {loss} at step {self.steps}: lower the learning rate; the last checkpoint stands")
        self.steps += 1
        every = 5
        if not self.config.ema:
            self.average = []
        elif self.steps % every == 0:
            # A short memory at first, when the weights are still far from where they will be.
            keep = min(self.config.ema**every, (1 + self.steps) / (10 * every + self.steps))
            for mean, weight in zip(self.average, self.model.weights, strict=True):
                mean += (1 - keep) * (ops.convert_to_numpy(weight) - mean)
        return loss

    def averaged(self) -> list[np.ndarray]:
        return self.average if self.config.ema else self.weights()

    def save(self, path: Path, epoch: int) -> None:
        arrays = {f"weight{i}": value for i, value in enumerate(self.weights())}
        arrays |= {f"average{i}": value for i, value in enumerate(self.average)}
        arrays |= {f"optimizer{i}": ops.convert_to_numpy(value) for i, value in enumerate(self.model.optimizer.variables)}
        with runs.whole(path) as temporary:
            np.savez(temporary, epoch=epoch, steps=self.steps, **arrays)

    def restore(self, path: Path) -> int:
        """Back to a checkpoint; returns the epochs that were done."""
        with np.load(path) as stored:
            for prefix, variables in (("weight", self.model.weights), ("optimizer", self.model.optimizer.variables)):
                for i, variable in enumerate(variables):
                    variable.assign(stored[f"{prefix}{i}"])
            self.average = [stored[f"average{i}"] for i in range(len(self.average) if self.config.ema else 0)]
            self.steps = int(stored["steps"])
            return int(stored["epoch"])


def fit(trainer: Trainer, seen: data_.Data, run: Path, seed: int) -> list[dict[str, float]]:
    """Train to the configured epochs, resuming from ``run/last.npz``; keeps the best by the mean over the held-out sets,
    of Dice and of the share of empty scenes left empty: an object missed and one invented cost a user alike."""
    config = trainer.config
    start = trainer.restore(run / LAST) if (run / LAST).exists() else 0
    history = runs.read_history(run, before_epoch=start)
    best = max((row["score"] for row in history), default=-1.0)
    scorer = model.build(config)
    for epoch in range(start, config.epochs):
        began, losses = time.monotonic(), []
        total = config.steps or None
        for pixels, masks in tqdm(
            data_.batches(seen, config, seed, epoch), f"epoch {epoch}", total, unit="batch", disable=None
        ):
            losses.append(trainer.step(pixels, masks))
        scorer.set_weights(trainer.averaged())
        scores = measures.quick(scorer, seen.held, config.size, SCORED)
        objects = [value for name, value in scores.items() if name != "empty"]
        row = {
            "epoch": epoch,
            "loss": float(np.mean(losses)),
            "seconds": time.monotonic() - began,
            "dice": float(np.mean(objects)),
            "score": float(np.mean(list(scores.values()))),
        }
        row |= {f"dice_{name}": value for name, value in scores.items()}
        if row["score"] > best:
            best = row["score"]
            with runs.whole(run / BEST) as temporary:
                # Keras wants its own ending.
                keep = temporary.with_name(f"{temporary.name}.weights.h5")
                scorer.save_weights(keep)
                keep.replace(temporary)
        runs.log(run, **row)
        trainer.save(run / LAST, epoch + 1)
        history.append(row)
        tqdm.write(" ".join(f"{name} {value:.4g}" for name, value in row.items()))
        plots.curves(history, run / "curves.png", {"loss": ["loss"], "Dice": [key for key in row if key.startswith("dice")]})
    return history


def start_weights(trainer: Trainer, seen: data_.Data, init: Path | None, encoder: Path | None, imagenet: bool) -> None:
    """Weights of another run, or ImageNet's for the encoder, or none."""
    if init:
        before = model.build(trainer.config)
        try:
            before.load_weights(init)
        except (OSError, ValueError) as error:
            raise data_.DataError(f"{init}: holds no weights of this network ({error})") from error
        trainer.model.set_weights(before.get_weights())
    elif encoder or imagenet:
        folded = transfer.from_torch(encoder) if encoder else transfer.from_keras()
        some = next(iter(seen.train.values())).pixels[:16]
        side = trainer.config.size
        pictures = np.stack([np.asarray(keras.utils.array_to_img(p).resize((side, side))) for p in some])
        transfer.apply(trainer.model, folded, pictures)
    trainer.average = trainer.weights()


def main(
    out: Annotated[Path, typer.Option(help="the run's folder")],
    config: Annotated[str, typer.Option(help="shipped or paper")] = "shipped",
    renders: Annotated[Path | None, typer.Option(exists=True, file_okay=False, help="of training.render photos")] = None,
    photographs: Annotated[Path | None, typer.Option(exists=True, file_okay=False, help="labelled by the teacher")] = None,
    pairs: Annotated[list[Path] | None, typer.Option(exists=True, file_okay=False, help="images/ and masks/")] = None,
    cutouts: Annotated[Path | None, typer.Option(exists=True, file_okay=False, help="pictures with transparency")] = None,
    backgrounds: Annotated[Path | None, typer.Option(exists=True, file_okay=False, help="scenes without an object")] = None,
    never: Annotated[list[str] | None, typer.Option(help="stem of a photograph not to train on; may be repeated")] = None,
    encoder: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="folded MobileNetV2 of PyTorch")] = None,
    imagenet: Annotated[bool, typer.Option(help="download Keras' ImageNet weights for the encoder")] = False,
    init: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="weights of another run")] = None,
    size: Annotated[int | None, typer.Option(min=64, help="input side, pixels")] = None,
    epochs: Annotated[int | None, typer.Option(min=1)] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="batches in an epoch")] = None,
    batch: Annotated[int | None, typer.Option(min=1)] = None,
    learning_rate: Annotated[float | None, typer.Option(min=0)] = None,
    frozen_to: Annotated[str | None, typer.Option(help="layers up to this one keep their weights, e.g. block2_add")] = None,
    threads: Annotated[int, typer.Option(min=1)] = 1,
    cache: Annotated[Path | None, typer.Option(help="decoded pictures are kept here")] = None,
    seed: int = 0,
) -> None:
    """Train; see the module's docstring."""
    if config not in CONFIGURATIONS:
        fail(f"--config is {config!r}; choose one of {', '.join(CONFIGURATIONS)}")
    given = {
        "size": size,
        "epochs": epochs,
        "steps": steps,
        "batch": batch,
        "learning_rate": learning_rate,
        "frozen_to": frozen_to,
    }
    settings = replace(CONFIGURATIONS[config], **{key: value for key, value in given.items() if value is not None})
    set_threads(threads)
    folders = data_.Folders(renders, photographs, tuple(pairs or ()), cutouts, backgrounds, tuple(never or ()))
    try:
        seen = data_.load(folders, settings, cache)
        facts = {**asdict(settings), "seed": seed, "init": init, "encoder": encoder.name if encoder else imagenet}
        run = runs.open_run(out, facts)
        runs.write_json(run / "data.json", describe(seen))
        runs.seed_everything(seed)
        trainer = Trainer(settings, settings.epochs * (settings.steps or 1))
        start_weights(trainer, seen, init, encoder, imagenet)
        history = fit(trainer, seen, run, seed)
    except (data_.DataError, runs.RunError, ValueError) as error:
        fail(str(error))
    best = max(history, key=lambda row: row["score"])
    counts = {name: len(source) for name, source in seen.train.items()}
    runs.write_json(run / "metrics.json", {"best": best, "trained_on": counts, "donors": len(seen.donors)})
    typer.echo(f"best: epoch {best['epoch']:.0f}, Dice {best['dice']:.4f}; weights in {run / BEST}")


def describe(seen: data_.Data) -> dict[str, dict[str, tuple[str, ...]]]:
    """The names of all pictures on either side, by source: evaluation must know what was set aside."""
    return {side: {name: source.names for name, source in getattr(seen, side).items()} for side in ("train", "held")}


def set_threads(threads: int) -> None:
    """Of whichever backend Keras runs on; channels first is a fifth faster on torch."""
    if keras.backend.backend() == "torch":
        import torch

        torch.set_num_threads(threads)
        keras.config.set_image_data_format("channels_first")
    elif keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # Where TensorFlow is at work already, it keeps the threads it has.
        with contextlib.suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(1)


def fail(message: str) -> None:
    """One sentence for the user, exit code 2."""
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(2)


if __name__ == "__main__":
    typer.run(main)
