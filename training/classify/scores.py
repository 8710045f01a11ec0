"""What is measured: accuracy where several types may be right, per-type figures, calibration, and abstention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logsumexp


def correct(scores: np.ndarray, accepted: np.ndarray) -> np.ndarray:
    """bool [n]: is the highest of ``scores`` [n, classes] one of the accepted types?"""
    return accepted[np.arange(len(scores)), scores.argmax(1)]


def truth(scores: np.ndarray, accepted: np.ndarray) -> np.ndarray:
    """int [n], the type each photograph counts as: the answer where that is accepted, else the likeliest accepted type."""
    return np.where(accepted, scores, -np.inf).argmax(1)


def summary(scores: np.ndarray, accepted: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """Accuracy, macro F1 over the types that occur, and precision, recall, F1 and support of each."""
    true, predicted = truth(scores, accepted), scores.argmax(1)
    types = {}
    for column, name in enumerate(names):
        support, answers = int((true == column).sum()), int((predicted == column).sum())
        hits = int(((true == column) & (predicted == column)).sum())
        if support:
            types[name] = {
                "precision": hits / answers if answers else 0.0,
                "recall": hits / support,
                "f1": 2 * hits / (support + answers),
                "support": support,
            }
    return {
        "photographs": len(scores),
        "accuracy": float((true == predicted).mean()),
        "macro_f1": float(np.mean([figures["f1"] for figures in types.values()])),
        "types": types,
    }


def confusion(scores: np.ndarray, accepted: np.ndarray) -> np.ndarray:
    """Counts int [true, predicted]."""
    counts = np.zeros((accepted.shape[1],) * 2, int)
    np.add.at(counts, (truth(scores, accepted), scores.argmax(1)), 1)
    return counts


def negative_log_likelihood(logits: np.ndarray, accepted: np.ndarray) -> float:
    """Mean of -log(summed probability of the accepted types)."""
    return float((logsumexp(logits, axis=1) - logsumexp(np.where(accepted, logits, -np.inf), axis=1)).mean())


def temperature(logits: np.ndarray, accepted: np.ndarray) -> float:
    """The one number by which held-out logits are divided to be most likely (Guo et al. 2017, section 4.2)."""
    found = minimize_scalar(
        lambda log_t: negative_log_likelihood(logits / np.exp(log_t), accepted), bounds=(-3.0, 3.0), method="bounded"
    )
    return float(np.exp(found.x))


def expected_calibration_error(probabilities: np.ndarray, accepted: np.ndarray, bins: int = 15) -> float:
    """Mean distance of the top probability from accuracy, over ``bins`` equal bins of it (Guo et al. 2017, equation 3)."""
    confidence = probabilities.max(1)
    right = correct(probabilities, accepted)
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs(confidence[index == bin_].sum() - right[index == bin_].sum()) for bin_ in np.unique(index)]
    return float(np.sum(gaps) / len(confidence))


def probabilities(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """softmax(logits / temperature), float [n, classes]."""
    return np.exp(log_softmax(logits / temperature, axis=1))


def answers(logits: np.ndarray, types: int, temperature: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits as of :func:`training.classify.head.joined` -> what is served.

    Probabilities [n, types] that sum to 1, and the same times the probability that there is a sculpture at all, which decides
    whether to abstain.
    """
    likely = probabilities(logits[:, :types], temperature)
    if logits.shape[1] == types:
        return likely, likely
    return likely, likely * (1 - probabilities(logits[:, types:])[:, -1:])


def abstention(
    probabilities: np.ndarray,
    accepted: np.ndarray,
    sources: np.ndarray,
    precision: float,
    others: Mapping[str, np.ndarray],
    abstained: float,
    least: int = 50,
) -> dict[str, Any]:
    """The lowest top probability from which on answers are right at least ``precision`` of the time, in every source.

    One easy source would otherwise pay for a hard one. Sources of fewer than ``least`` photographs count with all.
    ``others`` are the top probabilities of photographs without sculpture, by source: at least a share of ``abstained`` of
    them, the sources counting alike, lies below too.
    Returns ``abstain_below``; ``precision`` and ``coverage`` (share of photographs answered) at it, over all and by source;
    ``others``, the share of each below it.
    When even the surest answers of a source fall short, the threshold is that of the surest; the precision says how far short.
    """
    top, right = probabilities.max(1), correct(probabilities, accepted)
    groups = {str(name): sources == name for name in np.unique(sources)}
    large = [group for group in groups.values() if group.sum() >= least]
    below = max(_threshold(top[group], right[group], precision) for group in [np.ones(len(top), bool), *large])
    if others:
        candidates = np.sort(np.concatenate(list(others.values())))
        shares = np.mean([np.searchsorted(np.sort(tops), candidates, side="right") / len(tops) for tops in others.values()], 0)
        below = max(below, float(np.nextafter(candidates[np.argmax(shares >= abstained)], 1)))

    def reached(group: np.ndarray) -> dict[str, float]:
        kept = group & (top >= below)
        return {
            "precision": float(right[kept].mean()) if kept.any() else 0.0,
            "coverage": float(kept.sum() / group.sum()),
        }

    by_source = {name: reached(group) for name, group in groups.items()}
    return {
        "abstain_below": below,
        **reached(np.ones(len(top), bool)),
        "sources": by_source,
        "others": {name: float((tops < below).mean()) for name, tops in others.items()},
    }


def _threshold(top: np.ndarray, right: np.ndarray, precision: float) -> float:
    order = np.argsort(-top, kind="stable")
    reached = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero(reached >= precision)
    return float(top[order][enough[-1] if len(enough) else reached.argmax()])
