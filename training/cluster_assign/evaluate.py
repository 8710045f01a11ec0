"""Measure a finished run.

    python -m training.cluster_assign.evaluate --run RUN --labels data/paintings_masters/labels.csv

Writes ``metrics.json`` into the run folder and prints it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import typer

from training.cluster_assign import commands, data, measures
from training.cluster_assign.config import TrainingError
from training.cluster_assign.train import CHOICE, FEATURES, RESULT
from training.common import runs

METRICS = "metrics.json"
app = typer.Typer(add_completion=False)


def result_of(run: Path) -> dict[str, np.ndarray]:
    """ids [n], embedding [n, d], q [n, k], centroids [k, d], iterations, converged of a finished run."""
    if not (run / RESULT).exists():
        raise TrainingError(f"{run}: training has not finished there; run training.cluster_assign.train again to resume it")
    with np.load(run / RESULT) as stored:
        return {name: stored[name] for name in stored.files}


def evaluate(run: Path, labels: np.ndarray | None, seed: int) -> dict[str, Any]:
    """Everything measured on a run; ``labels`` as in :class:`data.Collection`."""
    result = result_of(run)
    clusters = result["q"].argmax(axis=1)
    measured: dict[str, Any] = {
        "works": len(clusters),
        "k": result["q"].shape[1],
        "sizes": np.bincount(clusters, minlength=result["q"].shape[1]).tolist(),
        "mean_confidence": float(result["q"].max(axis=1).mean()),
        "iterations": int(result["iterations"]),
        "converged": bool(result["converged"]),
        **measures.internal(result["embedding"], clusters),
    }
    history = runs.read_history(run / "pretrain")
    measured["pretrain_epochs"] = len(history)
    if (run / CHOICE).exists():
        measured["choice_of_k"] = json.loads((run / CHOICE).read_text())["table"]
    if labels is not None:
        measured |= measures.agreement(labels, clusters, seed)
        if (run / FEATURES).exists():
            blocks = commands.settings_of(run)[0].blocks
            with np.load(run / FEATURES) as stored:
                raw = dict(zip(blocks, [stored[name] for name in sorted(stored.files)], strict=True))
            measured["supervised"] = {block: measures.supervised(values, labels, seed) for block, values in raw.items()}
    return measured


@app.command()
@commands.one_sentence_errors
def main(run: commands.Run, labels: commands.Labels = None, label_column: commands.LabelColumn = "label") -> None:
    """Silhouette, Calinski-Harabasz and, with --labels, ACC, NMI and ARI with bootstrap intervals."""
    _, stored = commands.settings_of(run)
    found = data.read_labels(labels, label_column, result_of(run)["ids"]) if labels else None
    measured = evaluate(run, found, stored["seed"])
    runs.write_json(run / METRICS, measured)
    typer.echo(json.dumps(measured, indent=1))


if __name__ == "__main__":
    app()
