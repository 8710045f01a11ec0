"""What ``photogrammetry`` found, as a table, as an answer to each target, and as a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from matplotlib import pyplot as plt

from training.common import plots

Column = dict[str, dict[str, Any]]
# Share of the matching time that masks must save, and millimetres that count as no farther.
SAVED, SAME_MM = 0.5, 0.005
# The paper's two columns; the limit beside them.
BEFORE, AFTER, LIMIT = "without masks", "our masks", "perfect masks"


def column(folder: Path) -> Column:
    """What each step of one reconstruction wrote."""
    return {step: json.loads((folder / f"{step}.json").read_text()) for step in ("features", "matching", "mapping", "cloud")}


def table(found: Mapping[str, Column], views: int) -> str:
    """Markdown, one row a quantity; the change is that of the paper, from without masks to with the service's."""
    rows = [
        (f"cameras aligned, of {views}", "mapping", "aligned", "d"),
        ("features", "features", "features", "d"),
        ("feature time, CPU s", "features", "cpu_seconds", ".1f"),
        ("matching time, CPU s", "matching", "cpu_seconds", ".1f"),
        ("mapping (alignment) time, CPU s", "mapping", "cpu_seconds", ".1f"),
        ("all three, CPU s", "all", "cpu_seconds", ".1f"),
        ("feature memory, MiB", "features", "peak_mib", ".0f"),
        ("matching memory, MiB", "matching", "peak_mib", ".0f"),
        ("mapping memory, MiB", "mapping", "peak_mib", ".0f"),
        ("points on the object", "cloud", "on", "d"),
        ("points off it", "cloud", "off", "d"),
        ("object's points to the mesh, median mm", "cloud", "distance_median_mm", ".2f"),
        ("the same, mean mm", "cloud", "distance_mean_mm", ".2f"),
        ("the same, 90 % within mm", "cloud", "distance_90_mm", ".2f"),
        ("the same, median mm after a best fit", "cloud", "fitted_median_mm", ".2f"),
        (f"cameras within 5 cm of where they were, of {views}", "cloud", "cameras_in_place", "d"),
        ("object's points found by these alone", "cloud", "on_in_place", "d"),
        ("these to the mesh, median mm", "cloud", "distance_in_place_median_mm", ".2f"),
        ("cameras to where they were, median mm", "cloud", "camera_error_mm", ".2f"),
    ]
    lines = [f"| | {BEFORE} | {AFTER} | change | {LIMIT} |", "|---|---|---|---|---|"]
    for label, step, key, form in rows:
        before, after, limit = (_value(found[name], step, key) for name in (BEFORE, AFTER, LIMIT))
        change = f"{100 * (after / before - 1):+.1f} %" if before and after is not None else ""
        cells = ["" if each is None else format(each, form) for each in (before, after, limit)]
        lines.append(f"| {label} | {cells[0]} | {cells[1]} | {change} | {cells[2]} |")
    return "\n".join(lines) + "\n"


def _value(of: Column, step: str, key: str) -> Any:
    """None where there is none: a reconstruction that failed has no distances."""
    return sum(of[each][key] for each in ("features", "matching", "mapping")) if step == "all" else of[step].get(key)


def verdict(record: Mapping[str, Any]) -> str:
    """A sentence about the masks, and one for each target."""
    masks = record["columns"][AFTER]["masks"]
    mean, lowest = (f"{100 * masks[key]:.1f} %" for key in ("dice_mean", "dice_lowest"))
    photographs = f"{record['views']} photographs of {record['size']} x {record['height']}"
    lines = [f"Masks of {record['model_version']}: Dice {mean} in the mean, {lowest} at the least; {photographs}."]
    lines += [f"{target}: {'met' if answer['met'] else 'missed'}." for target, answer in record["targets"].items()]
    return "\n".join(f"- {line}" for line in lines) + "\n"


def targets(found: Mapping[str, Column], views: int) -> dict[str, dict[str, Any]]:
    """What masks must do, what they did, and whether that is enough."""
    before, after = found[BEFORE], found[AFTER]
    saved = 1 - after["matching"]["cpu_seconds"] / before["matching"]["cpu_seconds"]
    near = [of["cloud"].get("distance_median_mm", float("inf")) for of in (before, after)]
    aligned = [of["mapping"]["aligned"] for of in (before, after)]
    return {
        "matching time, at least 50 % less": {"saved": saved, "met": saved >= SAVED},
        "cameras aligned, not fewer": {"of": views, "before": aligned[0], "after": aligned[1], "met": aligned[1] >= aligned[0]},
        "object's points, median no farther from the mesh": {
            "before_mm": near[0] if near[0] < np.inf else None,
            "after_mm": near[1] if near[1] < np.inf else None,
            "met": near[1] <= near[0] + SAME_MM,
        },
    }


def picture(folders: Mapping[str, Path], scene: Path, path: Path) -> None:
    """The clouds from one side, a column each: all of it in its colours, and the object's points by their distance."""
    mesh = trimesh.load_mesh(scene / "object.ply")
    low, high = mesh.bounds
    reach = float((high - low).max())
    figure, axes = plt.subplots(2, len(folders), figsize=(4.2 * len(folders), 8.4), squeeze=False, layout="constrained")
    drawn = None
    for (name, folder), (far, near) in zip(folders.items(), axes.T, strict=True):
        far.set_title(name)
        for axis, margin in ((far, 1.1 * reach), (near, 0.06 * reach)):
            centre = (low + high) / 2
            axis.set(xlim=(centre[0] - reach / 2 - margin, centre[0] + reach / 2 + margin), xlabel="x, m", ylabel="y, m")
            axis.set(ylim=(centre[1] - reach / 2 - margin, centre[1] + reach / 2 + margin), aspect="equal")
        if not (folder / "cloud.npz").exists():
            continue
        with np.load(folder / "cloud.npz") as kept:
            xyz, rgb, on, distance = (kept[key] for key in ("xyz", "rgb", "on", "distance"))
        order = np.argsort(xyz[:, 2])
        far.scatter(xyz[order, 0], xyz[order, 1], s=1.5, c=rgb[order] / 255, linewidths=0)
        far.set_facecolor("0.85")
        drawn = near.scatter(xyz[on, 0], xyz[on, 1], s=4, c=1000 * distance[on], vmin=0, vmax=5, cmap="viridis", linewidths=0)
    if drawn is not None:
        figure.colorbar(drawn, ax=list(axes[1]), label="distance from the true mesh, mm", shrink=0.8)
    plots.save(figure, path)
