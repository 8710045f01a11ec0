"""Pictures that people look at: each function writes one file, whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np

from training.common import runs

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.figure import Figure


def save(figure: Figure, path: Path) -> None:
    """Write PNG or SVG by the suffix and close the figure."""
    with runs.whole(path) as temporary:
        figure.savefig(temporary, dpi=120, bbox_inches="tight")
    plt.close(figure)


def curves(history: Sequence[Mapping[str, float]], path: Path, panels: Mapping[str, Sequence[str]]) -> None:
    """One panel per entry of ``panels`` (y label -> the columns of the history drawn in it), epochs along x."""
    figure, axes = plt.subplots(1, len(panels), figsize=(5 * len(panels), 3.6), squeeze=False)
    for axis, (label, columns) in zip(axes[0], panels.items(), strict=True):
        for column in columns:
            points = [(row["epoch"], row[column]) for row in history if column in row]
            axis.plot(*zip(*points, strict=True) if points else ([], []), label=column)
        axis.set(xlabel="epoch", ylabel=label)
        axis.legend()
        axis.grid(alpha=0.3)
    save(figure, path)


def confusion_matrix(counts: np.ndarray, names: Sequence[str], path: Path) -> None:
    """``counts`` int [true, predicted]; cells show counts, colour shows the share of the row."""
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, axis = plt.subplots(figsize=(1.2 + 0.75 * len(names), 1 + 0.7 * len(names)))
    drawn = axis.imshow(share, vmin=0, vmax=1, cmap="Blues")
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = "white" if share[row, column] > 0.5 else "black"
            axis.text(column, row, str(count), ha="center", va="center", color=colour)
    axis.set(xlabel="predicted", ylabel="true", xticks=range(len(names)), yticks=range(len(names)))
    axis.set_xticklabels(names, rotation=40, ha="right")
    axis.set_yticklabels(names)
    figure.colorbar(drawn, label="share of the true class", fraction=0.046)
    save(figure, path)


def contact_sheet(
    pictures: Sequence[np.ndarray],
    captions: Sequence[str],
    path: Path,
    *,
    columns: int = 8,
    colours: Sequence[str] | None = None,
) -> None:
    """A grid of pictures (uint8 [h, w, 3] or [h, w]) under their captions; ``colours`` are the captions' colours."""
    rows = max(1, -(-len(pictures) // columns))
    figure, axes = plt.subplots(rows, columns, figsize=(1.7 * columns, 1.95 * rows), squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for index, (axis, picture, caption) in enumerate(zip(axes.flat, pictures, captions, strict=False)):
        axis.imshow(picture, cmap="gray" if picture.ndim == 2 else None, vmin=0, vmax=255)
        axis.set_title(caption, fontsize=7, color=colours[index] if colours else "black")
    save(figure, path)
