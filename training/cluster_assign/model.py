"""Autoencoders, the clustering layer and the target distribution of DCEC-Paint (section III)."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops

from training.cluster_assign.config import Config


@keras.saving.register_keras_serializable("maquette")
class ClusteringLayer(layers.Layer):
    """Embeddings z [b, d] -> soft assignment q [b, k] by Student's t with one degree of freedom; rows sum to 1."""

    def __init__(self, clusters: int, **kwargs) -> None:  # type: ignore[no-untyped-def]
        super().__init__(**kwargs)
        self.clusters = clusters

    def build(self, shape) -> None:  # type: ignore[no-untyped-def]
        self.centroids = self.add_weight(shape=(self.clusters, shape[-1]), initializer="glorot_uniform", name="centroids")

    def call(self, z):  # type: ignore[no-untyped-def]
        distance = ops.sum(ops.square(ops.expand_dims(z, 1) - self.centroids), axis=2)
        kernel = 1.0 / (1.0 + distance)
        return kernel / ops.sum(kernel, axis=1, keepdims=True)

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "clusters": self.clusters}


def target_distribution(q: np.ndarray) -> np.ndarray:
    """P of section III from q [n, k]: squared, divided by the cluster's soft frequency, rows normalised."""
    weight = q**2 / np.maximum(q.sum(axis=0), 1e-12)
    return (weight / weight.sum(axis=1, keepdims=True)).astype("float32")


def autoencoder(config: Config, shape: tuple[int, ...]) -> tuple[keras.Model, keras.Model]:
    """(encoder: features -> embedding [b, d], decoder: embedding -> features) for features of ``shape``."""
    return _convolutional(config, shape) if len(shape) == 3 else _dense(config, shape[0])


def _convolutional(config: Config, shape: tuple[int, ...]) -> tuple[keras.Model, keras.Model]:
    pixels = keras.Input(shape)
    x = pixels
    for filters, kernel in zip(config.filters, config.kernels, strict=True):
        x = layers.Conv2D(filters, kernel, strides=2, padding="same", activation="elu")(x)
    inner = tuple(x.shape[1:])
    encoder = keras.Model(pixels, layers.Dense(config.embedding, name="embedding")(layers.Flatten()(x)), name="encoder")
    embedding = keras.Input((config.embedding,))
    x = layers.Reshape(inner)(layers.Dense(int(np.prod(inner)), activation="elu")(embedding))
    # Mirrored: each deconvolution undoes the encoder's convolution of the same kernel.
    for filters, kernel in zip(config.filters[-2::-1], config.kernels[:0:-1], strict=True):
        x = layers.Conv2DTranspose(filters, kernel, strides=2, padding="same", activation="elu")(x)
    x = layers.Conv2DTranspose(shape[-1], config.kernels[0], strides=2, padding="same")(x)
    return encoder, keras.Model(embedding, x, name="decoder")


def _dense(config: Config, features: int) -> tuple[keras.Model, keras.Model]:
    vector, embedding = keras.Input((features,)), keras.Input((config.embedding,))
    hidden = layers.Dense(config.hidden, activation="elu")(vector)
    encoder = keras.Model(vector, layers.Dense(config.embedding, name="embedding")(hidden), name="encoder")
    hidden = layers.Dense(config.hidden, activation="elu")(embedding)
    return encoder, keras.Model(embedding, layers.Dense(features)(hidden), name="decoder")


def compiled_autoencoder(encoder: keras.Model, decoder: keras.Model, config: Config) -> keras.Model:
    """Pre-training: mean squared reconstruction error, AdaMax."""
    model = keras.Model(encoder.input, decoder(encoder.output), name="autoencoder")
    model.compile(optimizer=keras.optimizers.Adamax(config.learning_rate), loss="mse")
    return model


def compiled_clustering(encoder: keras.Model, decoder: keras.Model | None, k: int, config: Config) -> keras.Model:
    """features -> (q, reconstruction) under L = w L_r + (1 - w) KL(P || Q); without a decoder features -> q under KL: DEC."""
    q = ClusteringLayer(k, name="clustering")(encoder.output)
    optimizer = keras.optimizers.Adamax(config.learning_rate)
    if decoder is None:
        model = keras.Model(encoder.input, q, name="dec")
        model.compile(optimizer=optimizer, loss="kl_divergence")
        return model
    weight = config.reconstruction_weight
    model = keras.Model(encoder.input, [q, decoder(encoder.output)], name="dcec")
    model.compile(optimizer=optimizer, loss=["kl_divergence", "mse"], loss_weights=[1 - weight, weight])
    return model


def serving(front_end: keras.Model, encoder: keras.Model, centroids: np.ndarray) -> keras.Model:
    """uint8-valued images [b, h, w, 3] -> {"embedding": [b, d], "assignment": q [b, k]}, all in one graph."""
    images = keras.Input(front_end.input.shape[1:], name="images")
    embedding = encoder(front_end(images))
    clustering = ClusteringLayer(len(centroids), name="clustering")
    q = clustering(embedding)
    clustering.set_weights([centroids])
    return keras.Model(images, {"embedding": embedding, "assignment": q}, name="cluster_assign")
