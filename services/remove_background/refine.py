"""The silhouette of a small mask, drawn again on the photograph's own pixels; and regions that are no object left out.

A colour guided filter (He, Sun and Tang 2013, equations 14-16): in every window of the model's grid the probability is fitted
as an affine function of the colour. The coefficients are found on that grid (as in the fast guided filter, He and Sun 2015)
and applied to the larger photograph, tile by tile, only where the silhouette runs. What is surely inside or outside keeps the
model's word, so that textures within the object make no holes and the floor is not leaked into; so does a silhouette that no
colour explains.
"""

from __future__ import annotations

import mahotas
import numpy as np
import numpy.typing as npt
from PIL import Image

from services.common import images

Probability = npt.NDArray[np.float32]
Grey = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating]
Part = tuple[slice, slice]

# Chosen on renders of held-out scans, photographs and horses: docs/decisions/0007-edges.md has the table.
RADIUS = 6  # of the window, in the model's pixels
SMOOTHNESS = 1e-4  # epsilon: variances of colour (0-1) below it are no edge
REACH = 4  # of the band around the silhouette, in the model's pixels
FINENESS = 2  # pixels of the guide for each of the model's, at least: what JPEGs are shrunk to as well
EXPLAINED = 0.25  # share of the probability's variance that colours must explain before the fit is trusted in full
CRUMB = 16  # of the model's pixels: smaller islands and holes are the fit's, not the object's
TILE = 128


def without_weak(probability: Probability, threshold: float, strong: float) -> Probability:
    """Probability [h, w] with 0 in each region above ``threshold`` that nowhere reaches ``strong`` (Canny's hysteresis)."""
    regions, count = mahotas.label(probability >= threshold, np.ones((3, 3), bool))
    if not count:
        return probability
    peaks = mahotas.labeled.labeled_max(probability, regions)
    peaks[0] = 1  # what lies below the threshold stays as it is
    return np.where(peaks[regions] >= strong, probability, np.float32(0))


def refine(probability: Probability, pixels: images.RGB, threshold: float) -> Grey:
    """Probability [h, w] and the photograph uint8 [H, W, 3] -> uint8: pixels of 128 and more are object.

    Of the photograph's size, or that divided by a whole number which leaves it ``FINENESS`` times as fine as the probability.
    """
    # The silhouette in the middle of the range, wherever the threshold lies: a window half inside must answer one half.
    above = (probability - threshold) / (1 - threshold)
    level = np.where(probability >= threshold, 0.5 + above / 2, probability / (2 * threshold)).astype(np.float32)
    guide = _reduced(pixels, FINENESS * max(probability.shape))
    height, width = guide.shape[:2]
    small = Image.fromarray(np.rint(level * 255).astype(np.uint8))
    large = np.array(small.resize((width, height), Image.Resampling.BILINEAR))
    band = _band(probability >= threshold)
    if not band.any():
        return large
    # One plane for all: on the band the fit, off it the probability itself, and a slope between them.
    fitted = np.zeros((5, *probability.shape))
    near = _around(band, 2 * RADIUS)
    coarse = images.resize(guide, probability.shape, images.ResizeRule.SQUASH)[near]
    fitted[:, *near] = _fit(coarse.transpose(2, 0, 1) / 255, level[near])
    share = _mean(band[None].astype(float), 1) * np.clip(fitted[4:] / EXPLAINED, 0, 1)
    planes = share * fitted[:4]
    planes[3] += ((1 - share) * level)[0]
    planes[3] *= 255
    planes = planes.astype(np.float32)
    for top in range(0, height, TILE):
        rows, down = _between(top, min(top + TILE, height), height, len(probability))
        for left in range(0, width, TILE):
            columns, across = _between(left, min(left + TILE, width), width, probability.shape[1])
            if share[0, rows, columns].any():
                here = np.s_[top : top + TILE, left : left + TILE]
                red, green, blue, constant = down @ planes[:, rows, columns] @ across.T
                tile = guide[here]
                value = red * tile[..., 0] + green * tile[..., 1] + blue * tile[..., 2] + constant
                large[here] = np.clip(np.rint(value), 0, 255)
    _clear(large[_scaled(near, probability.shape, large.shape)], CRUMB * large.size / probability.size)
    return large


def _reduced(pixels: images.RGB, least: int) -> images.RGB:
    """Means of squares of pixels, so large as leaves both sides at least ``least``."""
    factor = min(pixels.shape[:2]) // least
    if factor < 2:
        return pixels
    # Strip by strip: Pillow's copy of a whole photograph of 50 MP takes 200 MB.
    step = factor * TILE
    strips = (Image.fromarray(pixels[top : top + step]).reduce(factor) for top in range(0, len(pixels), step))
    return np.vstack([np.asarray(strip) for strip in strips])


