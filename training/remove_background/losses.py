"""Losses on masks: ``truth`` and ``probability`` float [n, h, w, 1] from 0 to 1 -> one value per picture, [n]."""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import ops

# Cross-entropy along the silhouette weighs this much more than elsewhere, within this many pixels of it.
EDGE_WEIGHT, EDGE_REACH = 4.0, 3
# The share of an empty scene at which a wrong mask costs half of the most it can.
EMPTY_SHARE = 0.01

Loss = Callable[[keras.KerasTensor, keras.KerasTensor], keras.KerasTensor]


def dice(truth: keras.KerasTensor, probability: keras.KerasTensor) -> keras.KerasTensor:
    """1 - (2 sum(g s) + 1) / (sum(g) + sum(s) + 1), Bici et al. 2023, equation 1.

    The paper prints the denominator as I_gt + I_(s+1). An index s + 1 means nothing there: a misprint for + 1, the smoothing
    that stands in the numerator, too. Without it an empty picture with an empty mask would be 0 / 0; with it such a picture's
    loss is 0, as it should be.
    """
    overlap = ops.sum(truth * probability, axis=(1, 2, 3))
    total = ops.sum(truth, axis=(1, 2, 3)) + ops.sum(probability, axis=(1, 2, 3))
    return 1.0 - (2.0 * overlap + 1.0) / (total + 1.0)


def edge(truth: keras.KerasTensor) -> keras.KerasTensor:
    """1 within ``EDGE_REACH`` pixels of the silhouette, else 0, [n, h, w, 1]: where the local maximum and minimum differ."""
    window = 2 * EDGE_REACH + 1
    grown = ops.max_pool(truth, window, 1, "same", data_format="channels_last")
    shrunk = -ops.max_pool(-truth, window, 1, "same", data_format="channels_last")
    return ops.cast(grown - shrunk > 0.5, truth.dtype)


def edge_cross_entropy(truth: keras.KerasTensor, probability: keras.KerasTensor) -> keras.KerasTensor:
    """Binary cross-entropy, the mean over pixels weighted by 1 + ``EDGE_WEIGHT`` along the silhouette."""
    p = ops.clip(probability, 1e-6, 1.0 - 1e-6)
    entropy = -(truth * ops.log(p) + (1.0 - truth) * ops.log(1.0 - p))
    weight = 1.0 + EDGE_WEIGHT * edge(truth)
    return ops.sum(weight * entropy, axis=(1, 2, 3)) / ops.sum(weight, axis=(1, 2, 3))


def emptiness(truth: keras.KerasTensor, probability: keras.KerasTensor) -> keras.KerasTensor:
    """sum(s) / (sum(s) + 1 % of the picture) where nothing is object, else 0.

    It is Dice with a smoothing of 1 % of the picture in place of 1 pixel. Dice itself teaches nothing about empty scenes: a
    dozen wrong pixels already cost all but a tenth of what a full mask costs, so that its gradient is gone.
    """
    given = ops.sum(probability, axis=(1, 2, 3))
    _, height, width, _ = ops.shape(truth)
    area = EMPTY_SHARE * ops.cast(height * width, truth.dtype)
    return ops.where(ops.max(truth, axis=(1, 2, 3)) > 0, 0.0, given / (given + area))


def dice_edge(truth: keras.KerasTensor, probability: keras.KerasTensor) -> keras.KerasTensor:
    """Dice for the whole, cross-entropy for every pixel and most of all the edge's, and emptiness where there is no object."""
    return dice(truth, probability) + edge_cross_entropy(truth, probability) + emptiness(truth, probability)


LOSSES: dict[str, Loss] = {"dice": dice, "dice+edge": dice_edge}
