"""The paper's experiments: DCEC-Paint, CAE + k-means and DEC for k = 2..9, the ablation over lambda; our configurations beside.

    python -m training.cluster_assign.study --data data/paintings_masters --labels data/paintings_masters/labels.csv --out OUT

Every fit is kept as it ends, so a study that was stopped goes on where it was. ``rows.json`` holds the numbers, ``tables.md``
the tables, the PNG files the figures. The paper's budget (200 epochs, 20,000 iterations at most) needs a GPU or days on a CPU:
--epochs, --max-iterations and --size cut it, and the rows say so.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any

import keras
import numpy as np
import typer
from tqdm import tqdm

from training.cluster_assign import commands, data, fit, measures, tables
from training.cluster_assign.config import DEFAULT, PAPER, Block, Config, Method, TrainingError
from training.cluster_assign.features import FrontEnd
from training.cluster_assign.train import draw, prepare
from training.common import runs

# Question of each variant: does the content, the style, the colour, or content and style group works better than pixels do?
VARIANTS: dict[str, tuple[Block, ...]] = {
    "content + gram": ("content", "gram"),
    "content": ("content",),
    "gram": ("gram",),
    "colour": ("colour",),
    "content + gram + colour": ("content", "gram", "colour"),
}
OURS = "content + gram"
app = typer.Typer(add_completion=False)


@dataclasses.dataclass(frozen=True)
class Fit:
    """One cell of the study. ``name`` is the configuration as the tables call it."""

    name: str
    config: Config
    method: Method
    k: int
    seed: int

    @property
    def folder(self) -> str:
        """Distinct for every cell; the pre-training it stands on is shared by all cells of a name and seed."""
        return f"{self.pretraining}/{self.method}_k{self.k}_w{self.config.reconstruction_weight:g}"

    @property
    def pretraining(self) -> str:
        return f"{self.name.replace(' + ', '-')}_seed{self.seed}"


def cells(ks: list[int], few: list[int], weights: list[float], seeds: int, paper: Config, default: Config) -> list[Fit]:
    """The central first, so that a study stopped early has the core: methods, the ablation, variants, seeds.

    ``few``: the numbers of clusters at which variants and further seeds are fitted.
    """
    ours = dataclasses.replace(default, blocks=VARIANTS[OURS])
    methods: tuple[Method, ...] = ("kmeans", "dcec", "dec")
    plan = [Fit("paper", paper, method, k, 0) for method in methods for k in ks]
    for weight in weights:
        if weight != paper.reconstruction_weight:
            plan += [Fit("paper", dataclasses.replace(paper, reconstruction_weight=weight), "dcec", k, 0) for k in ks]
    plan += [Fit(OURS, ours, method, k, 0) for method in methods for k in ks]
    for name, blocks in VARIANTS.items():
        if name != OURS:
            config = dataclasses.replace(default, blocks=blocks)
            plan += [Fit(name, config, method, k, 0) for method in methods[:2] for k in few]
    plan += [Fit(OURS, ours, "dcec", k, seed) for seed in range(1, seeds) for k in few]
    return plan


def inputs(paper: Config, default: Config, collections: dict[int, data.Collection], out: Path) -> dict[Block, np.ndarray]:
    """What the cells' autoencoders see, float32 [n, ...] a block; the backbone is asked once and its answers are kept."""
    blocks: tuple[Block, ...] = ("content", "gram", "colour")
    kept = out / "statistics.npz"
    if not kept.exists():
        front_end, whitened = prepare(dataclasses.replace(default, blocks=blocks), collections[default.size], out)
        ends = np.cumsum([kernel.shape[1] for kernel, _ in front_end.projections])
        with runs.whole(kept) as temporary:
            np.savez(temporary, **dict(zip(blocks, np.split(whitened, ends[:-1], axis=1), strict=True)))
    with np.load(kept) as stored:
        found: dict[Block, np.ndarray] = {block: stored[block] for block in blocks}
    return found | {"pixels": FrontEnd(paper).raw(collections[paper.size].pixels)[0]}


def run_cell(cell: Fit, seen: dict[Block, np.ndarray], collection: data.Collection, out: Path) -> dict[str, Any]:
    """Fit one cell and measure it inside its embedding; an earlier answer is read back. Leaves ``clusters.npy`` beside it."""
    folder = out / cell.folder
    if (folder / "row.json").exists():
        return dict(json.loads((folder / "row.json").read_text()))
    parts = [seen[block] for block in cell.config.blocks]
    features = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
    encoder, decoder = fit.pretrain(features, cell.config, cell.seed, out / cell.pretraining / "pretrain")
    done = fit.cluster(features, encoder, decoder, cell.k, cell.config, cell.seed, folder, cell.method)
    row: dict[str, Any] = {
        "name": cell.name,
        "method": cell.method,
        "k": cell.k,
        "seed": cell.seed,
        "lambda": cell.config.reconstruction_weight,
        "size": cell.config.size,
        "batch": cell.config.batch,
        "epochs": cell.config.pretrain_epochs,
        "cap": cell.config.max_iterations,
        "iterations": done.iterations,
        "settled": settled(folder, done.converged),
        "converged": done.converged,
        "sizes": np.bincount(done.clusters, minlength=cell.k).tolist(),
        **{
            name: value if np.isfinite(value) else None
            for name, value in measures.internal(done.embedding, done.clusters).items()
        },
    }
    if cell.k in (3, 7) and cell.seed == 0 and cell.method == "dcec" and cell.name in ("paper", OURS):
        draw(collection, done, cell.seed, folder)
    with runs.whole(folder / "clusters.npy") as temporary:
        np.save(temporary, done.clusters)
    runs.write_json(folder / "row.json", row)
    (folder / fit.CHECKPOINT).unlink(missing_ok=True)
    keras.backend.clear_session()
    return row


