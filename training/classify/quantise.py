"""The int8 twin of a classify bundle, held to the accuracy of its float32 graph on photographs of other sources.

    python -m training.classify.quantise exported_models/classify/0.2.0 --calibrate data/sculpture_public_art \\
      --held data/sculpture_web

Calibration needs no labels. ``--held`` has a table ``labels.csv`` with the columns ``file`` and ``types`` (``bust|head``:
either is right; empty: not counted).
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from tqdm import tqdm

from services.common import models
from training.classify.train import fail
from training.common import photographs, quantise

# Points of accuracy: half of one in a hundred.
LIMITS = {"accuracy": 0.005}


def main(
    bundle: Annotated[Path, typer.Argument(exists=True, file_okay=False)],
    calibrate: Annotated[Path, typer.Option(exists=True, file_okay=False, help="photographs to calibrate with")],
    held: Annotated[Path, typer.Option(exists=True, file_okay=False, help="labelled photographs that no training saw")],
    count: Annotated[int, typer.Option(help="photographs to calibrate with")] = 40,
    keep: Annotated[int, typer.Option(help="so many convolutions at the start stay in float32")] = 0,
) -> None:
    """Write the twin, or say why not."""
    opened = models.load(bundle)
    try:
        twin = quantise.write(opened, quantise.pictures(opened, calibrate, count), _measure(opened, held), LIMITS, keep)
    except (quantise.QuantisationError, models.BundleError) as error:
        fail(str(error))
    typer.echo("\n".join(f"{name}: {value:.4f}" for name, value in twin.metrics.items()))


def _measure(bundle: models.Bundle, held: Path) -> quantise.Measure:
    with (held / "labels.csv").open(newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["types"]]
    wanted = bundle.manifest.input
    pixels = [photographs.read(held / row["file"], (wanted.height, wanted.width), wanted.resize) for row in rows]
    names = [label.id for label in bundle.manifest.labels]
    reference: list[np.ndarray] = []

    def measure(answers: quantise.Answers) -> dict[str, float]:
        probabilities = np.stack([answers(picture[None])["probabilities"][0] for picture in tqdm(pixels, disable=None)])
        if not reference:
            reference.append(probabilities)
        best = probabilities.argmax(1)
        right = [names[i] in row["types"].split("|") for i, row in zip(best, rows, strict=True)]
        return {
            "photographs": float(len(rows)),
            "accuracy": float(np.mean(right)),
            "same_first_type": float((best == reference[0].argmax(1)).mean()),
            "mean_probability_kept": 1 - float(np.abs(probabilities - reference[0]).mean()),
        }

    return measure


if __name__ == "__main__":
    typer.run(main)
