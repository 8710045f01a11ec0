"""The unit in which works never seen fill the prior: python -m training.embed_latent.calibrate --run RUN --sister RUN

Works that were trained on lie farther out than works that were not, and it is the latter that are served. Sister runs, the same
but for the fold, hold out works that RUN was trained on; one factor makes their radii follow the prior's. RUN's own held-out
works have no say, so that what is measured on them stays a test.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from training.common import runs
from training.embed_latent import evaluate, measures
from training.embed_latent.eye import TrainingError
from training.embed_latent.train import plainly

FACTORS = np.linspace(0.7, 1.6, 91)


def calibrate(run: evaluate.Run, sisters: list[evaluate.Run]) -> dict[str, float | int]:
    """Write ``calibration.json`` into the run's folder, where :func:`evaluate.open_run` finds it; returns what it holds.

    Raises :class:`TrainingError` for a sister that differs in more than the fold, or holds out what RUN holds out.
    """
    latents = []
    for sister in sisters:
        if replace(sister.config, fold=run.config.fold) != run.config or sister.facts["files"] != run.facts["files"]:
            raise TrainingError(f"{sister.folder}: is no sister of {run.folder}; train the same with another --fold alone")
        held = np.setdiff1d(sister.seen["held"], run.seen["held"])
        if len(held) < len(sister.seen["held"]):
            raise TrainingError(f"{sister.folder}: holds out works that {run.folder} holds out too; give another fold")
        mean, _ = sister.plane.encode(torch.from_numpy(sister.seen["keep"][held]))
        latents.append(mean / sister.factor)
    points, scale = np.concatenate(latents), run.config.prior_std
    distances = [measures.ks_radius(factor * points, scale) for factor in FACTORS]
    best = int(np.argmin(distances))
    result: dict[str, float | int] = {
        "factor": float(FACTORS[best]),
        "works": len(points),
        "sisters": len(sisters),
        "ks_radius_before": measures.ks_radius(points, scale),
        "ks_radius_after": distances[best],
    }
    runs.write_json(run.folder / evaluate.CALIBRATION, result)
    return result


def main(
    run: Annotated[Path, typer.Option(help="a finished run of training.embed_latent.train")],
    sister: Annotated[list[Path], typer.Option(help="the same with another --fold; may be given several times")],
) -> None:
    """Fit the plane's unit on works that sister runs held out."""
    torch.set_num_threads(1)
    with plainly():
        found = calibrate(evaluate.open_run(run), [evaluate.open_run(folder) for folder in sister])
    typer.echo("\n".join(f"{name:18} {value:.4g}" for name, value in found.items()))


if __name__ == "__main__":
    typer.run(main)
