"""The paper's Table 2, one object alone and with more: python -m training.remove_background.table --out OUT ...

    --scans data/sculpture_scans --backgrounds data/backgrounds --middlebury data/photogrammetry_middlebury
    --encoder mobilenetv2_1.0_224_imagenet_folded.pt --bundle exported_models/remove_background/0.3.0

Renders the sets, trains ``--config paper`` once on each mixture with the same number of batches, and fits the bundle to the
object as ``finetune`` does. Every row is scored on the same photographs of the object, 15 % that none has seen. Stopped at any
moment it goes on with the same command; OUT/table.md, table.json and curves.png hold the rows that are done.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import typer
from matplotlib import pyplot as plt

from training.common import plots, runs
from training.remove_background import finetune, sources, train
from training.remove_background.config import CONFIGURATIONS
from training.remove_background.data import Data
from training.remove_background.sources import DataError, Source

SCAN, MATERIAL = "Athena", "patinated_bronze"
# What stands for the paper's sets besides its bronze: (its set, ours).
STANDS_FOR = {
    "sculptures": ("Sculptures 6k", "renders of the other scans"),
    "people": ("PedCut2013", "people-like shapes, who are the object here"),
    "materials": ("FMD", "made forms, each in a material"),
}
FORMS = ("geometric_form", "organic_form")
SIDE = 384


@dataclass(frozen=True)
class Row:
    """One row: what is trained on besides the photographs of the ``subject``, and the paper's Dice in per cent."""

    name: str
    subject: str
    extras: tuple[str, ...]
    paper: float | None


ROWS = (
    Row("one object", "object", (), 94.01),
    Row("+ materials", "object", ("materials",), 94.21),
    Row("+ other sculptures", "object", ("sculptures",), 94.07),
    Row("+ people-like figures", "object", ("people",), 93.87),
    Row("all", "object", ("sculptures", "people", "materials"), 93.88),
    Row("Middlebury", "middlebury", (), None),
)
TUNED = "one object, the bundle fitted to it"


