"""Measure a trained run on the held-out objects: python -m training.embed_latent.evaluate --run RUN

Writes RUN/metrics.json and RUN/plots/. Several --run make one table, RUN by RUN, printed and written with --table FILE. Where
they hold out different folds, a line below it measures all held-out works together: a hundred alone measure a fit coarsely.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from training.common import runs
from training.embed_latent import augment, eye, measures, plots
from training.embed_latent.config import Config
from training.embed_latent.eye import TrainingError
from training.embed_latent.plane import Plane
from training.embed_latent.train import EYE, PLANE, SEEN, plainly

NEIGHBOURS = 5
CALIBRATION = "calibration.json"  # of a run; see calibrate.py
DRAWS = 20  # of every posterior, for the fit of the aggregate posterior


@dataclass(frozen=True)
class Run:
    """A finished run as read back from its folder; ``facts`` is groups.json, ``factor`` by what calibration widens it."""

    folder: Path
    config: Config
    seed: int
    plane: Plane
    seen: dict[str, np.ndarray]
    facts: dict[str, Any]
    factor: float = 1.0

    @property
    def labels(self) -> np.ndarray:
        return np.array(self.facts["labels"])


def open_run(folder: Path) -> Run:
    """Raises :class:`TrainingError` for a folder without a finished run of the plane."""
    if not (folder / PLANE).is_file() or not (folder / SEEN).is_file():
        raise TrainingError(
            f"{folder}: holds no trained plane ({PLANE}, {SEEN}); run training.embed_latent.train with it as --out"
        )
    stored = json.loads((folder / runs.CONFIG).read_text())
    config = Config(
        **{name: tuple(v) if isinstance(v, list) else v for name, v in stored.items() if name in Config.__annotations__}
    )
    facts = json.loads((folder / "groups.json").read_text()) | {"data": stored.get("data", "DATA")}
    with np.load(folder / SEEN) as kept:
        seen = dict(kept)
    plane = Plane(config, seen["views"].shape[-1], len(facts["names"]))
    done = plane.restore(folder / PLANE)
    if done < config.epochs:
        raise TrainingError(f"{folder}: stopped after epoch {done} of {config.epochs}; give its training command again first")
    calibrated = folder / CALIBRATION
    factor = json.loads(calibrated.read_text())["factor"] if calibrated.is_file() else 1.0
    plane.unit *= factor
    return Run(folder, config, stored["seed"], plane, seen, facts, factor)


def open_eye(run: Run) -> eye.Eye:
    """The features' half of a run."""
    seeing = eye.empty(run.config, len(run.facts["names"]))
    seeing.load_state_dict(torch.load(run.folder / EYE, weights_only=True))
    return seeing


def normalised(features: np.ndarray) -> np.ndarray:
    """Rows of unit Euclidean length."""
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def structure(
    latents: dict[str, np.ndarray], features: dict[str, np.ndarray], labels: np.ndarray, train: np.ndarray, held: np.ndarray
) -> dict[str, dict[str, dict[str, float]]]:
    """Held-out works among the training works, by space (``plane``, ``features``) and by backdrop of the query.

    ``keep``, ``white`` ...: among training photographs as served, the harder question for a masked query. ``white both`` ...:
    among training photographs masked likewise, as when the background is always masked first.
    """

    def among(values: dict[str, np.ndarray], query: str, reference: str) -> dict[str, float]:
        return measures.class_structure(
            values[reference][train], labels[train], values[query][held], labels[held], k=NEIGHBOURS
        )

    return {
        space: {name: among(values, name, "keep") for name in values}
        | {f"{name} both": among(values, name, name) for name in values if name != "keep"}
        for space, values in (("plane", latents), ("features", features))
    }


