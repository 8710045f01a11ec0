"""Train the mask model.

    python -m training.remove_background.train --recipe training/remove_background/recipes/0.3.0.toml --data data \
      --renders RENDERS --out RUN                                   # the shipped bundle
    python -m training.remove_background.train --pairs PAIRS --backgrounds SCENES --encoder FILE --out RUN     # one's own

``--config shipped | paper``; ``--photographs LABELLED`` (by `teacher`); ``--cutouts``, to compose with scenes. A run stopped at
any moment goes on from its last epoch when the same command is given again, with the same result. With other ``--epochs`` it
becomes longer or shorter: the rate falls at the end of the new length, from where it last was steady.
"""

from __future__ import annotations

import contextlib
import os
import shutil
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
from training.remove_background import lineage, measures, model, recipe, transfer
from training.remove_background.config import CONFIGURATIONS, Config, at
from training.remove_background.losses import LOSSES

BEST, LAST = "best.weights.h5", "last.npz"
# The last checkpoint from before the rate began to fall: a run that is made longer goes on from it.
STEADY = "steady.npz"
# What may change when a run is resumed: how long it is, how large its pictures are from some epoch on, and what it sees.
MAY_CHANGE = ("epochs", "sizes", "decay", "mixture")
# Pictures for development scored after each epoch, of each set at most: evaluate.py scores all.
SCORED = 40


