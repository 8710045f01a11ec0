"""Score an exported mask model: python -m training.remove_background.evaluate --model model.onnx --side development --pairs ...

Each set stands for itself, at 512 x 512, on the pictures that :mod:`split` gives to the side asked for. Choices are made on
``development``; ``test`` is looked at once a version, beside the version before, by ``python -m benchmarks.served``.
    renders       scenes all of whose scans are on the side
    pairs         masked by hand (the folder's name)
    made          folders all of whose pictures were made for the side (``streets``)
    sequences     frames masked by hand in text files (``drawn``)
    empty         scenes without an object; the share left empty is all there is to measure
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import onnxruntime as ort
import typer
from PIL import Image
from tqdm import tqdm

from services.common import errors, images, models
from training.common import photographs, runs
from training.remove_background import drawn, measures, sources, split

# Where masks are compared, and where the boundary's 2 pixels are measured.
SIDE, REACH = 512, 2

Scores = dict[str, dict[str, float]]


# A picture and its mask: a file, or bool [h, w]; None for an empty scene.
Truth = Path | np.ndarray | None
Sets = dict[str, list[tuple[Path, Truth]]]


@dataclass(frozen=True)
class Folders:
    """Where pictures are scored from; what each holds says the module's docstring."""

    renders: Path | None = None
    pairs: Sequence[Path] = ()
    made: Sequence[Path] = ()
    sequences: Sequence[Path] = ()
    backgrounds: Sequence[Path] = ()


def pictures(side: split.Side, folders: Folders) -> Sets:
    """The sets of the side. Raises :class:`sources.DataError` where there is nothing."""
    sets: Sets = {}
    if folders.renders:
        with (folders.renders / "index.csv").open(newline="") as stream:
            rows = [row for row in csv.DictReader(stream) if row["scan"]]
        ours = [row for row in rows if all(split.side("sculpture_scans", scan) is side for scan in row["scan"].split("+"))]
        sets["renders"] = [(folders.renders / row["file"], folders.renders / row["mask"]) for row in ours]
    for folder in (*folders.pairs, *folders.made):
        group = split.groups(folder)
        sets[folder.name] = [
            (path, folder / "masks" / f"{path.stem}.png")
            for path in photographs.find(folder / "images")
            if folder in folders.made or split.side(folder.name, group(path.stem)) is side
        ]
    for folder in folders.sequences:
        if split.side(folder.parent.name, folder.name) is side:
            sets[folder.name] = list(drawn.masks(folder))
    for folder in folders.backgrounds:
        group = split.groups(folder)
        found = [path for path in photographs.find(folder) if split.side(folder.name, group(path.stem)) is side]
        sets["empty"] = [*sets.get("empty", []), *((path, None) for path in found)]
    sets = {name: each for name, each in sets.items() if each}
    if not sets:
        raise sources.DataError(f"none of the folders given holds pictures for the {side}")
    return sets


def probability(session: ort.InferenceSession, pixels: images.RGB) -> np.ndarray:
    """uint8 RGB [h, w, 3] -> float32 [side, side] of the model's own size, prepared as served."""
    _, height, width, _ = session.get_inputs()[0].shape
    prepared = images.resize(pixels, (height, width), images.ResizeRule.SQUASH)
    return np.asarray(session.run(["probability"], {"images": prepared[None]})[0][0])


def evaluate(session: ort.InferenceSession, sets: Sets) -> Scores:
    """Means over pictures of the network's own mask: {set: {n, dice, boundary_f}}, of empty scenes {n, left_empty}."""
    scores: Scores = {}
    for name, each in sets.items():
        rows = [
            score(cv2.resize(probability(session, _decode(picture)), (SIDE, SIDE)) >= measures.THRESHOLD, truth)
            for picture, truth in tqdm(each, name, disable=None)
        ]
        scores[name] = {"n": len(rows), **{key: float(np.mean([row[key] for row in rows])) for key in rows[0]}}
    return scores


