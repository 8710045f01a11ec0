"""How good a grouping is: inside the embedding, against labels, and how to choose the number of clusters."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn import metrics
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

_RESAMPLES = 1000


def internal(embedding: np.ndarray, clusters: np.ndarray) -> dict[str, float]:
    """Silhouette (-1..1) and Calinski-Harabasz (0 up) in the embedding float [n, d]; both nan with fewer than two clusters."""
    if not 2 <= len(np.unique(clusters)) < len(clusters):
        return {"silhouette": float("nan"), "calinski_harabasz": float("nan")}
    return {
        "silhouette": float(metrics.silhouette_score(embedding, clusters)),
        "calinski_harabasz": float(metrics.calinski_harabasz_score(embedding, clusters)),
    }


def accuracy(labels: np.ndarray, clusters: np.ndarray) -> float:
    """ACC: share of works in the cluster that the best one-to-one matching gives their label (Hungarian), 0..1."""
    counts = metrics.cluster.contingency_matrix(labels, clusters)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    return float(counts[rows, columns].sum() / len(labels))


def _nmi(labels: np.ndarray, clusters: np.ndarray) -> float:
    return float(metrics.normalized_mutual_info_score(labels, clusters))


def _ari(labels: np.ndarray, clusters: np.ndarray) -> float:
    return float(metrics.adjusted_rand_score(labels, clusters))


AGREEMENT: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {"acc": accuracy, "nmi": _nmi, "ari": _ari}


def agreement(
    labels: np.ndarray, clusters: np.ndarray, seed: int, resamples: int = _RESAMPLES
) -> dict[str, float | list[float]]:
    """ACC, NMI and ARI over the labelled works ("" is unlabelled), each with ``<name>_interval`` = 95 % percentile bootstrap,
    and ``<name>_chance`` = the mean under shuffled labels. Bootstrap NMI is biased upwards by repeated works; its interval
    is therefore shifted so that its median is the value itself.
    """
    known = labels != ""
    _, truth = np.unique(labels[known], return_inverse=True)
    found, rng = clusters[known], np.random.default_rng(seed)
    draws = [rng.integers(0, len(truth), len(truth)) for _ in range(resamples)]
    shuffles = [rng.permutation(truth) for _ in range(max(resamples // 10, 20))]
    result: dict[str, float | list[float]] = {"labelled": int(known.sum()), "label_values": len(np.unique(truth))}
    with warnings.catch_warnings():
        # scikit-learn takes many small integer labels for a regression target and says so
        warnings.simplefilter("ignore", UserWarning)
        for name, measure in AGREEMENT.items():
            value = measure(truth, found)
            samples = np.array([measure(truth[draw], found[draw]) for draw in draws])
            low, high = np.percentile(samples, [2.5, 97.5]) - np.median(samples) + value
            result[name] = value
            result[f"{name}_interval"] = [round(float(low), 4), round(float(high), 4)]
            result[f"{name}_chance"] = float(np.mean([measure(shuffled, found) for shuffled in shuffles]))
    return result


def supervised(features: np.ndarray, labels: np.ndarray, seed: int) -> dict[str, float]:
    """What a classifier that is *told* the labels reaches on ``features`` [n, f]: a yardstick for what clustering could.

    Logistic regression on at most 64 principal components, its predictions of five held-out folds scored as if they were
    clusters. Empty when a label has fewer than five works.
    """
    known = labels != ""
    values, truth = np.unique(labels[known], return_inverse=True)
    if len(values) < 2 or np.bincount(truth).min() < 5:
        return {}
    components = PCA(min(64, features.shape[1], int(0.7 * known.sum())), random_state=seed)
    # C = 0.003: strong shrinkage, for a few hundred works.
    classifier = make_pipeline(StandardScaler(), components, LogisticRegression(C=0.003, max_iter=1000))
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    predicted = cross_val_predict(classifier, features[known], truth, cv=folds)
    return {"acc": float(np.mean(predicted == truth)), "nmi": _nmi(truth, predicted)}


def choose_k(embedding: np.ndarray, ks: Sequence[int], seed: int, *, resamples: int = 20) -> tuple[int, list[dict[str, float]]]:
    """The number of clusters that the pre-trained embedding itself suggests, and the table that says why.

    For each k, ``stability`` is the mean ARI between k-means on random 80 % resamples of the works, over those they share
    (Ben-Hur et al., 2002), ``silhouette`` that of k-means on all. Rule: of the k whose stability is within one standard
    deviation of the best, the largest: as many groups as the data repeat, since a curator gains little from two. Silhouette
    breaks no tie; it is reported because DCEC raises it for every k, so that it cannot choose after the fact.
    """
    table = []
    for k in ks:
        rng = np.random.default_rng([seed, k])
        pairs = [[rng.permutation(len(embedding))[: int(0.8 * len(embedding))] for _ in "ab"] for _ in range(resamples)]
        scores = [_repeatability(embedding, k, first, second, seed) for first, second in pairs]
        clusters = KMeans(k, n_init=20, random_state=seed).fit_predict(embedding)
        row = {"k": k, "stability": float(np.mean(scores)), "stability_deviation": float(np.std(scores))}
        table.append(row | {"silhouette": internal(embedding, clusters)["silhouette"]})
    best = max(table, key=lambda row: row["stability"])
    floor = best["stability"] - best["stability_deviation"]
    return int(max(row["k"] for row in table if row["stability"] >= floor)), table


def _repeatability(embedding: np.ndarray, k: int, first: np.ndarray, second: np.ndarray, seed: int) -> float:
    shared = np.intersect1d(first, second)
    a, b = (KMeans(k, n_init=5, random_state=seed).fit(embedding[part]).predict(embedding[shared]) for part in (first, second))
    return _ari(a, b)


def describe(ids: np.ndarray, embedding: np.ndarray, clusters: np.ndarray, centroids: np.ndarray) -> list[dict[str, object]]:
    """Per cluster: id, size, mean silhouette, up to 5 exemplars (nearest the centroid), outliers (silhouette below 0)."""
    several = 2 <= len(np.unique(clusters)) < len(clusters)
    silhouettes = metrics.silhouette_samples(embedding, clusters) if several else np.zeros(len(clusters))
    described: list[dict[str, object]] = []
    for cluster, centroid in enumerate(centroids):
        members = np.flatnonzero(clusters == cluster)
        distance = np.linalg.norm(embedding[members] - centroid, axis=1)
        doubtful = members[np.argsort(silhouettes[members], kind="stable")]
        described.append(
            {
                "id": cluster,
                "size": len(members),
                "silhouette": round(float(silhouettes[members].mean()), 4) if len(members) else 0.0,
                "exemplars": [str(ids[i]) for i in members[np.argsort(distance, kind="stable")[:5]]],
                "outliers": [str(ids[i]) for i in doubtful[silhouettes[doubtful] < 0][:5]],
            }
        )
    return described
