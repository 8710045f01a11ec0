"""How good a mask model is as it is served: a second look, edges drawn on the photograph, regions nowhere sure left out.

    python -m benchmarks.served --run RUN --renders RENDERS --photographs LABELLED --pairs data/masks_weizmann_horses \\
      --backgrounds data/backgrounds --strong 0 --strong 0.985

The sets are those of ``training.remove_background.evaluate``: what the run ``RUN`` set aside. Each value of ``--strong`` (the
manifest's own where none is given) is a row beside the network's own mask, interpolated, in which weak regions are kept.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image
from tqdm import tqdm

from benchmarks.masks import Masker
from services.common import models, settings
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
    strong: Annotated[list[float] | None, typer.Option(min=0, max=0.9999, help="may be repeated")] = None,
    every: Annotated[int, typer.Option(min=1, help="of the renders only every so many")] = 1,
    json_path: Annotated[Path | None, typer.Option("--json", help="also write the means as JSON")] = None,
) -> None:
    """Print a Markdown table: a row for each set and way, means over pictures in per cent."""
    path = model or models.latest(settings.load().models, "remove_background")
    maskers = {f"served, strong {peak:g}": Masker(path, strong=peak) for peak in strong or ()} or {"served": Masker(path)}
    sets = evaluate.held_sets(run, renders, photographs, tuple(pairs or ()), buddhas, backgrounds)
    means: dict[str, dict[str, dict[str, float]]] = {}
    typer.echo("| set | pictures | mask | Dice % | boundary F % | left empty % |\n|---|---|---|---|---|---|")
    for name, each in sets.items():
        pictures = each.pictures[::every] if name == "renders" else each.pictures
        rows = [score(maskers, *pair, each.rows_only) for pair in tqdm(pictures, name, disable=None)]
        means[name] = {way: {key: float(np.mean([row[way][key] for row in rows])) for key in rows[0][way]} for way in rows[0]}
        for way, row in means[name].items():
            cells = [f"{100 * row[key]:.1f}" if key in row else "" for key in ("dice", "boundary_f", "left_empty")]
            typer.echo(f"| {name} | {len(rows)} | {way} | {' | '.join(cells)} |")
    if json_path:
        runs.write_json(json_path, {"model": path.name, "run": run.name, "means": means})


def score(maskers: dict[str, Masker], picture: Path, truth: Path | None, rows_only: bool) -> dict[str, dict[str, float]]:
    """Scores of one picture by the way its mask is made."""
    data, first = picture.read_bytes(), next(iter(maskers.values()))
    probability = first.probability(data)[1]["probability"]
    threshold = float(first.bundle.manifest.details["threshold"])
    masks = {INTERPOLATED: np.asarray(Image.fromarray(probability).resize(SIZE, Image.Resampling.BILINEAR)) >= threshold}
    for way, masker in maskers.items():
        with Image.open(io.BytesIO(masker(data))) as mask:
            masks[way] = np.asarray(mask.resize(SIZE, Image.Resampling.BILINEAR)) > 127
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
