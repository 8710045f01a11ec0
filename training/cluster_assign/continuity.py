"""Keep a collection's cluster numbers when its model is trained again, and say what became of each old cluster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

from services.common import models
from training.cluster_assign.config import TrainingError

# A share of a cluster's works that counts as a part of it: below a quarter, works drift between neighbours at every training.
_PART = 0.25


@dataclass(frozen=True)
class Continuity:
    """``order[i]`` is the new model's cluster that gets number i; ``report`` goes to the manifest (see :func:`match`)."""

    order: np.ndarray
    report: dict[str, object]


def previous(bundle: Path) -> tuple[str, np.ndarray, np.ndarray]:
    """(embedding space, ids, clusters) of an earlier bundle. Raises :class:`TrainingError`."""
    try:
        manifest = models.Manifest.model_validate_json((bundle / models.MANIFEST).read_bytes())
        with np.load(bundle / "index.npz") as index:
            return manifest.embedding_space or "", index["ids"], index["clusters"]
    except (OSError, ValueError, KeyError) as error:
        raise TrainingError(f"{bundle}: not a bundle of cluster_assign with an index of its works") from error


def match(old_ids: np.ndarray, old: np.ndarray, new_ids: np.ndarray, new: np.ndarray, k: int) -> Continuity:
    """Hungarian match on the works that both models saw; ``old`` and ``new`` are int clusters in the order of their ids.

    ``report``: ``shared`` works; ``kept`` old number -> share of works that stayed; ``renumbered`` old -> new number where k
    shrank below the old one; ``split`` old number -> new numbers that got a quarter of it or more; ``merged`` new number -> old
    numbers of which it got a quarter or more; ``new`` numbers whose works come from no old cluster in that measure.
    """
    _, at_old, at_new = np.intersect1d(old_ids, new_ids, return_indices=True)
    old_k = int(old.max()) + 1 if len(old) else 0
    counts = np.zeros((old_k, k), int)
    np.add.at(counts, (old[at_old], new[at_new]), 1)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    pairs = {int(column): int(row) for row, column in zip(rows, columns, strict=True) if counts[row, column]}
    numbers = {column: row for column, row in pairs.items() if row < k}
    free = iter(sorted(set(range(k)) - set(numbers.values())))
    for column in range(k):
        if column not in numbers:
            numbers[column] = next(free)
    order = np.array(sorted(range(k), key=lambda column: numbers[column]))
    counts = counts[:, order]
    of_old = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    parts = {row: np.flatnonzero(of_old[row] >= _PART).tolist() for row in range(old_k)}
    origins = {number: [row for row in range(old_k) if number in parts[row]] for number in range(k)}
    report: dict[str, object] = {
        "shared": len(at_old),
        "kept": {str(row): round(float(of_old[row, row]), 4) for row in pairs.values() if row < k},
        "renumbered": {str(row): numbers[column] for column, row in pairs.items() if row >= k},
        "split": {str(row): found for row, found in parts.items() if len(found) > 1},
        "merged": {str(number): found for number, found in origins.items() if len(found) > 1},
        "new": [number for number, found in origins.items() if not found],
    }
    return Continuity(order, report)
