"""What the paper could not do, each measured against its configuration on the same works, in one table.

    python -m training.classify.table --data types/labels.csv --masks exported_models/remove_background/0.3.0 --out RUN

Writes ``RUN/table.json``, ``table.md`` and ``table.png``. Every row's held-out logits are kept in ``RUN/rows``; a killed run
goes on with the next row. What each row costs, and what came out: README, "What the paper could not do".
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from scipy import stats

from services.common import models
from training.classify import data as datasets
from training.classify import scores
from training.classify.backbones import BACKBONES, WeightsUnavailable
from training.classify.bench import FROZEN, PAPER, Bench, Settings
from training.classify.train import fail
from training.common import plots, runs


def interval(values: np.ndarray) -> dict[str, float | None]:
    """Mean and half the width of its 95 % interval by Student's t; one value has none."""
    if len(values) < 2:
        return {"mean": float(values.mean()), "half": None}
    half = float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return {"mean": float(values.mean()), "half": half}


def score(bench: Bench, answers: Mapping[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """Per row: fold means with intervals, the difference from the paper's on the same folds, and all photographs pooled."""
    names = [label.id for label in bench.set.labels]

    def by_fold(logits: np.ndarray, key: str) -> np.ndarray:
        done = [number for number in np.unique(bench.fold) if np.isfinite(logits[bench.fold == number]).all()]
        tests = [bench.fold == number for number in done]
        return np.array([scores.summary(logits[test], bench.accepted[test], names)[key] for test in tests])

    table = {}
    for name, logits in answers.items():
        done = np.isfinite(logits).all(1)
        row: dict[str, Any] = {"pooled": scores.summary(logits[done], bench.accepted[done], names)}
        for key in ("accuracy", "macro_f1"):
            values = by_fold(logits, key)
            row["folds"] = len(values)
            row[key] = interval(values)
            row[f"{key}_over_paper"] = interval(values - by_fold(answers[PAPER], key)[: len(values)])
        table[name] = row
    return table


def views(bench: Bench, logits: np.ndarray) -> dict[str, Any]:
    """Photographs of works with several: one at a time, and with the mean probability of the work's photographs.

    Only works under one label are taken, and near duplicates count as views: few sets here hold true views.
    """
    probabilities, averaged = scores.probabilities(logits), np.zeros_like(logits)
    several = np.zeros(len(logits), bool)
    for work in np.unique(bench.set.works):
        of_work = bench.set.works == work
        averaged[of_work] = probabilities[of_work].mean(0)
        several[of_work] = of_work.sum() > 1 and len(np.unique(bench.accepted[of_work], axis=0)) == 1
    if not several.any():
        return {"photographs": 0}
    alone = scores.correct(probabilities[several], bench.accepted[several]).astype(float)
    together = scores.correct(averaged[several], bench.accepted[several]).astype(float)
    works = bench.set.works[several]
    mean = np.array([[alone[works == work].mean(), together[works == work].mean()] for work in np.unique(works)])
    return {
        "works": len(mean),
        "photographs": int(several.sum()),
        "alone": interval(mean[:, 0]),
        "averaged": interval(mean[:, 1]),
        "gain": interval(mean[:, 1] - mean[:, 0]),
    }


def markdown(table: Mapping[str, Mapping[str, Any]], rows: Mapping[str, tuple[str, Any]]) -> str:
    """The table as it stands in the README."""

    def cell(value: Mapping[str, float], sign: str = "") -> str:
        return f"{value['mean']:{sign}.3f} ± {value['half']:.3f}"

    lines = [
        "| configuration | accuracy | over the paper's | macro F1 | over the paper's | folds |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in table.items():
        cells = [cell(row["accuracy"]), cell(row["accuracy_over_paper"], "+")]
        cells += [cell(row["macro_f1"]), cell(row["macro_f1_over_paper"], "+")]
        if name == PAPER:
            cells[1] = cells[3] = ""
        lines.append(f"| {rows[name][0]} | {' | '.join(cells)} | {row['folds']} |")
    return "\n".join(lines) + "\n"


def draw(table: Mapping[str, Mapping[str, Any]], rows: Mapping[str, tuple[str, Any]], path: Path) -> None:
    """Both figures of every row with their intervals."""
    figure, axes = plots.plt.subplots(1, 2, figsize=(11, 0.45 * len(table) + 1.2), sharey=True)
    places = np.arange(len(table))[::-1]
    for axis, (key, label) in zip(axes, {"accuracy": "accuracy", "macro_f1": "macro F1"}.items(), strict=True):
        values = [row[key] for row in table.values()]
        axis.errorbar([v["mean"] for v in values], places, xerr=[v["half"] for v in values], fmt="o", capsize=3)
        axis.axvline(table[PAPER][key]["mean"], color="grey", linestyle="dotted")
        axis.set(xlabel=f"{label}, mean of the folds and its 95 % interval")
        axis.grid(alpha=0.3)
    axes[0].set_yticks(places, [f"{rows[name][0]} ({row['folds']} folds)" for name, row in table.items()])
    plots.save(figure, path)


def main(
    data: Annotated[Path, typer.Option(help="labelled photographs, as `train` takes them")],
    masks: Annotated[Path, typer.Option(help="an exported bundle of remove_background")],
    out: Annotated[Path, typer.Option(help="the run folder")],
    backbone: Annotated[str, typer.Option(help=f"one of {', '.join(BACKBONES)}")] = Settings.backbone,
    epochs: Annotated[int, typer.Option(min=1, help="the paper's 100")] = Settings.epochs,
    size: Annotated[int, typer.Option(min=32, help="side of the input, pixels, a multiple of 32")] = Settings.size,
    sizes: Annotated[str, typer.Option(help="sizes the search chooses among")] = ",".join(map(str, Settings.sizes)),
    draws: Annotated[int, typer.Option(min=1, help="draws of TrivialAugmentWide")] = Settings.draws,
    trials: Annotated[int, typer.Option(min=1, help="of Optuna in each fold")] = Settings.trials,
    folds: Annotated[int, typer.Option(min=3, help="cross-validation folds")] = Settings.folds,
    fine_size: Annotated[int, typer.Option(min=32, help="side of the input for fine-tuning")] = Settings.fine_size,
    fine_folds: Annotated[int, typer.Option(min=2, help="folds that are fine-tuned")] = Settings.fine_folds,
    only: Annotated[list[str] | None, typer.Option(help="measure these rows; the table holds what is there")] = None,
) -> None:
    """Measure every row that is not there yet, and write the table."""
    torch.set_num_threads(1)
    if backbone not in BACKBONES:
        fail(f"--backbone {backbone}: choose one of {', '.join(BACKBONES)}")
    try:
        choices = tuple(int(part) for part in sizes.split(","))
    except ValueError:
        fail(f"--sizes {sizes}: give numbers with commas, such as 128,160")
    settings = Settings(backbone, size, choices, folds, 0, epochs, draws, trials, fine_size, min(fine_folds, folds))
    try:
        runs.open_run(out, {**asdict(settings), "data": str(data)})
        bench = Bench(data, masks, out, settings)
        rows, answers = bench.rows(), {}
        if unknown := set(only or ()) - rows.keys():
            fail(f"--only {', '.join(sorted(unknown))}: choose among {', '.join(rows)}")
        for name, (_, measure) in rows.items():
            kept = out / "rows" / f"{name}.npz"
            if not kept.exists() and (not only or name in only):
                began = time.process_time()
                logits = measure()
                with runs.whole(kept) as temporary:
                    np.savez(temporary, logits=logits, seconds=time.process_time() - began)
            if kept.exists():
                with np.load(kept) as stored:
                    answers[name] = stored["logits"]
    except (datasets.DataError, WeightsUnavailable, runs.RunError, models.BundleError) as error:
        fail(str(error))
    if PAPER not in answers:
        fail(f"{out}: the row {PAPER!r} comes first: every other is measured against it")
    table = score(bench, answers)
    found = {"settings": asdict(settings), "photographs": len(bench.set.photos), "works": len(set(bench.set.works.tolist()))}
    found |= {"rows": table, "views": views(bench, answers.get(FROZEN, answers[PAPER]))}
    runs.write_json(out / "table.json", found)
    text = markdown(table, rows)
    with runs.whole(out / "table.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    draw(table, rows, out / "table.png")
    typer.echo(text)


if __name__ == "__main__":
    typer.run(main)
