"""The two training stages of DCEC-Paint (section III), pre-training and clustering. Both resume from a checkpoint."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from sklearn.cluster import KMeans
from tqdm import tqdm

from training.cluster_assign import checkpoints, model
from training.cluster_assign.config import Config, Method, TrainingError
from training.common import runs

CHECKPOINT = "checkpoint.npz"
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Clustered:
    """``embedding`` float32 [n, d], ``q`` float32 [n, k], ``centroids`` float32 [k, d]; ``converged``: before the cap."""

    embedding: np.ndarray
    q: np.ndarray
    centroids: np.ndarray
    iterations: int
    converged: bool
    encoder: keras.Model

    @property
    def clusters(self) -> np.ndarray:
        """The winning cluster of each work, int [n]."""
        return self.q.argmax(axis=1)


def pretrain(features: np.ndarray, config: Config, seed: int, run: Path) -> tuple[keras.Model, keras.Model]:
    """Train the autoencoder on ``features`` [n, ...]; return (encoder, decoder). Raises :class:`TrainingError` on NaN."""
    keras.utils.set_random_seed(seed)
    encoder, decoder = model.autoencoder(config, features.shape[1:])
    whole = model.compiled_autoencoder(encoder, decoder, config)
    state = checkpoints.restore(run / CHECKPOINT, whole)
    start = int(state["epoch"]) if state else 0
    runs.read_history(run, start) if run.exists() else run.mkdir(parents=True)
    bar = tqdm(range(start, config.pretrain_epochs), "pre-training", config.pretrain_epochs, initial=start, disable=None)
    for epoch in bar:
        whole.reset_metrics()
        order = np.random.default_rng([seed, 0, epoch]).permutation(len(features))
        for at in range(0, len(order), config.batch):
            batch = features[order[at : at + config.batch]]
            loss = float(whole.train_on_batch(batch, batch, return_dict=True)["loss"])
            _check_finite(loss, f"pre-training epoch {epoch + 1}", run)
        runs.log(run, epoch=epoch, reconstruction=loss)
        bar.set_postfix(loss=f"{loss:.4f}")
        if (epoch + 1) % config.checkpoint_epochs == 0 or epoch + 1 == config.pretrain_epochs:
            checkpoints.save(run / CHECKPOINT, whole, epoch=epoch + 1)
    return encoder, decoder


def embed(encoder: keras.Model, features: np.ndarray) -> np.ndarray:
    """float32 [n, d]."""
    return _answer(encoder, features)


def kmeans(embedding: np.ndarray, k: int, config: Config, seed: int) -> KMeans:
    """k-means with the paper's restarts (section IV.B)."""
    return KMeans(k, n_init=config.kmeans_restarts, random_state=seed).fit(embedding)


def cluster(
    features: np.ndarray,
    encoder: keras.Model,
    decoder: keras.Model,
    k: int,
    config: Config,
    seed: int,
    run: Path,
    method: Method,
) -> Clustered:
    """Cluster from a pre-trained encoder, whose weights are changed (pass clones to keep them).

    ``kmeans`` stops at the initial centroids. Raises :class:`TrainingError` on a NaN loss or a cluster that collapses again
    and again.
    """
    run.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(seed)
    whole = model.compiled_clustering(encoder, decoder if method == "dcec" else None, k, config)
    layer = whole.get_layer("clustering")
    soft = keras.Model(whole.input, layer.output)
    # The first checkpoint is written before the first step, which would otherwise be what creates the optimizer's variables.
    whole.optimizer.build(whole.trainable_variables)
    state = checkpoints.restore(run / CHECKPOINT, whole)
    if state is None:
        first = kmeans(embed(encoder, features), k, config, seed)
        layer.set_weights([first.cluster_centers_.astype("float32")])
        state = {
            "iteration": np.array(0),
            "before": first.labels_,
            "repairs": np.array(0),
            "done": np.array(method == "kmeans"),
        }
    before, iteration, repairs, done = state["before"], int(state["iteration"]), int(state["repairs"]), bool(state["done"])
    runs.read_history(run, iteration // config.update_interval)
    bar = tqdm(desc=f"{method} k={k}", total=config.max_iterations, initial=iteration, unit="iteration", disable=None)
    while not done and iteration < config.max_iterations:
        q = _answer(soft, features)
        now = q.argmax(axis=1)
        changed = float(np.mean(now != before))
        repaired = _repair(layer, embed(encoder, features), q)
        if repaired:
            repairs += 1
            logger.warning(
                "cluster %s lost its works at iteration %d; moved its centre to the works in most doubt", repaired, iteration
            )
            if repairs > config.max_repairs:
                raise TrainingError(f"a cluster of {k} keeps collapsing (iteration {iteration}); choose a smaller --k")
            q = _answer(soft, features)
            now = q.argmax(axis=1)
        elif iteration and changed < config.tolerance:
            done = True
        checkpoints.save(run / CHECKPOINT, whole, iteration=iteration, before=before, repairs=repairs, done=done)
        if done:
            break
        before, target = now, model.target_distribution(q)
        whole.reset_metrics()
        for _ in range(config.update_interval):
            picks = _batch(iteration, len(features), config.batch, seed)
            answers = [target[picks], features[picks]] if method == "dcec" else target[picks]
            logs = whole.train_on_batch(features[picks], answers, return_dict=True)
            iteration += 1
            bar.update()
        loss = float(logs["loss"])
        _check_finite(loss, f"{method} iteration {iteration}", run)
        runs.log(run, epoch=iteration // config.update_interval - 1, iteration=iteration, loss=loss, changed=changed)
        bar.set_postfix(loss=f"{loss:.4f}", changed=f"{changed:.2%}")
    bar.close()
    if not done and method != "kmeans":
        logger.warning("%s with k=%d stopped at the cap of %d iterations before its assignments settled", method, k, iteration)
    embedding = embed(encoder, features)
    return Clustered(embedding, _answer(soft, features), layer.get_weights()[0], iteration, done, encoder)


def _answer(network: keras.Model, features: np.ndarray) -> np.ndarray:
    """Call in chunks: ``predict`` builds a data set and traces again each time, which costs more than these networks."""
    chunks = [features[at : at + 128] for at in range(0, len(features), 128)]
    return np.concatenate([keras.ops.convert_to_numpy(network(chunk, training=False)) for chunk in chunks])


def _batch(iteration: int, works: int, size: int, seed: int) -> np.ndarray:
    """The works of one iteration: permutations that depend on (seed, epoch) alone, so that a resumed run repeats them."""
    batches = math.ceil(works / size)
    epoch, index = divmod(iteration, batches)
    return np.random.default_rng([seed, 1, epoch]).permutation(works)[index * size : (index + 1) * size]


def _repair(layer: keras.layers.Layer, embedding: np.ndarray, q: np.ndarray) -> list[int]:
    """Move the centre of each cluster without works onto one of the works assigned with least confidence."""
    sizes = np.bincount(q.argmax(axis=1), minlength=q.shape[1])
    empty = np.flatnonzero(sizes == 0)
    if len(empty):
        centroids = layer.get_weights()[0].copy()
        centroids[empty] = embedding[np.argsort(q.max(axis=1), kind="stable")[: len(empty)]]
        layer.set_weights([centroids])
    return [int(index) for index in empty]


def _check_finite(loss: float, where: str, run: Path) -> None:
    if not math.isfinite(loss):
        raise TrainingError(
            f"the loss became {loss} in {where}; lower --learning-rate and choose a new --out ({run} keeps the last good state)"
        )
