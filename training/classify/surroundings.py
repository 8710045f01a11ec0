"""The object without its surroundings, and the surroundings without their object: what does the classifier look at?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tqdm import tqdm

from services.common import models
from training.common import runs

# What is left out becomes the grey that the backbones' normalisation maps to about 0.
_GREY = 127
# A mask of less than this share found no object; the photograph stays whole.
_LEAST = 0.01
_BATCH = 16


def masks(pixels: np.ndarray, bundle: Path, cache: Path) -> np.ndarray:
    """uint8 [n, h, w, 3] -> object bool [n, h, w], by an exported bundle of ``remove_background``; kept in ``cache``."""
    loaded = models.load(bundle)
    kept = cache / f"masks-{loaded.manifest.version}-{len(pixels)}x{pixels.shape[1]}.npz"
    if not kept.exists():
        wanted, threshold = loaded.manifest.input, float(loaded.manifest.details["threshold"])
        height, width = pixels.shape[1:3]
        # Back to the photograph's pixels by the nearest: both are squashed.
        rows, columns = np.arange(height) * wanted.height // height, np.arange(width) * wanted.width // width
        found = []
        for start in tqdm(range(0, len(pixels), _BATCH), desc="masks", unit="batch", disable=None):
            batch = np.stack([loaded.prepare(picture) for picture in pixels[start : start + _BATCH]])
            found.append((loaded.run(batch)["probability"] >= threshold)[:, rows][:, :, columns])
        with runs.whole(kept) as temporary:
            np.savez_compressed(temporary, masks=np.concatenate(found))
    with np.load(kept) as stored:
        return stored["masks"]


def without_background(pixels: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """The object alone on grey; photographs in which none was found stay whole."""
    kept = objects | (objects.mean((1, 2)) < _LEAST)[:, None, None]
    return np.where(kept[..., None], pixels, np.uint8(_GREY))


def without_object(pixels: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """The object's bounding box filled with grey, since its silhouette alone would tell the type."""
    result = pixels.copy()
    for picture, mask in zip(result, objects, strict=True):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if len(rows):
            picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = _GREY
    return result
