"""Pictures of the plane: where the groups lie, what lies between, and what training did."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from PIL import Image
from scipy import stats

from training.common import plots

COLOURS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#f0e442",
    "#000000",
)  # Okabe and Ito: colour-blind safe


def _frame(axis: Axes, scale: float, reach: float) -> None:
    for sigmas in (1, 2, 3):
        axis.add_patch(plt.Circle((0, 0), sigmas * scale, fill=False, color="0.6", lw=0.8, ls=":"))
    axis.set(xlim=(-reach, reach), ylim=(-reach, reach), xlabel="latent 1", ylabel="latent 2")
    axis.set_aspect("equal")


def contours(axis: Axes, points: np.ndarray, colour: str) -> None:
    """Density of ``points`` [n, 2] as lines holding 50 and 90 % of it; nothing where they are too few or on a line."""
    if len(points) < 5 or np.linalg.matrix_rank(np.cov(points.T), tol=1e-6) < 2:
        return
    density = stats.gaussian_kde(points.T)
    (x0, x1), (y0, y1) = axis.get_xlim(), axis.get_ylim()
    x, y = np.mgrid[x0:x1:90j, y0:y1:90j]
    height = density(np.stack([x.ravel(), y.ravel()])).reshape(x.shape)
    levels = np.unique(np.quantile(density(points.T), [0.1, 0.5]))
    axis.contour(x, y, height, levels=levels, colors=colour, linewidths=1.3)


def plane(
    latents: np.ndarray, labels: np.ndarray, names: Sequence[str], path: Path, scale: float, *, held: np.ndarray | None = None
) -> None:
    """All groups in one panel and each in its own: float [n, 2], int [n]; ``held`` (indices) are drawn as stars.

    Dotted circles stand at one, two and three sigmas of the prior; contours hold 50 and 90 % of a group's density.
    """
    reach = max(3.3 * scale, 1.05 * float(np.abs(latents[:, :2]).max()))
    figure, axes = plt.subplots(1, len(names) + 1, figsize=(4.2 * (len(names) + 1), 4.2), squeeze=False)
    apart = np.zeros(len(latents), bool)
    apart[held if held is not None else []] = True
    for index, axis in enumerate(axes[0]):
        _frame(axis, scale, reach)
        axis.set_title("all" if index == 0 else names[index - 1])
        for group, name in enumerate(names):
            ours, colour = labels == group, COLOURS[group % len(COLOURS)]
            faint = index not in (0, group + 1)
            for chosen, marker, size in ((ours & ~apart, ".", 14), (ours & apart, "*", 34)):
                axis.scatter(
                    *latents[chosen].T[:2],
                    c="0.85" if faint else colour,
                    marker=marker,
                    s=size,
                    lw=0,
                    zorder=1 if faint else 2,
                    label=name if marker == "." and not index else None,
                )
            if index == group + 1:
                contours(axis, latents[ours], colour)
    axes[0][0].legend(fontsize=7, loc="upper right", title="· trained  ★ held out" if apart.any() else None, title_fontsize=7)
    plots.save(figure, path)


def history(rows: Sequence[dict[str, float]], folder: Path) -> None:
    """``losses.png`` and ``spread.png`` from the rows of a run."""
    losses = {
        "loss": [
            name for name in ("reconstruction", "discriminator", "match", "plane_labels") if any(name in row for row in rows)
        ]
    }
    if any("discriminator_accuracy" in row for row in rows):
        losses["discriminator accuracy"] = ["discriminator_accuracy"]
    plots.curves(rows, folder / "losses.png", losses)
    plots.curves(
        rows,
        folder / "spread.png",
        {
            "latent spread (wanted: 5)": ["spread_x", "spread_y"],
            "farthest point": ["farthest"],
            "effective rank": ["effective_rank"],
            "distance": ["ks_radius"],
        },
    )


def reconstructions(pictures: np.ndarray, decoded: np.ndarray, captions: Sequence[str], path: Path) -> None:
    """Sixteen pairs at most, the picture above what the plane remembers of it."""
    count = min(16, len(pictures))
    shown = [*pictures[:count], *decoded[:count]]
    plots.contact_sheet(shown, [*captions[:count], *["decoded"] * count], path, columns=count)


def grid(decoded: np.ndarray, reach: float, path: Path) -> None:
    """uint8 [k, k, h, w, 3], rows from high to low latent 2: what the decoder draws over the plane."""
    count = len(decoded)
    picture = np.concatenate([np.concatenate(list(row), axis=1) for row in decoded], axis=0)
    figure, axis = plt.subplots(figsize=(9, 9))
    axis.imshow(picture, extent=(-reach, reach, -reach, reach))
    axis.set(xlabel="latent 1", ylabel="latent 2", title=f"decoded at {count} x {count} points of the plane")
    plots.save(figure, path)


def groups_on_plane(latents: np.ndarray, groups: np.ndarray, folder: Path, scale: float) -> list[Path]:
    """One file per group: its points and contours over all others in grey."""
    written = []
    reach = max(3.3 * scale, 1.05 * float(np.abs(latents[:, :2]).max()))
    for number, name in enumerate(sorted(set(groups.tolist()))):
        figure, axis = plt.subplots(figsize=(5, 5))
        _frame(axis, scale, reach)
        ours = groups == name
        axis.scatter(*latents[~ours].T[:2], c="0.85", s=12, lw=0)
        axis.scatter(*latents[ours].T[:2], c=COLOURS[number % len(COLOURS)], s=18, lw=0)
        contours(axis, latents[ours, :2], COLOURS[number % len(COLOURS)])
        axis.set_title(f"{name} (n = {ours.sum()})")
        path = folder / f"group-{number + 1:02d}.png"
        plots.save(figure, path)
        written.append(path)
    return written


def shrink(pictures: np.ndarray, side: int) -> np.ndarray:
    """uint8 [n, h, w, 3] -> uint8 [n, side, side, 3], antialiased."""
    return np.stack([np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BOX)) for picture in pictures])
