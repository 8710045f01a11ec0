"""What the autoencoder sees: pixels (the paper), or statistics of a pre-trained backbone's maps and of colour.

``content``: the mean of each of 192 late channels: which things there are. ``gram``: the Gram matrix of 80 middle channels, the
style statistic of Gatys et al. (2016), which forgets where things are. ``colour``: soft histograms of luma and two opponent
channels. Each block is brought to whitened principal components, so that no block rules by its units.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops
from sklearn.decomposition import PCA
from tqdm import tqdm

from training.cluster_assign import backbone
from training.cluster_assign.config import Config

# luma (Rec. 601), red-green and yellow-blue, each scaled to span about 0..1 over natural pictures
_OPPONENT = np.array([[0.299, 0.587, 0.114], [0.5, -0.5, 0.0], [0.25, 0.25, -0.5]], np.float32).T
_OFFSET = np.array([0.0, 0.5, 0.5], np.float32)
_BINS = 16


@keras.saving.register_keras_serializable("maquette")
class Gram(layers.Layer):
    """Feature maps [b, h, w, c] -> upper triangle of their Gram matrix over positions, [b, c * (c + 1) / 2]."""

    def call(self, maps):  # type: ignore[no-untyped-def]
        height, width, channels = maps.shape[1:]
        flat = ops.reshape(maps, (-1, height * width, channels))
        gram = ops.matmul(ops.transpose(flat, (0, 2, 1)), flat) / (height * width)
        rows, columns = np.triu_indices(channels)
        return ops.take(ops.reshape(gram, (-1, channels * channels)), (rows * channels + columns).astype("int32"), axis=1)


@keras.saving.register_keras_serializable("maquette")
class ColourHistogram(layers.Layer):
    """RGB [b, h, w, 3] in 0..255 -> square roots of 3 x 16 soft bin shares [b, 48] (Hellinger geometry)."""

    def call(self, images):  # type: ignore[no-untyped-def]
        opponent = ops.matmul(images[:, ::2, ::2] / 255.0, _OPPONENT) + _OFFSET
        centres = np.linspace(0, 1, _BINS, dtype=np.float32)
        shares = [ops.mean(ops.relu(1 - ops.abs(opponent - centre) * (_BINS - 1)), axis=(1, 2)) for centre in centres]
        return ops.sqrt(ops.concatenate(shares, axis=-1) + 1e-6)


def statistics(config: Config) -> keras.Model:
    """float32 images [b, size, size, 3] in 0..255 -> one output a block, unscaled; frozen."""
    images = keras.Input((config.size, config.size, 3))
    outputs = []
    style = content = None
    if {"content", "gram"} & set(config.blocks):
        style, content = backbone.build(config.size)(images)
    for block in config.blocks:
        if block == "content":
            outputs.append(layers.GlobalAveragePooling2D()(content))
        elif block == "gram":
            outputs.append(Gram()(style))
        elif block == "colour":
            outputs.append(ColourHistogram()(images))
        else:
            outputs.append(layers.Rescaling(1 / 255)(images))
    return keras.Model(images, outputs, name="statistics")


class FrontEnd:
    """The frozen part. ``fit`` learns the principal components; ``model`` maps uint8-valued float images to the features."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.statistics = statistics(config)
        self.projections: list[tuple[np.ndarray, np.ndarray]] = []

    def raw(self, pixels: np.ndarray) -> list[np.ndarray]:
        """uint8 [n, size, size, 3] -> one float32 array [n, ...] a block."""
        parts = []
        for start in tqdm(range(0, len(pixels), 32), desc="features", unit="batch", disable=None):
            answer = self.statistics(pixels[start : start + 32].astype("float32"), training=False)
            parts.append([ops.convert_to_numpy(value) for value in (answer if isinstance(answer, list) else [answer])])
        return [np.concatenate(block) for block in zip(*parts, strict=True)]

    def fit(self, raw: list[np.ndarray]) -> None:
        """Learn standardisation and whitening from the collection itself; it keeps at most n - 1 components of n works."""
        self.projections = [_whitening(block, self.config.components) for block in raw] if self.config.components else []

    def transform(self, raw: list[np.ndarray]) -> np.ndarray:
        """The blocks of :meth:`raw` -> float32 features [n, ...], what the autoencoder is trained on."""
        if not self.projections:
            return raw[0]
        parts = [block @ kernel + bias for block, (kernel, bias) in zip(raw, self.projections, strict=True)]
        return np.concatenate(parts, axis=1).astype("float32")

    def model(self) -> keras.Model:
        """The same as a graph: float32 images [b, size, size, 3] in 0..255 -> features."""
        images = keras.Input((self.config.size, self.config.size, 3))
        outputs = self.statistics(images)
        outputs = outputs if isinstance(outputs, list) else [outputs]
        projected = []
        for block, (kernel, bias) in zip(outputs, self.projections, strict=False):
            layer = layers.Dense(kernel.shape[1], trainable=False)
            projected.append(layer(block))
            layer.set_weights([kernel, bias])
        projected = projected or outputs
        return keras.Model(images, projected[0] if len(projected) == 1 else layers.concatenate(projected), name="front_end")


def _whitening(block: np.ndarray, components: int) -> tuple[np.ndarray, np.ndarray]:
    """-> (kernel [features, components], bias): standardise, project on principal components, divide by their deviation."""
    wide = block.astype("float64")
    mean, deviation = wide.mean(axis=0), wide.std(axis=0) + 1e-6
    pca = PCA(min(components, block.shape[1], len(block) - 1), svd_solver="full").fit((wide - mean) / deviation)
    # A collection of near-identical works has components without variance; the floor keeps their noise from being blown up.
    scale = np.sqrt(np.maximum(pca.explained_variance_, 1e-3 * pca.explained_variance_[0]))
    kernel = (pca.components_ / scale[:, None]).T / deviation[:, None]
    return kernel.astype("float32"), (-mean @ kernel).astype("float32")
