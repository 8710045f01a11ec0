"""The int8 twin of a mask model, held to the Dice and the edges of its float32 graph.

    python -m training.remove_background.quantise exported_models/remove_background/0.3.0 \\
      --calibrate data/masks_pascal_s/images --pairs data/masks_ecssd --backgrounds data/scenes_empty

How many convolutions stay in float32 (``--keep``) is chosen with ``--side development``; the twin is written on ``test``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from tqdm import tqdm

from services.common import models
from training.common import photographs, quantise
from training.remove_background import evaluate, measures, sources, split

# Points of Dice and of the boundary's F over the pictures with an object; of empty scenes, the share left empty.
LIMITS = {"dice": 0.003, "boundary_f": 0.005}


def main(
    bundle: Annotated[Path, typer.Argument(exists=True, file_okay=False)],
    calibrate: Annotated[Path, typer.Option(exists=True, file_okay=False, help="photographs to calibrate with")],
    pairs: Annotated[list[Path], typer.Option(exists=True, file_okay=False, help="photographs with masks")],
    backgrounds: Annotated[
        list[Path] | None, typer.Option(exists=True, file_okay=False, help="scenes without an object")
    ] = None,
    side: Annotated[split.Side, typer.Option(help="whose pictures")] = split.Side.TEST,
    count: Annotated[int, typer.Option(help="photographs to calibrate with")] = 40,
    keep: Annotated[int, typer.Option(help="so many convolutions at the start stay in float32")] = 0,
) -> None:
    """Write the twin, or say why not."""
    opened = models.load(bundle)
    try:
        sets = evaluate.pictures(side, evaluate.Folders(pairs=pairs, backgrounds=backgrounds or ()))
        calibration = quantise.pictures(opened, calibrate, count)
        twin = quantise.write(opened, calibration, _measure(opened, sets), LIMITS, keep)
    except (sources.DataError, quantise.QuantisationError, models.BundleError) as error:
        raise SystemExit(f"quantise: {error}") from None
    typer.echo("\n".join(f"{name}: {value:.4f}" for name, value in twin.metrics.items()))


def _measure(bundle: models.Bundle, sets: evaluate.Sets) -> quantise.Measure:
    wanted = bundle.manifest.input
    size = (wanted.height, wanted.width)
    pictures = [(photographs.read(path, size, wanted.resize), truth) for each in sets.values() for path, truth in each]

    def measure(answers: quantise.Answers) -> dict[str, float]:
        found: dict[str, list[float]] = {}
        for pixels, truth in tqdm(pictures, disable=None):
            probability = cv2.resize(answers(pixels[None])["probability"][0], (evaluate.SIDE, evaluate.SIDE))
            for name, value in evaluate.score(probability >= measures.THRESHOLD, truth).items():
                found.setdefault(name, []).append(value)
        return {"photographs": float(len(pictures))} | {name: float(np.mean(values)) for name, values in found.items()}

    return measure


if __name__ == "__main__":
    typer.run(main)
