"""The two configurations: ``paper`` is DCEC-Paint as published, ``default`` clusters what a pre-trained backbone sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Method = Literal["dcec", "dec", "kmeans"]
Block = Literal["pixels", "content", "gram", "colour"]


class TrainingError(Exception):
    """The folder, the settings or the run cannot give a model; the message says what to do."""


@dataclass(frozen=True)
class Config:
    """Hyperparameters. Defaults are those of Castellano & Vessio, DCEC-Paint, sections III and IV.B, unless said otherwise."""

    # Input. The paper squashes every painting to 128 x 128 and feeds pixels in [0, 1].
    size: int = 128
    blocks: tuple[Block, ...] = ("pixels",)
    # Principal components kept of each block of backbone statistics, whitened; 0 keeps the block (pixels). Ours: of 6, 10
    # and 16, 10 gave k-means on them the best NMI with the periods of paintings_masters.
    components: int = 0
    # Autoencoder: convolution filters and kernels (pixels), or the hidden units of a dense one (backbone statistics).
    filters: tuple[int, ...] = (32, 64, 128)
    kernels: tuple[int, ...] = (5, 5, 3)
    hidden: int = 0
    embedding: int = 32
    # Pre-training.
    pretrain_epochs: int = 200
    batch: int = 128
    # AdaMax with Keras' own rate: the paper names none.
    learning_rate: float = 1e-3
    # Clustering: L = weight * reconstruction + (1 - weight) * KL(P || Q), the paper's lambda.
    reconstruction_weight: float = 0.1
    update_interval: int = 140
    tolerance: float = 1e-3
    # The paper has no cap; DCEC (Guo et al., 2017, reference code) stops at 20,000.
    max_iterations: int = 20_000
    kmeans_restarts: int = 20
    # Ours: how often a cluster that lost all its works is given a new centre before the run stops.
    max_repairs: int = 3
    checkpoint_epochs: int = 5


PAPER = Config()
DEFAULT = Config(
    size=224,
    blocks=("content", "gram"),
    components=10,
    hidden=128,
    # A dense autoencoder over a few hundred numbers: an epoch takes hundredths of a second.
    pretrain_epochs=200,
    # Found on paintings_masters: 1e-3 settles at a silhouette of 0.52 for k = 6, 3e-3 at 0.75 with less even clusters.
    learning_rate=2e-3,
    max_iterations=8_400,
    checkpoint_epochs=50,
)
NAMED = {"paper": PAPER, "default": DEFAULT}
