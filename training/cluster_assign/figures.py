"""The paper's figures: metric against k (2-5), t-SNE coloured by cluster (9), sample works of each cluster (6-8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from sklearn.manifold import TSNE

from training.common import plots


def against_k(rows: Sequence[Mapping[str, object]], metrics: Mapping[str, str], path: Path, *, by: str = "method") -> None:
    """One panel per metric (column -> axis label), one line per value of ``by``; rows with the same k are averaged."""
    figure, axes = plt.subplots(1, len(metrics), figsize=(4.6 * len(metrics), 3.6), squeeze=False, layout="constrained")
    for axis, (column, label) in zip(axes[0], metrics.items(), strict=True):
        for name in dict.fromkeys(str(row[by]) for row in rows):
            mine = [row for row in rows if str(row[by]) == name and row.get(column) is not None]
            ks = sorted({int(str(row["k"])) for row in mine})
            means = [np.mean([float(str(row[column])) for row in mine if row["k"] == k]) for k in ks]
            axis.plot(ks, means, marker="o", label=f"λ = {name}" if by == "lambda" else name)
        axis.set(xlabel="number of clusters k", ylabel=label)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    plots.save(figure, path)


def tsne(embedding: np.ndarray, clusters: np.ndarray, path: Path, seed: int, labels: np.ndarray | None = None) -> None:
    """t-SNE of the embedding, coloured by cluster, and beside it by label where there are labels."""
    points = TSNE(perplexity=min(30, (len(embedding) - 1) / 3), random_state=seed, init="pca").fit_transform(embedding)
    colourings = {"cluster": clusters.astype(str)} | ({"label": labels} if labels is not None else {})
    figure, axes = plt.subplots(1, len(colourings), figsize=(6 * len(colourings), 5.2), squeeze=False)
    for axis, (title, values) in zip(axes[0], colourings.items(), strict=True):
        for value in np.unique(values):
            chosen = values == value
            axis.scatter(*points[chosen].T, s=9, label=f"{value or 'none'} ({chosen.sum()})")
        axis.set(title=f"t-SNE of the embedding by {title}", xlabel="t-SNE 1", ylabel="t-SNE 2")
        axis.legend(fontsize=7, markerscale=2)
    plots.save(figure, path)


def samples(pixels: np.ndarray, q: np.ndarray, distance: np.ndarray, path: Path, *, columns: int = 12) -> None:
    """A row a cluster: half the works nearest its centroid, half spread evenly over the rest of it."""
    clusters, pictures, captions, colours = q.argmax(axis=1), [], [], []
    for cluster in range(q.shape[1]):
        members = np.flatnonzero(clusters == cluster)
        members = members[np.argsort(distance[members, cluster], kind="stable")]
        near, rest = members[: columns // 2], members[columns // 2 :]
        spread = rest[np.linspace(0, len(rest) - 1, min(len(rest), columns - len(near))).astype(int)] if len(rest) else rest
        row = [*near, *spread]
        pictures += [pixels[i] for i in row] + [np.full_like(pixels[0], 255)] * (columns - len(row))
        captions += [f"{cluster}: q {q[i, cluster]:.2f}" for i in row] + [""] * (columns - len(row))
        colours += ["tab:blue"] * len(near) + ["black"] * (columns - len(near))
    plots.contact_sheet(pictures, captions, path, columns=columns, colours=colours)