class Trapezoid(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that rises to ``peak`` over ``warmup`` steps, is steady, and falls to a hundredth along half a cosine over the
    last share ``decay`` of ``steps``."""

    def __init__(self, peak: float, steps: int, warmup: int, decay: float) -> None:
        self.peak, self.steps, self.warmup, self.decay = peak, steps, warmup, decay

    @property
    def steady_until(self) -> int:
        """The step at which the rate begins to fall."""
        return max(self.warmup, round(self.steps * (1 - self.decay)))

    def __call__(self, step: Any) -> Any:
        step = ops.cast(step, "float32")
        rise = ops.minimum(1.0, (step + 1.0) / max(1, self.warmup))
        past = ops.clip((step - self.steady_until) / max(1, self.steps - self.steady_until), 0.0, 1.0)
        return self.peak * rise * (0.01 + 0.99 * 0.5 * (1.0 + ops.cos(np.pi * past)))

    def get_config(self) -> dict[str, Any]:
        return {"peak": self.peak, "steps": self.steps, "warmup": self.warmup, "decay": self.decay}


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
        self.total_steps = total_steps
        self.rate = Trapezoid(config.learning_rate, total_steps, config.warmup, config.decay)
        options: dict[str, Any] = {"learning_rate": self.rate, "global_clipnorm": config.clip or None}
        if config.weight_decay:
            options["weight_decay"] = config.weight_decay
        optimizer = keras.optimizers.get({"class_name": config.optimizer, "config": options})
        self.model.compile(optimizer=optimizer, loss=LOSSES[config.loss], jit_compile=False)
        optimizer.build(self.model.trainable_variables)
        self.average = self.weights()
        self.steps = 0

    def at(self, size: int) -> Trainer:
        """The same network, optimizer and averages for pictures of another side."""
        if size == self.config.size:
            return self
        other = Trainer(replace(self.config, size=size), self.total_steps)
        for mine, theirs in (
            (self.model.weights, other.model.weights),
            (self.model.optimizer.variables, other.model.optimizer.variables),
        ):
            for before, variable in zip(mine, theirs, strict=True):
                variable.assign(before)
        other.average, other.steps = self.average, self.steps
        return other

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
            np.savez(temporary, epoch=epoch, steps=self.steps, total=self.total_steps, **arrays)

    def restore(self, path: Path) -> int:
        """Back to a checkpoint; returns the epochs that were done."""
        with np.load(path) as stored:
            for prefix, variables in (("weight", self.model.weights), ("optimizer", self.model.optimizer.variables)):
                for i, variable in enumerate(variables):
                    variable.assign(stored[f"{prefix}{i}"])
            self.average = [stored[f"average{i}"] for i in range(len(self.average) if self.config.ema else 0)]
            self.steps = int(stored["steps"])
            return int(stored["epoch"])


def fit(
    trainer: Trainer, seen: data_.Data, run: Path, seed: int, before: dict[str, object] | None = None
) -> list[dict[str, float]]:
    """Train to the configured epochs, resuming from ``run/last.npz``; keeps the best by the mean over the sets for development,
    of Dice and of the share of empty scenes left empty: an object missed and one invented cost a user alike.

    ``before``: the lineage of the weights it began from.
    """
    config = trainer.config
    start = resume(trainer, run)
    history = runs.read_history(run, before_epoch=start)
    best = max((row["score"] for row in history), default=-1.0)
    scorer = model.build(config)
    lineage.write(run, seen.seen, seen.chosen_on, trainer.steps * config.batch, before)
    for epoch in range(start, config.epochs):
        began, losses = time.monotonic(), []
        now = at(config, epoch)
        trainer = trainer.at(now.size)
        for pixels, masks in tqdm(
            data_.batches(seen, now, seed, epoch), f"epoch {epoch}", now.steps or None, unit="batch", disable=None
        ):
            losses.append(trainer.step(pixels, masks))
        scorer.set_weights(trainer.averaged())
        scores = measures.quick(scorer, seen.held, config.size, SCORED)
        objects = [value for name, value in scores.items() if name != "empty"]
        row = {
            "epoch": epoch,
            "size": now.size,
            "steps": trainer.steps,
            "rate": float(trainer.rate(trainer.steps)),
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
        lineage.write(run, seen.seen, seen.chosen_on, trainer.steps * config.batch, before)
        trainer.save(run / LAST, epoch + 1)
        if trainer.steps <= trainer.rate.steady_until:
            with runs.whole(run / STEADY) as temporary:
                shutil.copyfile(run / LAST, temporary)
        history.append(row)
        tqdm.write(" ".join(f"{name} {value:.4g}" for name, value in row.items()))
        plots.curves(history, run / "curves.png", {"loss": ["loss"], "Dice": [key for key in row if key.startswith("dice")]})
    return history


def resume(trainer: Trainer, run: Path) -> int:
    """Back to where the run was, or 0: its last checkpoint, or, where the rate fell before that but now is to be steady for
    longer, the one from before it fell. Returns the epochs that were done."""
    if not (run / LAST).exists():
        return 0
    done = trainer.restore(run / LAST)
    if (run / STEADY).exists() and trainer.steps < trainer.total_steps:
        with np.load(run / STEADY) as stored:
            fell, was = int(stored["steps"]) < trainer.steps, int(stored["total"])
        if fell and was != trainer.total_steps:
            done = trainer.restore(run / STEADY)
    return done


def read_weights(path: Path, config: Config) -> list[np.ndarray]:
    """Of a run's ``best.weights.h5`` or of a bundle's folder, as Keras orders them."""
    try:
        network = model.build(config)
        if path.is_dir():
            import tensorflow as tf

            stored = tf.saved_model.load(str(path / "saved_model"))
            network.set_weights([variable.numpy() for variable in stored.weights])
        else:
            network.load_weights(path)
    except (OSError, AttributeError, ValueError) as error:
        raise data_.DataError(f"{path}: holds no weights of this network ({error})") from error
    return list(network.get_weights())


def start_weights(trainer: Trainer, seen: data_.Data, init: Path | None, encoder: Path | None, imagenet: bool) -> None:
    """Weights of another run, or ImageNet's for the encoder, or none."""
    if init:
        trainer.model.set_weights(read_weights(init, trainer.config))
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
    recipe_: Annotated[Path | None, typer.Option("--recipe", exists=True, dir_okay=False, help="settings and folders")] = None,
    data: Annotated[Path | None, typer.Option(exists=True, file_okay=False, help="where the recipe's folders are")] = None,
    renders: Annotated[Path | None, typer.Option(exists=True, file_okay=False, help="of training.render photos")] = None,
    photographs: Annotated[Path | None, typer.Option(exists=True, file_okay=False, help="labelled by the teacher")] = None,
    pairs: Annotated[list[Path] | None, typer.Option(exists=True, file_okay=False, help="images/ and masks/")] = None,
    cutouts: Annotated[Path | None, typer.Option(exists=True, file_okay=False, help="pictures with transparency")] = None,
    backgrounds: Annotated[list[Path] | None, typer.Option(exists=True, file_okay=False, help="scenes, no object")] = None,
    never: Annotated[list[str] | None, typer.Option(help="stem of a photograph not to train on; may be repeated")] = None,
    encoder: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="folded MobileNetV2 of PyTorch")] = None,
    imagenet: Annotated[bool, typer.Option(help="download Keras' ImageNet weights for the encoder")] = False,
    init: Annotated[Path | None, typer.Option(exists=True, help="weights of another run, or a bundle's folder")] = None,
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
    settings = CONFIGURATIONS[config]
    set_threads(threads)
    try:
        if recipe_:
            read = recipe.read(recipe_, data or Path())
            settings = read.applied(settings)
            pairs, backgrounds, init = read.paths("pairs"), read.paths("backgrounds"), read.weights()
        settings = replace(settings, **{key: value for key, value in given.items() if value is not None})
        before = lineage.of(init) if init else None
        if init and before:
            lineage.check(before, str(init))
        folders = data_.Folders(renders, photographs, tuple(pairs or ()), cutouts, tuple(backgrounds or ()), tuple(never or ()))
        seen = data_.load(folders, settings, cache)
        lineage.check({"seen": seen.seen, "chosen_on": seen.chosen_on}, "this run")
        facts = {**asdict(settings), "seed": seed, "init": init and init.name, "encoder": encoder.name if encoder else imagenet}
        run = runs.open_run(out, facts, MAY_CHANGE)
        runs.write_json(run / "data.json", describe(seen))
        runs.seed_everything(seed)
        trainer = Trainer(settings, settings.epochs * (settings.steps or 1))
        start_weights(trainer, seen, init, encoder, imagenet)
        history = fit(trainer, seen, run, seed, before)
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