def main(
    out: Annotated[Path, typer.Option(file_okay=False, help="everything is kept here")],
    scans: Annotated[Path, typer.Option(exists=True, file_okay=False)],
    backgrounds: Annotated[Path | None, typer.Option(exists=True, file_okay=False)] = None,
    middlebury: Annotated[Path | None, typer.Option(exists=True, file_okay=False, help="templeRing/ and dino/")] = None,
    encoder: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="folded MobileNetV2 of PyTorch")] = None,
    imagenet: Annotated[bool, typer.Option(help="download Keras' ImageNet weights for the encoder")] = False,
    bundle: Annotated[Path | None, typer.Option(exists=True, file_okay=False, help="also fit this one to the object")] = None,
    rooms: Annotated[int, typer.Option(min=1, help="rooms that the object is photographed in")] = 4,
    views: Annotated[int, typer.Option(min=8, help="photographs in each room")] = 60,
    extra: Annotated[int, typer.Option(min=4, help="pictures in each further set")] = 200,
    steps: Annotated[int, typer.Option(min=1, help="batches that each row is trained for")] = 100,
    size: Annotated[int, typer.Option(min=64, help="input side, pixels")] = 256,
    batch: Annotated[int, typer.Option(min=1)] = 32,
    only: Annotated[list[str] | None, typer.Option(help="only these rows (repeat)")] = None,
    threads: Annotated[int, typer.Option(min=1)] = 1,
    seed: int = 0,
) -> None:
    """Render, train, compare; see the module's docstring."""
    train.set_threads(threads)
    chosen = [row for row in ROWS if (not only or row.name in only) and (middlebury or row.subject == "object")]
    facts = {"scan": SCAN, "material": MATERIAL, "rooms": rooms, "views": views, "extra": extra, "steps": steps}
    facts |= {"size": size, "batch": batch, "seed": seed, "encoder": encoder.name if encoder else imagenet}
    try:
        runs.open_run(out, facts)
        for name in ("object", *sorted({extra_ for row in chosen for extra_ in row.extras})):
            render(name, out / "sets" / name, scans, backgrounds, rooms if name == "object" else extra, views, seed)
        # The cheapest first.
        if bundle and not (out / "runs" / slug(TUNED) / "metrics.json").exists():
            fit_bundle(bundle, out, steps * batch // finetune.BATCH, seed)
        for row in chosen:
            if not (out / "runs" / slug(row.name) / "metrics.json").exists():
                fit(row, out, middlebury, encoder, imagenet, steps, size, batch, seed)
            write(out, facts)
        write(out, facts)
    except (DataError, runs.RunError, ValueError) as error:
        train.fail(str(error))
    typer.echo((out / "table.md").read_text())


def render(name: str, folder: Path, scans: Path, backgrounds: Path | None, count: int, views: int, seed: int) -> None:
    """Make one set with ``training.render``, in processes of their own, unless it was made; what is there is kept."""
    whole = folder.with_name(f"{name}.json")
    if whole.exists():
        return
    of_scans = ["--scans", scans]
    commands: list[list[object]] = []
    if name == "object":
        commands = [
            ["turntable", "--scan", scans / f"{SCAN}.glb", "--out", folder / f"room{room}", "--views", views,
             "--size", SIDE, "--texture-size", 512, "--material", MATERIAL, "--seed", seed + room]
            for room in range(count)
        ]  # fmt: skip
    elif name == "sculptures":
        others = [part for path in sorted(scans.glob("*.glb")) if path.stem != SCAN for part in ("--scan", path.stem)]
        commands = [["photos", *of_scans, *others, "--empty", 0, "--count", count]]
    elif name == "people":
        commands = [["people", "--count", count]]
    else:
        kinds = [part for kind in FORMS for part in ("--only", kind)]
        commands = [["types", *of_scans, *kinds, "--masks", "--per-class", math.ceil(count / len(FORMS))]]
    for command in commands:
        if name != "object":
            command += ["--out", folder, "--size", SIDE, "--seed", seed]
        command += ["--backgrounds", backgrounds] if backgrounds else []
        done = subprocess.run([sys.executable, "-m", "training.render", *(str(part) for part in command)])
        if done.returncode:
            raise DataError(f"{folder}: the renderer failed; it says why above")
    runs.write_json(whole, {"commands": [[str(part) for part in command] for command in commands]})


def load(name: str, out: Path, middlebury: Path | None) -> Source:
    """One set; a room's photographs and Middlebury's are split by their names, so that a place is on one side in every room."""
    folder = out / "sets" / name
    if name == "object":
        return sources.join([sources.pairs(room) for room in sorted(folder.glob("room*"))])
    if name == "middlebury":
        assert middlebury
        return sources.join([sources.pairs(middlebury / which) for which in ("templeRing", "dino")])
    if name == "materials":
        masks = folder.with_name(f"{folder.name}_masks")
        return sources.join([sources.pairs(folder / kind, masks / kind) for kind in FORMS])
    return sources.renders(folder)


def split(subject: Source, extras: dict[str, Source]) -> Data:
    """85/15 of the object's photographs; whatever else is there is all for training."""
    # By the order of their hashes, so that so small a set is split just so.
    names = sorted(set(subject.names), key=lambda name: hashlib.sha256(name.encode()).digest())
    aside = set(names[: max(1, round(CONFIGURATIONS["paper"].held_share * len(names)))])
    kept = subject.only(lambda name, _: name not in aside)
    held = {"object": subject.only(lambda name, _: name in aside)}
    # The paper's object is a scan that the shipped model is tested on: no run of that may begin from these weights.
    return Data({"object": kept, **extras}, held, seen={"sculpture_scans": ["*"]})


def fit(row: Row, out: Path, middlebury: Path | None, encoder: Path | None, imagenet: bool, steps: int, size: int,
        batch: int, seed: int) -> None:  # fmt: skip
    """Train the paper's configuration on one mixture; the best by Dice of the photographs set aside is kept."""
    seen = split(load(row.subject, out, middlebury), {name: load(name, out, middlebury) for name in row.extras})
    pictures = sum(len(source) for source in seen.train.values())
    epochs = min(CONFIGURATIONS["paper"].epochs, max(1, round(steps / math.ceil(pictures / batch))))
    config = replace(CONFIGURATIONS["paper"], size=size, batch=batch, epochs=epochs)
    folder = runs.open_run(out / "runs" / slug(row.name), {**asdict(config), "seed": seed})
    runs.write_json(folder / "data.json", train.describe(seen))
    runs.seed_everything(seed)
    trainer = train.Trainer(config, steps)
    train.start_weights(trainer, seen, None, encoder, imagenet)
    history = train.fit(trainer, seen, folder, seed)
    best = max(history, key=lambda entry: entry["dice"])
    counts = {"pictures": pictures, "set_aside": len(seen.held["object"]), "epochs": epochs, "batches": trainer.steps}
    runs.write_json(folder / "metrics.json", {**counts, "dice": best["dice"], "best_epoch": best["epoch"]})


def fit_bundle(bundle: Path, out: Path, steps: int, seed: int) -> None:
    """The shipped network, begun from its own weights, on the object alone: as many pictures as a row of the paper's sees."""
    opened, config, weights = finetune.load(bundle, steps)
    seen = split(load("object", out, None), {})
    runs.seed_everything(seed)
    both = Data({"pairs": seen.train["object"]}, {"pairs": seen.held["object"]})
    _, before, after = finetune.tune(config, weights, both, out / "runs" / slug(TUNED), seed)
    counts = {"pictures": len(both.train["pairs"]), "set_aside": len(both.held["pairs"]), "batches": steps}
    facts = {**counts, "epochs": steps * config.batch / len(both.train["pairs"]), "dice": after, "dice_before": before}
    runs.write_json(out / "runs" / slug(TUNED) / "metrics.json", {**facts, "bundle": opened.manifest.version})


def done(out: Path) -> Iterator[tuple[str, float | None, dict[str, Any]]]:
    """The rows that are there: name, the paper's Dice, metrics."""
    for name, paper in [*((row.name, row.paper) for row in ROWS), (TUNED, None)]:
        metrics = out / "runs" / slug(name) / "metrics.json"
        if metrics.exists():
            yield name, paper, json.loads(metrics.read_text())


def write(out: Path, facts: dict[str, Any]) -> None:
    """table.md, table.json and curves.png of what is done so far."""
    rows = list(done(out))
    lines = ["| trained on | pictures | epochs | Dice % | paper % |", "|---|---|---|---|---|"]
    for name, paper, found in rows:
        cells = [name, str(found["pictures"]), f"{found['epochs']:.0f}", f"{100 * found['dice']:.2f}", f"{paper or ''}"]
        lines.append(f"| {' | '.join(cells)} |")
    with runs.whole(out / "table.md") as path:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    command = runs.command("training.remove_background.table")
    table = [{"trained_on": name, "paper": paper, **found} for name, paper, found in rows]
    runs.write_json(out / "table.json", {"command": command, **facts, "stands_for": STANDS_FOR, "rows": table})
    figure, axis = plt.subplots(figsize=(7, 4.2))
    for name, _, found in rows:
        if history := runs.read_history(out / "runs" / slug(name)):
            each = found["batches"] / found["epochs"]
            axis.plot(
                [(entry["epoch"] + 1) * each for entry in history], [100 * entry["dice"] for entry in history], label=name
            )
    axis.set(xlabel="batches", ylabel="Dice of the object's photographs set aside, %", ylim=(50, 100))
    axis.grid(alpha=0.3)
    if axis.lines:
        axis.legend()
    plots.save(figure, out / "curves.png")


def slug(name: str) -> str:
    """A folder's name for a row."""
    return "_".join("".join(letter if letter.isalnum() else " " for letter in name).split())


if __name__ == "__main__":
    typer.run(main)