def score(mask: np.ndarray, truth: Truth) -> dict[str, float]:
    """bool [SIDE, SIDE] against the truth: dice and boundary_f, or left_empty."""
    if truth is None:
        return {"left_empty": float(measures.is_empty(mask))}
    image = Image.fromarray(truth.astype(np.uint8) * 255) if isinstance(truth, np.ndarray) else Image.open(truth).convert("L")
    wanted = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR)) > 127
    return {"dice": measures.dice(mask, wanted), "boundary_f": measures.boundary_f(mask, wanted, REACH)}


def table(scores: Scores) -> str:
    """The scores as a Markdown table, in per cent."""
    columns = ["dice", "boundary_f", "left_empty"]
    lines = ["| set | pictures | Dice % | boundary F % | left empty % |", "|---|---|---|---|---|"]
    for name, row in scores.items():
        cells = [f"{100 * row[column]:.1f}" if column in row else "" for column in columns]
        lines.append(f"| {name} | {row['n']:.0f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def sheet(session: ort.InferenceSession, found: Sequence[Path], path: Path, columns: int = 8, side: int = 200) -> None:
    """Photographs above their overlays (background darkened, object as it is, the silhouette green): to be looked at."""
    tiles = [np.vstack(tile) for tile in _overlays(session, found, side)]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    grid = np.vstack([np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)])
    with runs.whole(path) as temporary:
        Image.fromarray(grid).save(temporary)


def _overlays(session: ort.InferenceSession, found: Sequence[Path], side: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for picture in found:
        pixels = _decode(picture)
        scale = side / max(pixels.shape[:2])
        height, width = (max(1, round(length * scale)) for length in pixels.shape[:2])
        small = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
        mask = cv2.resize(probability(session, pixels), (width, height)) >= measures.THRESHOLD
        over = np.where(mask[..., None], small, small // 4)
        contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(over, contours, -1, (0, 255, 0), 1)
        pads = ((0, side - height), (0, side - width), (0, 0))
        yield np.pad(small, pads), np.pad(over, pads)


def _decode(path: Path) -> images.RGB:
    try:
        return images.decode(path.read_bytes(), images.Limits(), images.Frame.DISPLAY, shrink_to=SIDE).pixels
    except errors.MaquetteError as error:
        raise sources.DataError(f"{path}: {error.detail}") from error


def main(
    model: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="an exported model.onnx")],
    side: Annotated[split.Side, typer.Option(help="whose pictures")] = split.Side.DEVELOPMENT,
    renders: Annotated[Path | None, typer.Option(exists=True, file_okay=False)] = None,
    pairs: Annotated[list[Path] | None, typer.Option(exists=True, file_okay=False)] = None,
    made: Annotated[list[Path] | None, typer.Option(exists=True, file_okay=False)] = None,
    sequences: Annotated[list[Path] | None, typer.Option(exists=True, file_okay=False)] = None,
    backgrounds: Annotated[list[Path] | None, typer.Option(exists=True, file_okay=False)] = None,
    out: Annotated[Path | None, typer.Option(help="scores as JSON")] = None,
    sheets: Annotated[Path | None, typer.Option(help="a folder for sheets of overlays")] = None,
    look: Annotated[list[Path] | None, typer.Option(exists=True, file_okay=False, help="photographs for sheets alone")] = None,
) -> None:
    """Score, and draw sheets; see the module's docstring."""
    session = models.open_session(model, threads=1)
    folders = Folders(renders, pairs or (), made or (), sequences or (), backgrounds or ())
    try:
        sets = pictures(side, folders) if folders != Folders() or not look else {}
        scores = evaluate(session, sets)
        shown = {name: [picture for picture, _ in each] for name, each in sets.items()}
        shown |= {folder.name: photographs.find(folder) for folder in look or ()}
        for name, found in shown.items():
            if sheets:
                picks = np.unique(np.linspace(0, len(found) - 1, min(32, len(found))).astype(int))
                sheet(session, [found[i] for i in picks], sheets / f"{name}.png")
    except (sources.DataError, OSError, KeyError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    if out:
        runs.write_json(out, scores)
    typer.echo(table(scores))


if __name__ == "__main__":
    typer.run(main)