def settled(folder: Path, converged: bool) -> int | None:
    """The iteration of the last update that found more than 1 % of the works moved; None when that is the last before the cap.

    With a few hundred works the paper's 0.1 % is less than one work, which a single work between two groups can hold up.
    """
    history = runs.read_history(folder)
    if not history:
        return None
    interval = history[0]["iteration"]
    moving = [entry["iteration"] - interval for entry in history if entry["changed"] > 0.01]
    if not converged and moving and moving[-1] == history[-1]["iteration"] - interval:
        return None
    return int(moving[-1]) if moving else 0


def agreed(cell: Fit, collection: data.Collection, column: str, out: Path) -> dict[str, Any]:
    """ACC, NMI and ARI of a fitted cell with the labels of ``column``, whose names tell the files apart."""
    if collection.labels is None:
        return {}
    kept = out / cell.folder / f"agreement_{column}.json"
    if not kept.exists():
        clusters = np.load(out / cell.folder / "clusters.npy")
        runs.write_json(kept, measures.agreement(collection.labels, clusters, cell.seed, resamples=200))
    return dict(json.loads(kept.read_text()))


def study(
    plan: list[Fit], seen: dict[Block, np.ndarray], collections: dict[int, data.Collection], column: str, out: Path
) -> list[dict[str, Any]]:
    """Every cell of the plan; the report in ``out/column``, for the fits are the same whatever labels they are held against."""
    rows: list[dict[str, Any]] = []
    for cell in tqdm(plan, "study", unit="fit", disable=None):
        collection = collections[cell.config.size]
        rows.append(run_cell(cell, seen, collection, out) | agreed(cell, collection, column, out))
        if len(rows) % 8 == 0 or len(rows) == len(plan):
            tables.report(rows, out / column, OURS)
    return rows


@app.command()
@commands.one_sentence_errors
def main(
    folders: commands.Data,
    out: commands.Out,
    labels: commands.Labels = None,
    label_column: commands.LabelColumn = "label",
    seeds: Annotated[int, typer.Option(help="Seeds of the default configuration.", min=1)] = 5,
    weights: Annotated[str, typer.Option(help="Values of lambda for the ablation, separated by commas.")] = "0.1,0.5,0.9",
    k_range: Annotated[str, typer.Option("--k", help="From-to numbers of clusters.")] = "2-9",
    few: Annotated[str, typer.Option(help="Numbers of clusters for variants and seeds, such as 2,6,9; all without it.")] = "",
    epochs: Annotated[int | None, typer.Option(help="Pre-training epochs of the paper's configuration.", min=1)] = None,
    max_iterations: Annotated[int | None, typer.Option(help="Cap on the paper configuration's iterations.", min=1)] = None,
    size: Annotated[int, typer.Option(help="Side of the paper configuration's pictures, a multiple of 8.", min=16)] = 128,
    batch: Annotated[int, typer.Option(help="Mini-batch of the paper's configuration.", min=1)] = 128,
    only: Annotated[str, typer.Option(help='Configurations, separated by commas, such as "paper,content + gram".')] = "",
    threads: commands.Threads = 0,
) -> None:
    """Run, or go on with, the whole comparison."""
    try:
        first, last = (int(part) for part in k_range.split("-"))
        chosen = [float(part) for part in weights.split(",")]
        ks = list(range(first, last + 1))
        fewer = [k for k in ks if k in [int(part) for part in few.split(",")]] if few else ks
    except ValueError:
        raise TrainingError("--k takes a range such as 2-9, --few numbers such as 2,6,9, --weights such as 0.1,0.5") from None
    if not (2 <= first <= last and all(0 <= weight <= 1 for weight in chosen) and size % 8 == 0):
        raise TrainingError("--k starts at 2 or more, --weights lie in 0..1, --size is a multiple of 8")
    names = {name.strip() for name in only.split(",")} if only else {"paper", *VARIANTS}
    if names - {"paper", *VARIANTS}:
        raise TrainingError(f"--only {only}: choose among {', '.join(('paper', *VARIANTS))}")
    commands.limit_threads(threads)
    changed = {"pretrain_epochs": epochs, "max_iterations": max_iterations}
    paper = dataclasses.replace(PAPER, size=size, batch=batch, **{name: value for name, value in changed.items() if value})
    collections = {
        s: data.load(folders, s, labels=labels, column=label_column, cache=out.parent / "cache") for s in {size, DEFAULT.size}
    }
    works = len(collections[size].ids)
    data.check_enough(works, last)
    plan = [cell for cell in cells(ks, fewer, chosen, seeds, paper, DEFAULT) if cell.name in names]
    settings = {"paper": dataclasses.asdict(paper), "default": dataclasses.asdict(DEFAULT), "works": works}
    runs.open_run(out, {"data": [folder.name for folder in folders], **settings})
    seen = inputs(paper, DEFAULT, collections, out)
    study(plan, seen, collections, label_column if labels else "unlabelled", out)
    typer.echo((out / (label_column if labels else "unlabelled") / "tables.md").read_text())


if __name__ == "__main__":
    app()