def evaluate(run: Run) -> dict[str, Any]:
    """All measures of one run, on its held-out objects; plots beside them."""
    rng = np.random.default_rng(0)
    train, held, scale = run.seen["train"], run.seen["held"], run.config.prior_std
    encoded = {name: run.plane.encode(torch.from_numpy(run.seen[name])) for name in augment.BACKDROPS}
    latents = {name: mean for name, (mean, _) in encoded.items()}
    features = {name: normalised(run.seen[f"features {name}"]) for name in augment.BACKDROPS}
    mean, deviation = encoded["keep"]
    drawn = (mean[held] + deviation[held] * rng.normal(size=(DRAWS, len(held), mean.shape[1]))).reshape(-1, mean.shape[1])
    # Draws of one posterior hang together, so the permutation test takes one of each work; the distances take all.
    aggregate = measures.prior_fit(drawn[: len(held)], scale, rng=rng)
    aggregate |= {
        "ks_radius": measures.ks_radius(drawn, scale),
        "ks_angle": measures.ks_angle(drawn),
        "draws": DRAWS,
        "share_within_3_sigma": measures.share_within(drawn, scale),
    }
    target = run.seen["targets"]
    decoded = run.plane.decode(mean)
    error, similar = measures.reconstruction(target[held], decoded[held])
    rows = runs.read_history(run.folder)
    last = [row["discriminator_accuracy"] for row in rows[-20:] if "discriminator_accuracy" in row]
    result = {
        "configuration": run.config.name,
        "seed": run.seed,
        "fold": run.config.fold,
        "works": {"train": len(train), "held_out": len(held)},
        "calibration": run.factor,
        "fit_of_means": measures.prior_fit(mean[held], scale, rng=rng),
        "fit_of_aggregate_posterior": aggregate,
        "fit_of_training_means": measures.prior_fit(mean[train], scale, rng=rng),
        "structure": structure(latents, features, run.labels, train, held),
        "reconstruction": {
            "mse": error,
            "ssim": similar,
            "mse_of_the_mean_picture": measures.baseline(target[train], target[held]),
            "mse_train": measures.reconstruction(target[train], decoded[train])[0],
        },
        "discriminator_accuracy": float(np.mean(last)) if last else None,
        "seconds": float(sum(row["seconds"] for row in rows)),
    }
    runs.write_json(run.folder / "metrics.json", result)
    names = run.facts["names"]
    folder = run.folder / "plots"
    plots.plane(mean, run.labels, names, folder / "plane.png", scale, held=held)
    plots.reconstructions(
        target[held], decoded[held], [names[label] for label in run.labels[held]], folder / "reconstructions.png"
    )
    reach, count = 2.5 * scale, 11
    ticks = np.linspace(-reach, reach, count)
    points = np.stack(np.meshgrid(ticks, ticks[::-1]), axis=-1)
    shown = run.plane.decode(points.reshape(-1, 2)).reshape(count, count, *target.shape[1:])
    plots.grid(shown, reach, folder / "decoded-grid.png")
    return result


def together(opened: list[Run]) -> str | None:
    """The fit of all works held out by runs of different folds, in one sentence; None where a work is held out twice."""
    held = np.concatenate([run.seen["held"] for run in opened])
    if len(opened) < 2 or len(set(held.tolist())) < len(held):
        return None
    said = []
    for name in ("keep", "white"):
        parts = [run.plane.encode(torch.from_numpy(run.seen[name][run.seen["held"]]))[0] for run in opened]
        fit = measures.prior_fit(np.concatenate(parts), opened[0].config.prior_std, rng=np.random.default_rng(0))
        said.append(
            f"{name}: within 3σ {fit['share_within_3_sigma']:.3f}, MMD p {fit['mmd_p']:.2f}, KS of the radius "
            f"{fit['ks_radius']:.3f}, rank {fit['effective_rank']:.2f}"
        )
    return f"All {len(held)} works held out, together. " + "; ".join(said) + "."


COLUMNS = {
    "configuration": lambda m: f"{m['configuration']}",
    "seed / fold": lambda m: f"{m['seed']} / {m['fold']}",
    "within 3σ": lambda m: f"{m['fit_of_means']['share_within_3_sigma']:.3f}",
    "MMD p": lambda m: f"{m['fit_of_means']['mmd_p']:.2f}",
    "energy": lambda m: f"{m['fit_of_means']['energy_distance']:.2f}",
    "KS radius": lambda m: f"{m['fit_of_means']['ks_radius']:.3f}",
    "KS radius, aggregate": lambda m: f"{m['fit_of_aggregate_posterior']['ks_radius']:.3f}",
    "rank": lambda m: f"{m['fit_of_means']['effective_rank']:.2f}",
    "spacing": lambda m: f"{m['fit_of_means']['neighbour_spacing']:.2f}",
    "MSE": lambda m: f"{m['reconstruction']['mse']:.4f}",
    "of mean picture": lambda m: f"{m['reconstruction']['mse_of_the_mean_picture']:.4f}",
    "SSIM": lambda m: f"{m['reconstruction']['ssim']:.3f}",
    "D acc.": lambda m: "" if m["discriminator_accuracy"] is None else f"{m['discriminator_accuracy']:.2f}",
    "plane": lambda m: f"{m['structure']['plane']['keep']['balanced_accuracy']:.3f}",
    "plane, masked": lambda m: f"{m['structure']['plane']['white']['balanced_accuracy']:.3f}",
    "features": lambda m: f"{m['structure']['features']['keep']['balanced_accuracy']:.3f}",
    "features, masked": lambda m: f"{m['structure']['features']['white']['balanced_accuracy']:.3f}",
    "features, both masked": lambda m: f"{m['structure']['features']['white both']['balanced_accuracy']:.3f}",
    "s": lambda m: f"{m['seconds']:.0f}",
}


def table(results: list[dict[str, Any]]) -> str:
    """Markdown, a row a run."""
    rows = [list(COLUMNS), ["---"] * len(COLUMNS), *([cell(result) for cell in COLUMNS.values()] for result in results)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def main(
    run: Annotated[list[Path], typer.Option(help="run folder; may be given several times")],
    write: Annotated[Path | None, typer.Option("--table", help="also write the table here, Markdown")] = None,
) -> None:
    """Measure runs on their held-out objects."""
    torch.set_num_threads(1)
    with plainly():
        opened = [open_run(folder) for folder in run]
        text = table([evaluate(one) for one in opened])
        if sentence := together(opened):
            text += f"\n\n{sentence}"
        typer.echo(text)
        if write:
            write.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