def _clear(level: Grey, least: float) -> None:
    """Give islands and holes of fewer than ``least`` pixels to what surrounds them, in place.

    ``level`` is a rectangle that holds every silhouette and a margin, so that nothing small goes on beyond it.
    """
    # Object touches object by corners; background then must not.
    for inside, touching in ((True, np.ones((3, 3), bool)), (False, None)):
        regions, _ = mahotas.label((level >= 128) == inside, touching)
        small = mahotas.labeled.labeled_size(regions) < least
        small[0] = False
        if small.any():
            level[small[regions]] = 0 if inside else 255


def _around(band: npt.NDArray[np.bool_], margin: int) -> Part:
    """The rectangle that holds the band and a margin."""
    rows, columns = (np.flatnonzero(band.any(axis)) for axis in (1, 0))
    return (
        slice(max(int(rows[0]) - margin, 0), int(rows[-1]) + margin + 1),
        slice(max(int(columns[0]) - margin, 0), int(columns[-1]) + margin + 1),
    )


def _scaled(part: Part, size: tuple[int, ...], to: tuple[int, ...]) -> Part:
    """Rows and columns of an array of ``size`` -> those of one of the size ``to`` that hold them."""
    rows, columns = (
        slice(side.start * theirs // ours, -(-min(side.stop, ours) * theirs // ours))
        for side, ours, theirs in zip(part, size, to, strict=True)
    )
    return rows, columns


def _band(inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """What lies within ``REACH`` pixels of the silhouette; the frame is none."""
    square = np.ones((2 * REACH + 1, 2 * REACH + 1), bool)
    return np.asarray(mahotas.dilate(inside, square) & mahotas.dilate(~inside, square))


def _fit(guide: Floats, wanted: Floats) -> Floats:
    """Guide [3, h, w] and what to fit [h, w] -> [5, h, w]: coefficients of red, green, blue and 1, and the
    share of what is to be fitted, as variance, that they explain."""
    red, green, blue = guide
    products = [red * red, red * green, red * blue, green * green, green * blue, blue * blue]
    means = _mean(np.stack([*guide, wanted, *(guide * wanted), wanted * wanted, *products]), RADIUS)
    mean, level = means[:3], means[3]
    with_wanted = means[4:7] - mean * level
    variance = means[7] - level * level
    pairs = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
    rr, rg, rb, gg, gb, bb = (means[n] - mean[i] * mean[j] + SMOOTHNESS * (i == j) for n, (i, j) in enumerate(pairs, 8))
    # The inverse of the symmetric covariance by its cofactors, for all pixels at once.
    inverse = (
        (gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg),
        (rb * gb - rg * bb, rr * bb - rb * rb, rb * rg - rr * gb),
        (rg * gb - rb * gg, rb * rg - rr * gb, rr * gg - rg * rg),
    )
    determinant = rr * inverse[0][0] + rg * inverse[0][1] + rb * inverse[0][2]
    slopes = np.stack([sum(row[i] * with_wanted[i] for i in range(3)) / determinant for row in inverse])
    explained = (slopes * with_wanted).sum(0) / (variance + 1e-6)
    return _mean(np.stack([*slopes, level - (slopes * mean).sum(0), explained]), RADIUS)


def _mean(values: Floats, radius: int) -> Floats:
    """Mean over squares of [n, h, w], cut off at the frame."""
    for axis in (1, 2):
        count = values.shape[axis]
        sums = np.cumsum(values, axis, dtype=np.float64)
        sums = np.concatenate([np.zeros_like(sums.take([0], axis)), sums], axis)
        first = np.maximum(np.arange(count) - radius, 0)
        last = np.minimum(np.arange(count) + radius + 1, count)
        lengths = (last - first).reshape((-1, 1) if axis == 1 else (-1,))
        values = (sums.take(last, axis) - sums.take(first, axis)) / lengths
    return values


def _between(start: int, stop: int, large: int, small: int) -> tuple[slice, npt.NDArray[np.float32]]:
    """Linear interpolation of pixels ``start`` to ``stop`` of ``large`` from ``small``: which of these, and the weights
    [stop - start, theirs]. Centres of pixels lie at .5, as in Pillow."""
    place = np.clip((np.arange(start, stop) + 0.5) * small / large - 0.5, 0, small - 1)
    lower = np.minimum(place.astype(int), max(small - 2, 0))
    first, last = int(lower[0]), min(int(lower[-1]) + 2, small)
    weights = np.maximum(0, 1 - np.abs(place[:, None] - np.arange(first, last)))
    return slice(first, last), weights.astype(np.float32)
