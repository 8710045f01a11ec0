"""The tables and figures of a study, from its rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from training.cluster_assign import figures
from training.cluster_assign.config import PAPER
from training.common import runs

ROWS = "rows.json"


def report(rows: list[dict[str, Any]], out: Path, ours: str) -> None:
    """Write ``rows.json``, ``tables.md`` and the figures; the paper's configuration and ``ours`` have every method."""
    runs.write_json(out / ROWS, rows)
    labelled = "nmi" in rows[0]
    axes = {"silhouette": "silhouette", "calinski_harabasz": "Calinski-Harabasz"} | (
        {"acc": "ACC", "nmi": "NMI"} if labelled else {}
    )
    paper = [row for row in rows if row["name"] == "paper"]
    main = [row for row in paper if row["lambda"] == PAPER.reconstruction_weight]
    if main:
        figures.against_k(main, axes, out / "paper_methods.png")
    default = [row for row in rows if row["name"] == ours]
    if default:
        figures.against_k(default, axes, out / "default_methods.png")
    dcec = [row for row in rows if row["method"] == "dcec" and row["lambda"] == PAPER.reconstruction_weight]
    if dcec:
        figures.against_k(dcec, axes, out / "configurations.png", by="name")
    ablation = [row for row in paper if row["method"] == "dcec"]
    if len({row["lambda"] for row in ablation}) > 1:
        figures.against_k(ablation, {**axes, "iterations": "iterations"}, out / "ablation.png", by="lambda")
    with runs.whole(out / "tables.md") as temporary:
        temporary.write_text(_tables(rows), encoding="utf-8")


def _tables(rows: list[dict[str, Any]]) -> str:
    """One table a measure: a row for each configuration, method and lambda; a column for each k; mean and spread over seeds."""
    ks = sorted({row["k"] for row in rows})
    groups = list(dict.fromkeys((row["name"], row["method"], row["lambda"]) for row in rows))
    lines: list[str] = []
    for measure in ("silhouette", "calinski_harabasz", "acc", "nmi", "ari", "iterations", "settled"):
        if not any(measure in row for row in rows):
            continue
        lines += [f"### {measure}", "", "| configuration | method | λ | " + " | ".join(f"k={k}" for k in ks) + " | mean |"]
        lines.append("|---" * (len(ks) + 4) + "|")
        for group in groups:
            mine = [row for row in rows if (row["name"], row["method"], row["lambda"]) == group]
            found = [[row[measure] for row in mine if row["k"] == k and row.get(measure) is not None] for k in ks]
            texts = [_mean(values) for values in found]
            every = [value for values in found for value in values]
            lines.append(f"| {group[0]} | {group[1]} | {group[2]:g} | {' | '.join(texts)} | {_mean(every, spread=False)} |")
        lines.append("")
    return "\n".join([*lines, *_agreement(rows)]) + "\n"


def _agreement(rows: list[dict[str, Any]]) -> list[str]:
    """For two groups, for as many as there are labels and for the most, of the first seed: intervals, and chance."""
    if "nmi" not in rows[0]:
        return []
    ks = sorted({row["k"] for row in rows})
    wanted = {ks[0], ks[-1], rows[0]["label_values"]}
    title = f"### agreement with {rows[0]['label_values']} labels of {rows[0]['labelled']} works"
    lines = [title, "", "In brackets: 95 % bootstrap interval; mean under shuffled labels.", ""]
    lines += ["| configuration | method | λ | k | ACC | NMI | ARI |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        if row["k"] in wanted and row["seed"] == 0:
            texts = []
            for name in ("acc", "nmi", "ari"):
                low, high = row[f"{name}_interval"]
                texts.append(f"{row[name]:.3f} ({low:.3f} to {high:.3f}; {row[f'{name}_chance']:.3f})")
            lines.append(f"| {row['name']} | {row['method']} | {row['lambda']:g} | {row['k']} | {' | '.join(texts)} |")
    return lines


def _mean(values: list[float], *, spread: bool = True) -> str:
    if not values:
        return ""
    digits = 0 if max(map(abs, values)) > 10 else 3
    text = f"{np.mean(values):.{digits}f}"
    return text + (f" ± {np.std(values, ddof=1):.{digits}f}" if spread and len(values) > 1 else "")
