"""What is added to the network's logits so that they agree with a person: docs/decisions/0017-hints-and-adapters.md.

Both kinds are linear in the hypercolumns f(x), the network's features at a place x. Of whole masks a vector is learnt,
w f(x) + b, by a squared hinge (a linear support vector machine with L2 loss, solved by Newton's method on the places within the
margin: Keerthi and DeCoste 2005). Of marked places the correction is interpolated by kernel ridge regression whose kernel is
the features' inner product, which carries to like places anywhere, and a product of Gaussians in features and position, which
stays near the mark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from services.remove_background.hypercolumns import Columns, Logits

Floats = npt.NDArray[np.float32]

# Chosen on development pictures: decision 0017.
MARGIN = 2.0  # logit that a place of an example must reach
SHRINKAGE = 0.05  # of the vector, for each view
STEPS = 4  # of Newton's method
MARK = 4.0  # logit that a marked place should have
GLOBAL, LOCAL = 0.3, 1.0  # weights of the two kernels
NEAR = 0.09  # of the local one: standard deviation of position, in sides of the view
ALIKE = 0.5  # and of features: weight of the mean squared difference
NOISE = 0.1


@dataclass(frozen=True)
class View:
    """Places of one view of an example: ``features`` float16 [channels, n], ``logits`` and ``inside`` (0 to 1) float32 [n]."""

    features: npt.NDArray[np.float16]
    logits: Floats
    inside: Floats

    @classmethod
    def of(cls, logits: Logits, columns: Columns, mask: npt.NDArray[np.uint8], step: int) -> View:
        """Every ``step``-th place of the grid of ``columns``, in rows and columns; ``mask`` of any size, 255 where object."""
        side = columns.shape[1]

        def grid(values: npt.NDArray[np.float32] | npt.NDArray[np.uint8]) -> Floats:
            small = Image.fromarray(values).resize((side, side), Image.Resampling.BOX)
            return np.asarray(small, np.float32)[step // 2 :: step, step // 2 :: step].reshape(-1)

        features = columns[:, step // 2 :: step, step // 2 :: step].reshape(len(columns), -1)
        return cls(features.astype(np.float16), grid(logits), grid(np.ascontiguousarray(mask)) / np.float32(255))

    @property
    def bytes(self) -> int:
        return self.features.nbytes + self.logits.nbytes + self.inside.nbytes


def fit(views: Sequence[View]) -> tuple[Floats, float]:
    """The vector [channels] and its constant that make the logits of the views agree with their masks."""
    mean, scale = _statistics(views)
    channels = len(mean)
    vector = np.zeros(channels + 1, np.float32)
    penalty = np.full(channels + 1, SHRINKAGE * len(views))
    penalty[-1] = 1e-6
    for _ in range(STEPS):
        square, right = np.diag(penalty), np.zeros(channels + 1)
        for view in views:
            sign = np.where(view.inside > 0.5, np.float32(1), np.float32(-1))
            # Cells on the silhouette are half of both.
            weight = np.abs(2 * view.inside - 1)
            weight /= max(float(weight.sum()), 1.0)
            features = _standard(view, mean, scale)
            within = sign * (view.logits + vector @ features) < MARGIN
            features, weight = features[:, within], weight[within]
            square += (features * weight) @ features.T
            right += (features * weight) @ (MARGIN * sign - view.logits)[within]
        vector = np.linalg.solve(square, right).astype(np.float32)
    weights = vector[:-1] / scale
    return weights, float(vector[-1] - weights @ mean)


def dice(view: View, weights: Floats, constant: float) -> float:
    """Of the places of a view, with the vector added to their logits."""
    found = view.logits + weights @ view.features.astype(np.float32) + constant > 0
    inside = view.inside > 0.5
    both = int(found.sum() + inside.sum())
    return 2 * int((found & inside).sum()) / both if both else 1.0


def adapted(logits: Logits, columns: Columns, weights: Floats, constant: float) -> Logits:
    """Logits [height, width] with the vector's answer at each place added."""
    side = columns.shape[1]
    return logits + _stretched((weights @ columns.reshape(len(columns), -1) + constant).reshape(side, side), logits.shape)


def hinted(logits: Logits, columns: Columns, places: Floats, sign: Floats) -> Logits:
    """Logits [height, width] corrected at ``places`` [n, 2] (x, y in shares of the sides), which are object (1) or not (-1)."""
    if not len(places):
        return logits
    side, (height, width) = columns.shape[1], logits.shape
    flat = columns.reshape(len(columns), -1)
    flat = (flat - flat.mean(1, keepdims=True)) / (flat.std(1, keepdims=True) + 1e-3)
    cells = (places * side).astype(int).clip(0, side - 1)
    marked = flat[:, cells[:, 1] * side + cells[:, 0]]
    pixels = (places * (width, height)).astype(int).clip(0, (width - 1, height - 1))
    now = logits[pixels[:, 1], pixels[:, 0]]
    wanted = sign * np.maximum(0, MARK - sign * now)
    centres = (np.indices((side, side))[::-1].reshape(2, -1).T + 0.5) / side
    among = _kernel(marked, places, marked, places) + NOISE * np.eye(len(places), dtype=np.float32)
    factors = np.linalg.solve(among, wanted).astype(np.float32)
    answer = factors @ _kernel(marked, places, flat, centres.astype(np.float32))
    return logits + _stretched(answer.reshape(side, side), logits.shape)


def _kernel(one: Floats, one_places: Floats, other: Floats, other_places: Floats) -> Floats:
    """Features [channels, n] and [channels, m] at places [n, 2] and [m, 2] -> [n, m]."""
    inner = one.T @ other / len(one)
    apart = (one * one).mean(0)[:, None] + (other * other).mean(0) - 2 * inner
    distance = ((one_places[:, None] - other_places[None]) ** 2).sum(-1)
    near = np.exp(-distance / (2 * NEAR**2) - ALIKE * np.maximum(apart, 0))
    return np.asarray(GLOBAL * inner + LOCAL * near, np.float32)


def _stretched(values: Floats, size: tuple[int, ...]) -> Floats:
    stretched = Image.fromarray(np.ascontiguousarray(values, np.float32)).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(stretched)


def _statistics(views: Sequence[View]) -> tuple[Floats, Floats]:
    means = [view.features.mean(1, dtype=np.float32) for view in views]
    squares = [np.square(view.features, dtype=np.float32).mean(1) for view in views]
    mean = np.mean(means, 0)
    return mean, np.sqrt(np.maximum(np.mean(squares, 0) - mean**2, 0)) + np.float32(1e-3)


def _standard(view: View, mean: Floats, scale: Floats) -> Floats:
    features = (view.features.astype(np.float32) - mean[:, None]) / scale[:, None]
    return np.concatenate([features, np.ones((1, features.shape[1]), np.float32)])
