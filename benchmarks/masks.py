"""Photograph's file -> mask's file, on one core: time, memory, and how well the mask's silhouette follows the object's.

    python -m training.render turntable --scan SCANS/Athena.glb --out SETS/athena --views 2 --size 4000 --material bronze
    python -m benchmarks.masks SETS/athena SETS/demosthenes --json benchmarks/results/masks.json

Each folder holds ``images/`` and ``masks/`` of the same stems. Times are CPU times of one thread, best of three. The first
picture is also enlarged to a TIFF of 50 MP. *Decode and write* is a plain program's part: every pixel decoded by Pillow, and a
mask of that size written. Memory is the highest resident size of a fresh process, less what it has once its model is loaded.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import onnxruntime as ort
import typer
from PIL import Image
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from benchmarks.memory import mebibytes
from services.common import images, models, settings
from services.remove_background.predictor import SECOND, Output, Parameters, Predictor, Removal
from training.remove_background import measures, teacher

LIMITS = images.Limits(max_bytes=2**30)
TIFF_SIZE = (8660, 5774)


class Masker:
    """What the service does with one photograph, without its transports. ``details`` take the manifest's place."""

    def __init__(self, path: Path, **details: float) -> None:
        bundle = models.load(path)
        manifest = bundle.manifest.model_copy(update={"details": {**bundle.manifest.details, **details}})
        self.bundle = replace(bundle, manifest=manifest)
        self._predictor = Predictor(self.bundle)

    def probability(self, data: bytes) -> tuple[images.Decoded, dict[str, np.ndarray]]:
        wanted = self.bundle.manifest.input
        shrink_to = 2 * max(wanted.height, wanted.width)
        photograph = images.decode(data, LIMITS, images.Frame.DISPLAY, shrink_to=shrink_to)
        return photograph, self._ask(self.bundle.prepare(photograph.pixels))

    def answer(self, data: bytes, looks: int = 2) -> Removal:
        """``looks`` = 1: never a second look."""
        (photograph, outputs), parameters = self.probability(data), Parameters(output=Output.MASK)
        view = self._predictor.second_view(photograph, outputs, parameters) if looks > 1 else None
        if view is not None:
            outputs[SECOND] = self._ask(view)["probability"]
        return self._predictor.answer(photograph, outputs, parameters)

    def __call__(self, data: bytes) -> bytes:
        return self.answer(data).mask

    def _ask(self, prepared: images.RGB) -> dict[str, np.ndarray]:
        return {name: value[0] for name, value in self.bundle.run(prepared[None]).items()}


def main(
    sets: Annotated[list[Path], typer.Argument(exists=True, file_okay=False, help="folders with images/ and masks/")],
    version: Annotated[str | None, typer.Option(help="of the bundle; default: the latest")] = None,
    peer: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="ISNet as ONNX, scored beside")] = None,
    peer_size: Annotated[int, typer.Option(min=64, help="side of the peer's input, pixels")] = 1024,
    json_path: Annotated[Path | None, typer.Option("--json", help="also write the rows as JSON")] = None,
) -> None:
    """Print two tables: what a mask costs, and how good its edges are before and after refinement."""
    root = settings.load().models
    path = root / "remove_background" / version if version else models.latest(root, "remove_background")
    masker = Masker(path)
    pictures = [picture for folder in sets for picture in sorted((folder / "images").iterdir())]
    first = pictures[0].read_bytes()
    enlarged = Image.open(io.BytesIO(first)).convert("RGB").resize(TIFF_SIZE, Image.Resampling.BICUBIC)
    costs = [_cost(masker, first), _cost(masker, _encoded(enlarged, "TIFF"))]
    large = teacher.open_session(peer, peer_size, threads=1) if peer else None
    edges = [_edges(masker, picture, large) for picture in tqdm(pictures, "edges", disable=None)]
    _show("cost of a mask", costs)
    means, medians = ({key: float(of([row[key] for row in edges])) for key in edges[0]} for of in (np.mean, np.median))
    _show(f"edges, means and medians of {len(edges)} pictures, %", [means, medians])
    if json_path:
        record = {"model": masker.bundle.manifest.version, "costs": costs, "edges": edges, "means": means, "medians": medians}
        json_path.write_text(json.dumps(record, indent=1) + "\n")


def _cost(masker: Masker, data: bytes) -> dict[str, float | str]:
    plain, ours = _seconds(lambda: _decode_and_write(data)), _seconds(lambda: masker(data))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        growth = pool.apply(_growth, (masker.bundle.path, data))
    image = Image.open(io.BytesIO(data))
    return {
        "file": f"{image.format}, {image.width * image.height / 1e6:.0f} MP",
        "decode and write, ms": 1000 * plain,
        "mask, ms": 1000 * ours,
        "ratio": ours / plain,
        "memory, MiB": growth,
    }


def _decode_and_write(data: bytes) -> bytes:
    grey = images.decode(data, LIMITS, images.Frame.DISPLAY).pixels[..., 1]
    return _encoded(Image.fromarray((grey > 127).astype(np.uint8) * 255), "PNG", compress_level=1)


def _seconds(call: Callable[[], object], rounds: int = 3) -> float:
    """Least CPU time of a round."""
    taken = []
    for _ in range(rounds):
        started = time.process_time()
        call()
        taken.append(time.process_time() - started)
    return min(taken)


def _growth(path: Path, data: bytes) -> float:
    """MiB by which the process grows at most, while it masks the photograph."""
    masker = Masker(path)
    idle = mebibytes()
    masker(data)
    return mebibytes("VmHWM") - idle


def _edges(masker: Masker, picture: Path, peer: ort.InferenceSession | None) -> dict[str, float]:
    """Dice and the boundary's F within 2 px of 512 and within 2 of the picture's own: interpolated, as served, and the peer's;
    CPU ms of the last two."""
    data = picture.read_bytes()
    with Image.open(picture.parents[1] / "masks" / f"{picture.stem}.png") as image:
        truth = np.asarray(image.convert("L")) > 127
    _, outputs = masker.probability(data)
    threshold = float(masker.bundle.manifest.details["threshold"])
    size = truth.shape[::-1]
    masks = {
        "interpolated": np.asarray(Image.fromarray(outputs["probability"]).resize(size, Image.Resampling.BILINEAR)) >= threshold
    }
    scores = {}
    started = time.process_time()
    served = masker(data)
    scores["served, ms"] = 1000 * (time.process_time() - started)
    masks["served"] = np.asarray(Image.open(io.BytesIO(served))) > 127
    if peer:
        started = time.process_time()
        masks["peer"] = teacher.label(peer, images.decode(data, LIMITS, images.Frame.DISPLAY).pixels) > 127
        scores["peer, ms"] = 1000 * (time.process_time() - started)
    for name, mask in masks.items():
        scores[f"Dice {name}"] = 100 * measures.dice(mask, truth)
        for label, reach in (("2 of 512 px", max(1, round(max(size) / 256))), ("2 px", 2)):
            scores[f"F {label} {name}"] = 100 * measures.boundary_f(mask, truth, reach)
    return scores


def _encoded(image: Image.Image, format_: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format_, **options)
    return stream.getvalue()


def _show(title: str, rows: Sequence[Mapping[str, float | str]]) -> None:
    table = Table(*rows[0], title=title)
    for row in rows:
        table.add_row(*(value if isinstance(value, str) else f"{value:.1f}" for value in row.values()))
    Console(width=180).print(table)


if __name__ == "__main__":
    typer.run(main)
