"""Which masks of a set want a person's eye, and why. Pure: see ``measure.py`` for what is measured."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from maquette.review.measure import Measurement

# A photograph is compared with so many before and after it: on a walk around an object those see it from about the same side.
NEIGHBOURS = 4
# Fewer say nothing about what is usual.
FEWEST = 5
# Modified z-score from which a value is an outlier; Iglewicz and Hoaglin (How to detect and handle outliers, 1993) say 3.5.
# Less, since a look costs a person a second and a bad mask that nobody saw costs a reconstruction.
DEPARTS = 3.0
# Differences that no set is steady enough to make remarkable: 10 % of area or spread, 0.05 of elongation and uncertainty.
LEAST_LOG, LEAST = 0.1, 0.05
# Uncertainty is the mean of 4p(1-p): 0.5 is what a pixel counts that the model holds for object at p = 0.85.
UNSURE = 0.5
_NORMAL = 1.4826  # a normal distribution's standard deviation, in median absolute deviations


@dataclass(frozen=True, slots=True)
class Finding:
    """A photograph with the reasons why it stands out, gravest first; ``rank`` sorts findings, gravest highest.

    ``kinds`` says of each reason which it is: ``problem``, ``empty``, ``area``, ``shape``, ``uncertain`` or ``frame``.
    """

    measurement: Measurement
    reasons: tuple[str, ...]
    rank: tuple[int, float]
    kinds: tuple[str, ...] = ()


def judge(measured: Sequence[Measurement]) -> list[Finding]:
    """One finding for each photograph, outliers first; those without a reason follow in capture order."""
    sets: dict[str, list[Measurement]] = {}
    for seen in measured:
        sets.setdefault(str(seen.photograph.path.parent), []).append(seen)
    findings = [finding for group in sets.values() for finding in _judge_one_folder(in_capture_order(group))]
    return sorted(findings, key=lambda finding: finding.rank, reverse=True)


def in_capture_order(measured: Sequence[Measurement]) -> list[Measurement]:
    """By EXIF time where every photograph has one, else by name as people count: 9 before 10."""
    if all(seen.taken for seen in measured):
        return sorted(measured, key=lambda seen: (seen.taken, _natural(seen.photograph.path.name)))
    return sorted(measured, key=lambda seen: _natural(seen.photograph.path.name))


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name.casefold())]


def _judge_one_folder(measured: list[Measurement]) -> list[Finding]:
    area = _departures(measured, lambda seen: math.log(seen.coverage) if seen.coverage else None, LEAST_LOG)
    spread = _departures(measured, lambda seen: seen.moments.spread if seen.moments else None, LEAST_LOG)
    elongation = _departures(measured, lambda seen: seen.moments.elongation if seen.moments else None, LEAST)
    doubt = _departures(measured, lambda seen: seen.uncertainty, LEAST)
    found = []
    for index, seen in enumerate(measured):
        reasons: list[tuple[int, float, str, str]] = []  # gravity, measure, sentence, kind
        if seen.problem:
            reasons.append((5 if seen.coverage is None else 4, 0, seen.problem, "problem"))
        if seen.coverage == 0:
            reasons.append((4, 0, "the mask is empty", "empty"))
        z, usual = area[index]
        if abs(z) > DEPARTS and seen.coverage:
            factor = seen.coverage / math.exp(usual)
            reasons.append((3, abs(z), f"area {factor:.2g} times its neighbours' (z {z:+.1f})", "area"))
        z = max(spread[index][0], elongation[index][0], key=abs)
        if abs(z) > DEPARTS:
            reasons.append((3, abs(z), f"shape unlike its neighbours' (z {z:+.1f})", "shape"))
        z, _ = doubt[index]
        if seen.uncertainty is not None and (seen.uncertainty >= UNSURE or z > DEPARTS):
            reasons.append((2, seen.uncertainty, f"uncertain ({seen.uncertainty:.2f})", "uncertain"))
        if seen.edges:
            reasons.append((1, len(seen.edges), f"touches the frame: {', '.join(seen.edges)}", "frame"))
        reasons.sort(reverse=True)
        rank = reasons[0][:2] if reasons else (0, -float(index))
        sentences, kinds = tuple(reason[2] for reason in reasons), tuple(reason[3] for reason in reasons)
        found.append(Finding(seen, sentences, rank, kinds))
    return found


def _departures(
    measured: list[Measurement], value: Callable[[Measurement], float | None], least: float
) -> list[tuple[float, float]]:
    """For each photograph the robust z-score of its value against that expected from its neighbours, and the expected value.

    Both are 0 where fewer than ``FEWEST`` values are known. The scale is the median absolute deviation of all values of the
    folder from their expected ones: how unsteadily the object changes from one photograph to the next.
    """
    known = [(index, found) for index, seen in enumerate(measured) if (found := value(seen)) is not None]
    scores = [(0.0, 0.0)] * len(measured)
    if len(known) < FEWEST:
        return scores
    places = np.array([index for index, _ in known])
    values: npt.NDArray[np.float64] = np.array([found for _, found in known])
    expected = np.array([_expected(places, values, rank) for rank in range(len(values))])
    residuals = values - expected
    scale = max(_NORMAL * float(np.median(np.abs(residuals))), least / DEPARTS)
    for (index, _), residual, usual in zip(known, residuals, expected, strict=True):
        scores[index] = (float(residual / scale), float(usual))
    return scores


def _expected(places: npt.NDArray[np.int64], values: npt.NDArray[np.float64], rank: int) -> float:
    """The line of median slope through the neighbours, at the place of that rank itself: steady change is no departure.

    Source: Sen, Estimates of the regression coefficient based on Kendall's tau, 1968.
    """
    window = np.arange(max(0, rank - NEIGHBOURS), min(len(values), rank + NEIGHBOURS + 1))
    others = window[window != rank]
    steps, near = places[others] - places[rank], values[others]
    first, second = np.triu_indices(len(steps), 1)
    slope = np.median((near[second] - near[first]) / (steps[second] - steps[first]))
    return float(np.median(near - slope * steps))
