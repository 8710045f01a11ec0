"""Find a plain museum background from the picture's border, and put something else in its place.

A museum's wall tells which museum it is, and museums collect by culture: an encoder that may look at the wall learns the wall.
The masks here are simple and good enough to break that link in training; serving masks with the mask service's model.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage import color, morphology

_DISTANCE = 9.0  # CIELAB units above the fitted background at which a pixel counts as object
_ROUNDS = 3


def figure_mask(pixels: np.ndarray) -> np.ndarray:
    """uint8 RGB [h, w, 3] -> bool [h, w], True on the figure.

    A smooth surface per CIELAB channel (quadratic across, cubic down) is fitted to the border and refitted to all that it
    explains, since studio paper fades and takes soft shadows, which a single colour does not follow; what it does not explain,
    and what that encloses, is the figure.
    Where that finds next to nothing, or next to everything, the mask is all True: nothing is known, so nothing is masked.
    """
    lab = color.rgb2lab(pixels)
    height, width = lab.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    basis = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y, y**3], axis=-1).reshape(-1, 7)
    frame = max(2, round(0.04 * min(height, width)))
    background = np.ones((height, width), bool)
    background[frame:-frame, frame:-frame] = False
    samples = lab.reshape(-1, 3)
    for _ in range(_ROUNDS):
        chosen = background.reshape(-1)
        surface, *_ = np.linalg.lstsq(basis[chosen], samples[chosen], rcond=None)
        error = samples - basis @ surface
        # Shadows change lightness alone, so lightness counts for less than hue and chroma.
        distance = np.sqrt((0.6 * error[:, 0]) ** 2 + error[:, 1] ** 2 + error[:, 2] ** 2).reshape(height, width)
        explained = ndimage.gaussian_filter(distance, 1.0) < _DISTANCE
        parts, _ = ndimage.label(explained)
        edge = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
        background = np.isin(parts, edge[edge > 0])
        if not background.any():
            return np.ones((height, width), bool)
    figure = ndimage.binary_opening(~background, iterations=2)
    figure = morphology.remove_small_objects(figure, max_size=int(0.01 * figure.size))
    figure = ndimage.binary_fill_holes(figure)
    return figure if 0.04 < figure.mean() < 0.85 else np.ones((height, width), bool)


def bounds(mask: np.ndarray) -> tuple[int, int, int, int]:
    """bool [h, w] -> (top, bottom, left, right) of its True pixels, half-open; the whole frame for an empty mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return 0, mask.shape[0], 0, mask.shape[1]
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def replace(pixels: np.ndarray, mask: np.ndarray, backdrop: np.ndarray) -> np.ndarray:
    """The figure of uint8 [h, w, 3] over ``backdrop`` (uint8 broadcastable to it), its edge softened by a pixel."""
    alpha = ndimage.gaussian_filter(mask.astype(np.float32), 0.8)[..., None]
    return np.round(alpha * pixels + (1 - alpha) * backdrop).astype(np.uint8)


def random_backdrop(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """uint8 [h, w, 3]: flat, faded like studio paper, or a blurred texture, in a random and mostly dull colour."""
    height, width = size
    level = rng.uniform(0, 255)
    colour = np.clip(level + rng.normal(0, rng.choice([4, 40]), 3), 0, 255)
    kind = rng.choice(3, p=[0.4, 0.4, 0.2])
    if kind == 0:
        field = np.zeros((height, width, 1))
    elif kind == 1:
        angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(20, 140)
        y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
        field = (strength * (np.cos(angle) * x + np.sin(angle) * y) / 2)[..., None]
    else:
        coarse = rng.normal(0, 1, (max(2, height // 8), max(2, width // 8), 3))
        field = ndimage.zoom(coarse, (height / coarse.shape[0], width / coarse.shape[1], 1), order=1) * rng.uniform(5, 40)
    return np.clip(colour + field, 0, 255).astype(np.uint8)
