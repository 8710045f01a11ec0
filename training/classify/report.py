"""What the paper reports, as files: ``metrics.json``, ``confusion.png``, ``curves.png`` and ``predictions.png``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from services.common import images
from training.classify import scores
from training.common import plots, runs

_SHOWN = 96  # side of a picture on the sheet, pixels


def figures(probabilities: np.ndarray, accepted: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """``scores.summary`` and the paper's further averages.

    Macro: the plain mean over the types that occur. Micro: all answers pooled; with one answer a picture its precision, recall,
    F1 and the accuracy are one and the same number.
    """
    summary = scores.summary(probabilities, accepted, names)
    rows = summary["types"].values()
    micro = summary["accuracy"]
    return {
        **summary,
        "macro": {key: float(np.mean([row[key] for row in rows])) for key in ("precision", "recall", "f1")},
        "micro": {"precision": micro, "recall": micro, "f1": micro},
        "confusion": scores.confusion(probabilities, accepted).tolist(),
    }


def write(
    run: Path,
    probabilities: np.ndarray,
    accepted: np.ndarray,
    names: Sequence[str],
    pictures: np.ndarray,
    facts: Mapping[str, Any],
) -> dict[str, Any]:
    """``probabilities`` float [n, classes] of held-out ``pictures`` uint8 [n, h, w, 3]; ``facts`` go into metrics.json."""
    metrics = {**facts, **figures(probabilities, accepted, names)}
    plots.confusion_matrix(np.array(metrics["confusion"]), names, run / "confusion.png")
    history = runs.read_history(run)
    plots.curves(
        history,
        run / "curves.png",
        {"loss (nats)": ["train loss", "test loss"], "accuracy": ["train accuracy", "test accuracy"]},
    )
    _sheet(run / "predictions.png", probabilities, accepted, names, pictures)
    runs.write_json(run / "metrics.json", metrics)
    return metrics


def _sheet(path: Path, probabilities: np.ndarray, accepted: np.ndarray, names: Sequence[str], pictures: np.ndarray) -> None:
    """Up to 40 pictures drawn at random, of every type alike, so that the sheet shows what is usual."""
    truth, right = scores.truth(probabilities, accepted), scores.correct(probabilities, accepted)
    random = np.random.default_rng(0)
    each = max(1, 40 // len(names))
    chosen = [index for column in range(len(names)) for index in random.permutation(np.flatnonzero(truth == column))[:each]]
    captions = []
    for index in chosen:
        answer = f"{names[probabilities[index].argmax()]} {probabilities[index].max():.2f}"
        captions.append(answer if right[index] else f"{answer}\nis {names[truth[index]]}")
    shown = [images.resize(pictures[index], (_SHOWN, _SHOWN), images.ResizeRule.SQUASH) for index in chosen]
    colours = ["darkgreen" if right[index] else "firebrick" for index in chosen]
    plots.contact_sheet(shown, captions, path, colours=colours)


def text(metrics: Mapping[str, Any]) -> str:
    """The figures as lines of text."""
    macro = metrics["macro"]
    lines = [
        f"{metrics['photographs']} pictures: accuracy {metrics['accuracy']:.4f} (also micro precision, recall and F1)",
        f"macro precision {macro['precision']:.3f}, recall {macro['recall']:.3f}, F1 {macro['f1']:.3f}",
    ]
    lines += [
        f"  {name:16s} precision {row['precision']:.2f}  recall {row['recall']:.2f}  F1 {row['f1']:.2f}  of {row['support']}"
        for name, row in metrics["types"].items()
    ]
    return "\n".join(lines)
