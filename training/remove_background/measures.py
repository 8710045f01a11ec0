"""Measures of a mask: Dice, the boundary's F, and whether an empty scene was left empty."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from training.remove_background.sources import Source

THRESHOLD = 0.5
# A region that nowhere reaches this probability is no object when served: docs/decisions/0007 says what else was tried.
STRONG = 0.985
# The share of a scene up to which its mask counts as empty.
SPECK = 0.001


def dice(mask: np.ndarray, truth: np.ndarray) -> float:
    """2 TP / (2 TP + FP + FN) of two boolean masks (Bici et al. 2023, equation 2); 1 if both are empty."""
    total = np.count_nonzero(mask) + np.count_nonzero(truth)
    return 2 * np.count_nonzero(mask & truth) / total if total else 1.0


def boundary_f(mask: np.ndarray, truth: np.ndarray, reach: int = 2) -> float:
    """F1 of silhouette pixels that lie within ``reach`` pixels of the other's silhouette (Perazzi et al. 2016).

    1 if neither has any. The frame is not a silhouette: where an object is cut off by it there is no edge.
    """
    ours, theirs = _silhouette(mask), _silhouette(truth)
    if not ours.any() or not theirs.any():
        return float(ours.any() == theirs.any())
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    precision = np.count_nonzero(ours & (cv2.dilate(theirs.astype(np.uint8), disc) > 0)) / np.count_nonzero(ours)
    recall = np.count_nonzero(theirs & (cv2.dilate(ours.astype(np.uint8), disc) > 0)) / np.count_nonzero(theirs)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def is_empty(mask: np.ndarray) -> bool:
    return bool(mask.mean() <= SPECK)


def quick(network: object, held: Mapping[str, Source], side: int, most: int) -> dict[str, float]:
    """Mean Dice of each held-out set at the network's size, of at most ``most`` pictures evenly spaced; of ``empty``, the share
    left empty."""
    scores = {}
    for name, source in held.items():
        picks = np.unique(np.linspace(0, len(source) - 1, min(most, len(source))).astype(int))
        values = []
        for start in range(0, len(picks), 16):
            part = picks[start : start + 16]
            pixels = np.stack([cv2.resize(source.pixels[i], (side, side), interpolation=cv2.INTER_AREA) for i in part])
            answer = np.asarray(network.predict_on_batch(pixels.astype(np.float32)))[..., 0] >= THRESHOLD  # type: ignore[attr-defined]
            for mask, i in zip(answer, part, strict=True):
                truth = cv2.resize(source.masks[i], (side, side), interpolation=cv2.INTER_AREA) > 127
                values.append(float(is_empty(mask)) if name == "empty" else dice(mask, truth))
        scores[name] = float(np.mean(values))
    return scores


def _silhouette(mask: np.ndarray) -> np.ndarray:
    inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE)
    return mask & (inner == 0)
