"""A folder of pictures of works -> :class:`Collection`: ids, pixels, and labels where the user has them."""

from __future__ import annotations

import csv
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from services.common.images import ResizeRule
from training.cluster_assign.config import TrainingError
from training.common import photographs

RESIZE = ResizeRule.SQUASH  # DCEC-Paint, section IV.A: every painting is resized to the square, whatever its shape
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Collection:
    """``ids``: n file names relative to the folder, with forward slashes; ``pixels``: uint8 RGB [n, size, size, 3].

    ``labels`` holds n strings, "" where a work has none; None without a label file. ``skipped`` maps file -> why.
    """

    ids: np.ndarray
    pixels: np.ndarray
    labels: np.ndarray | None
    skipped: dict[str, str]


def load(
    folders: list[Path], size: int, *, labels: Path | None = None, column: str = "label", cache: Path | None = None
) -> Collection:
    """Read every picture below ``folders``; leave out exact duplicates and unreadable files, with a warning for each.

    With several folders each id starts with its folder's name. Raises :class:`TrainingError`.
    """
    paths: list[Path] = []
    names: dict[Path, str] = {}
    for folder in folders:
        if not folder.is_dir():
            raise TrainingError(f"{folder}: there is no such folder")
        for path in photographs.find(folder):
            prefix = f"{folder.name}/" if len(folders) > 1 else ""
            names[path] = prefix + path.relative_to(folder).as_posix()
            paths.append(path)
    skipped = {names[copy]: f"the same bytes as {names[kept]}" for copy, kept in photographs.duplicates(paths).items()}
    paths = [path for path in paths if names[path] not in skipped]
    pixels, unreadable = photographs.load(paths, (size, size), RESIZE, cache=cache)
    skipped |= {names[path]: why for path, why in unreadable}
    for name, why in skipped.items():
        logger.warning("%s is left out: %s", name, why)
    bad = {path for path, _ in unreadable}
    ids = np.array([names[path] for path in paths if path not in bad], str)
    if not len(ids):
        raise TrainingError(f"{', '.join(map(str, folders))}: no readable picture below it")
    return Collection(ids, pixels, read_labels(labels, column, ids) if labels else None, skipped)


def check_enough(works: int, k: int) -> None:
    """Raise :class:`TrainingError` when ``works`` cannot fill ``k`` clusters of two (a silhouette needs two works)."""
    if works < 2 * k:
        raise TrainingError(
            f"{works} readable works cannot fill {k} clusters; give at least {2 * k} works or choose a smaller --k"
        )


def read_labels(path: Path, column: str, ids: np.ndarray) -> np.ndarray:
    """``column`` of a CSV whose ``file`` column holds the ids."""
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    except OSError as error:
        raise TrainingError(f"{path}: {error.strerror}") from error
    if not rows or "file" not in rows[0] or column not in rows[0]:
        raise TrainingError(f"{path}: needs the columns `file` and `{column}`")
    found = {row["file"]: row[column] or "" for row in rows}
    labels = np.array([found.get(name) or found.get(name.split("/", 1)[-1]) or "" for name in ids], str)
    if not (labels != "").any():
        raise TrainingError(f"{path}: its `file` column names none of the pictures (such as {ids[0]})")
    return labels
