"""How good a mask model is as it is served: edges drawn on the photograph, regions that are nowhere sure left out.

    python -m benchmarks.served --run RUN --renders RENDERS --photographs LABELLED --pairs data/masks_weizmann_horses \\
      --backgrounds data/backgrounds --strong 0 --strong 0.985

The sets are those of ``training.remove_background.evaluate``: what the run ``RUN`` set aside. Each value of ``--strong`` (the
manifest's own where none is given) is a row beside the network's own mask, interpolated, in which weak regions are kept.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image
from tqdm import tqdm

from benchmarks.masks import Masker
from services.common import models, settings
from services.remove_background import predictor, refine
from training.common import runs
from training.remove_background import evaluate, measures

SIZE = (evaluate.SIDE, evaluate.SIDE)
INTERPOLATED = "interpolated"


def main(
    run: Annotated[Path, typer.Option(exists=True, file_okay=False, help="the run whose held-out pictures are scored")],
    renders: Annotated[Path | None, typer.Option(exists=True, file_okay=False)] = None,
    photographs: Annotated[Path | None, typer.Option(exists=True, file_okay=False)] = None,
    pairs: Annotated[list[Path] | None, typer.Option(exists=True, file_okay=False)] = None,
    buddhas: Annotated[Path | None, typer.Option(exists=True, file_okay=False)] = None,
    backgrounds: Annotated[Path | None, typer.Option(exists=True, file_okay=False)] = None,
    model: Annotated[Path | None, typer.Option(exists=True, file_okay=False, help="a bundle; default: the latest")] = None,
    strong: Annotated[list[float] | None, typer.Option(min=0, max=1, help="may be repeated")] = None,
    every: Annotated[int, typer.Option(min=1, help="of the renders only every so many")] = 1,
    json_path: Annotated[Path | None, typer.Option("--json", help="also write the means as JSON")] = None,
) -> None:
    """Print a Markdown table: a row for each set and way, means over pictures in per cent."""
    masker = Masker(model or models.latest(settings.load().models, "remove_background"))
    peaks = strong or [float(masker.bundle.manifest.details.get("strong", 0))]
    sets = evaluate.held_sets(run, renders, photographs, tuple(pairs or ()), buddhas, backgrounds)
    means: dict[str, dict[str, dict[str, float]]] = {}
    typer.echo("| set | pictures | mask | Dice % | boundary F % | left empty % |\n|---|---|---|---|---|---|")
    for name, each in sets.items():
        pictures = each.pictures[::every] if name == "renders" else each.pictures
        rows = [score(masker, *pair, each.rows_only, peaks) for pair in tqdm(pictures, name, disable=None)]
        means[name] = {way: {key: float(np.mean([row[way][key] for row in rows])) for key in rows[0][way]} for way in rows[0]}
        for way, row in means[name].items():
            cells = [f"{100 * row[key]:.1f}" if key in row else "" for key in ("dice", "boundary_f", "left_empty")]
            typer.echo(f"| {name} | {len(rows)} | {way} | {' | '.join(cells)} |")
    if json_path:
        runs.write_json(json_path, {"model": masker.bundle.manifest.version, "run": run.name, "means": means})


def score(
    masker: Masker, picture: Path, truth: Path | None, rows_only: bool, peaks: list[float]
) -> dict[str, dict[str, float]]:
    """Scores of one picture by the way its mask is made."""
    photograph, outputs = masker.probability(picture.read_bytes())
    probability, threshold = outputs["probability"], float(masker.bundle.manifest.details["threshold"])
    masks = {INTERPOLATED: np.asarray(Image.fromarray(probability).resize(SIZE, Image.Resampling.BILINEAR)) >= threshold}
    for peak in peaks:
        kept = refine.without_weak(probability, threshold, peak)
        mask = predictor.full_size_mask(kept, photograph.pixels, (photograph.height, photograph.width), threshold)
        masks[f"served, strong {peak:g}"] = np.asarray(Image.fromarray(mask).resize(SIZE, Image.Resampling.BILINEAR)) > 127
    if truth is None:
        return {way: {"left_empty": float(measures.is_empty(mask))} for way, mask in masks.items()}
    with Image.open(truth) as image:
        wanted = np.asarray(image.convert("L").resize(SIZE, Image.Resampling.BILINEAR)) > 127
    if rows_only:
        return {way: {"dice": measures.below_neck(mask, wanted)} for way, mask in masks.items()}
    return {
        way: {"dice": measures.dice(mask, wanted), "boundary_f": measures.boundary_f(mask, wanted, evaluate.REACH)}
        for way, mask in masks.items()
    }


if __name__ == "__main__":
    typer.run(main)
