"""Score an exported mask model: python -m training.remove_background.evaluate --model model.onnx --run RUN --renders ...

Each set stands for itself, at 512 x 512, on pictures that the run set aside (``RUN/data.json``):
    renders       scenes whose scans were all held out
    pairs         masked by hand (the folder's name)
    photographs   agreement with the teacher, which is not truth
    headless      statues without a head: the only ones of the Buddha photographs whose masks cover the whole figure
    below_neck    the other Buddhas, in the rows of their masks only: these leave out head and pedestal on purpose
    empty         scenes without an object; the share left empty is all there is to measure
"""

from __future__ import annotations

import csv
import json
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
from training.remove_background import measures, sources

# Where masks are compared, and where the boundary's 2 pixels are measured.
SIDE, REACH = 512, 2

Scores = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Set:
    """Pictures with their masks (None: an empty scene). ``rows_only``: the mask speaks of its own rows alone."""

    pictures: tuple[tuple[Path, Path | None], ...]
    rows_only: bool = False


def held_sets(
    run: Path,
    renders: Path | None = None,
    labelled: Path | None = None,
    pairs: Sequence[Path] = (),
    buddhas: Path | None = None,
    backgrounds: Path | None = None,
) -> dict[str, Set]:
    """What the run set aside in each of the folders given. Raises :class:`sources.DataError` where there is nothing."""
    seen = json.loads((run / "data.json").read_text())
    held = {name: set(names) for name, names in seen["held"].items()}
    sets: dict[str, Set] = {}

    def add(name: str, folder: Path, key: str, suffix: str = ".png") -> None:
        found = [path for path in photographs.find(folder / "images") if path.stem in held.get(key, ())]
        sets[name] = Set(tuple((path, folder / "masks" / f"{path.stem}{suffix}") for path in found))

    if renders:
        add("renders", renders, "renders")
    if labelled:
        add("photographs", labelled, "photographs")
    for folder in pairs:
        add(folder.name, folder, folder.name)
    if buddhas:
        trained = " ".join(seen["train"].get("photographs", ()))
        with (buddhas / "index.csv").open(newline="") as stream:
            rows = [row for row in csv.DictReader(stream) if row["name"] not in trained]
        for name, whole in (("headless", "1"), ("below_neck", "0")):
            chosen = [row["name"] for row in rows if row["mask_covers_whole_figure"] == whole]
            paths = [(buddhas / "images" / f"{stem}.jpg", buddhas / "masks" / f"{stem}.png") for stem in chosen]
            sets[name] = Set(tuple((picture, mask) for picture, mask in paths if picture.exists()), rows_only=whole == "0")
    empty = [folder for folder in (renders and renders / "images", backgrounds) if folder]
    found = [path for folder in empty for path in photographs.find(folder) if path.stem in held.get("empty", ())]
    sets["empty"] = Set(tuple((path, None) for path in found))
    sets = {name: each for name, each in sets.items() if each.pictures}
    if not sets:
        raise sources.DataError(f"{run / 'data.json'}: nothing in the folders given was set aside by this run")
    return sets


def probability(session: ort.InferenceSession, pixels: images.RGB) -> np.ndarray:
    """uint8 RGB [h, w, 3] -> float32 [side, side] of the model's own size, prepared as served."""
    _, height, width, _ = session.get_inputs()[0].shape
    prepared = images.resize(pixels, (height, width), images.ResizeRule.SQUASH)
    return np.asarray(session.run(["probability"], {"images": prepared[None]})[0][0])


def evaluate(session: ort.InferenceSession, sets: dict[str, Set]) -> Scores:
    """Means over pictures: {set: {n, dice, boundary_f}}, of empty scenes {n, left_empty}."""
    scores: Scores = {}
    for name, each in sets.items():
        rows = [_score(session, picture, mask, each.rows_only) for picture, mask in tqdm(each.pictures, name, disable=None)]
        scores[name] = {"n": len(rows), **{key: float(np.mean([row[key] for row in rows])) for key in rows[0]}}
    return scores


def _score(session: ort.InferenceSession, picture: Path, truth: Path | None, rows_only: bool) -> dict[str, float]:
    pixels = _decode(picture)
    mask = cv2.resize(probability(session, pixels), (SIDE, SIDE)) >= measures.THRESHOLD
    if truth is None:
        return {"left_empty": float(measures.is_empty(mask))}
    with Image.open(truth) as image:
        wanted = np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR)) > 127
    if rows_only:
        return {"dice": measures.below_neck(mask, wanted)}
    return {"dice": measures.dice(mask, wanted), "boundary_f": measures.boundary_f(mask, wanted, REACH)}


def table(scores: Scores) -> str:
    """The scores as a Markdown table, in per cent."""
    columns = ["dice", "boundary_f", "left_empty"]
    lines = ["| set | pictures | Dice % | boundary F % | left empty % |", "|---|---|---|---|---|"]
    for name, row in scores.items():
        cells = [f"{100 * row[column]:.1f}" if column in row else "" for column in columns]
        lines.append(f"| {name} | {row['n']:.0f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def sheet(session: ort.InferenceSession, pictures: Sequence[Path], path: Path, columns: int = 8, side: int = 200) -> None:
    """Photographs above their overlays (background darkened, object as it is, the silhouette green): to be looked at."""
    tiles = [np.vstack(tile) for tile in _overlays(session, pictures, side)]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    grid = np.vstack([np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)])
    with runs.whole(path) as temporary:
        Image.fromarray(grid).save(temporary)


def _overlays(session: ort.InferenceSession, pictures: Sequence[Path], side: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for picture in pictures:
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
    run: Annotated[Path | None, typer.Option(exists=True, file_okay=False, help="its run, for what was set aside")] = None,
    renders: Annotated[Path | None, typer.Option(exists=True, file_okay=False)] = None,
    photographs_: Annotated[Path | None, typer.Option("--photographs", exists=True, file_okay=False)] = None,
    pairs: Annotated[list[Path] | None, typer.Option(exists=True, file_okay=False)] = None,
    buddhas: Annotated[Path | None, typer.Option(exists=True, file_okay=False)] = None,
    backgrounds: Annotated[Path | None, typer.Option(exists=True, file_okay=False)] = None,
    out: Annotated[Path | None, typer.Option(help="scores as JSON")] = None,
    sheets: Annotated[Path | None, typer.Option(help="a folder for sheets of overlays")] = None,
    look: Annotated[list[Path] | None, typer.Option(exists=True, file_okay=False, help="photographs for sheets alone")] = None,
) -> None:
    """Score, and draw sheets; see the module's docstring."""
    session = models.open_session(model, threads=1)
    try:
        sets = held_sets(run, renders, photographs_, tuple(pairs or ()), buddhas, backgrounds) if run else {}
        scores = evaluate(session, sets)
        shown = {name: [picture for picture, _ in each.pictures] for name, each in sets.items()}
        shown |= {folder.name: photographs.find(folder) for folder in look or ()}
        if not shown:
            raise sources.DataError("nothing to do: give --run with its data folders, or --look")
        for name, pictures in shown.items():
            if sheets:
                picks = np.unique(np.linspace(0, len(pictures) - 1, min(32, len(pictures))).astype(int))
                sheet(session, [pictures[i] for i in picks], sheets / f"{name}.png")
    except (sources.DataError, OSError, KeyError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    if out:
        runs.write_json(out, scores)
    typer.echo(table(scores))


if __name__ == "__main__":
    typer.run(main)
