"""The page of ``maquette embed --page``: works and reference points in the latent plane, group by group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from maquette.maps import projection
from maquette.maps.catalogue import Collection
from maquette.maps.gather import Gathered
from maquette.maps.html import Column, Page, Section
from maquette.maps.projection import Array, Layout

NEAREST = 8
_OWN = (
    "standard deviations from the prior's centre",
    "unlike the training photographs",
    "nearest reference points",
    "sha256",
    "photographs",
)
_REFERENCES = 5  # nearest reference points that are named, and counted by group

_CAUTIONS = (
    "A place in the plane is how a photograph looks to one encoder: pose, light, camera and background are in it beside the "
    "figure. Works that lie together look alike to it. That is no influence, no common workshop and no date.",
    "Two dimensions hold little: groups that coincide here can be apart in the encoder's wider features.",
    "The dashed ellipses are the prior's 1, 2 and 3 standard deviations, which would hold 39, 86 and 99 of 100 points. What "
    "lies outside the third, or is marked unlike the training photographs, has no place that could be read.",
    "Contours are smoothed from the points: the inner one holds half of a group, the outer nine tenths. A group of fewer than "
    "8 has none, and that of a small group says little.",
    "The reference points are the photographs that the model was trained on, which lie more neatly than new ones.",
    "Photographs of one object lie together, and count as several unless the collection's ids say which they are: then the "
    "object is shown once, by the photograph that is nearest to the middle of them. Where groups come from different museums, "
    "photographers or backgrounds, it may be these that the plane keeps apart.",
    "Whether two groups are nearer to each other than to a third is a question for a test with intervals, corrected for group "
    "sizes and such confounders, and not for the eye.",
)


def page(
    title: str,
    gathered: Gathered,
    space: Any,
    collection: Collection,
    provenance: list[tuple[str, str]],
) -> Page:
    """``space`` is the contract's ``GetSpaceResponse``; at least one work was answered."""
    vectors, references = gathered.vectors, _points(space)
    everything = np.concatenate([vectors, references])
    axes = [f"latent {axis + 1}" for axis in range(everything.shape[1])]
    own = gathered.user_columns(collection, [*axes, *_OWN])
    grouping = next(
        (column for column in own if column.kind == "category"), Column("group", "category", [title] * len(vectors))
    )
    groups = [str(value or "no value") for value in grouping.values]
    like = {f"{point.group or 'all'} (reference)": point.group for point in space.points}
    of = [f"{point.group or 'all'} (reference)" for point in space.points]
    mean, deviation = np.array(space.prior_mean), np.array(space.prior_standard_deviation)
    near = _nearest_references(vectors, references)
    records, no_number, no_text = gathered.records, [None] * len(of), [""] * len(of)
    columns = [
        Column(grouping.name, "category", [*groups, *of], [*sorted(set(groups)), *sorted(set(of))], like),
        *(
            Column(
                one.name,
                one.kind,
                [*one.values, *(no_number if one.kind == "number" else no_text)],
                one.order,
                texts=[*one.texts, *no_text] if one.texts else (),
            )
            for one in (*own, *gathered.view_count())
            if one is not grouping
        ),
        *(Column(name, "number", everything[:, axis].tolist()) for axis, name in enumerate(axes)),
        Column(_OWN[0], "number", [*(one["prior_distance"] for one in records), *no_number]),
        Column(
            _OWN[1],
            "category",
            [*("yes" if one["unlike_training"] else "no" for one in records), *no_text],
            ("yes", "no"),
        ),
        Column(_OWN[2], "text", [*(_named(space, row) for row in near), *no_text]),
        Column(_OWN[3], "text", [*(one["sha256"] for one in records), *no_text]),
    ]
    summary = f"{len(records):,} works"
    if of:
        summary += f" beside {len(of):,} reference points of {len(set(of)):,} groups (hollow marks)"
    body = _groups(groups, [one["prior_distance"] for one in records], [one["unlike_training"] for one in records], near, of)
    return Page(
        title=f"{title}: the latent plane",
        summary=f"{summary}.",
        photographs=gathered.works,
        names=gathered.names,
        layouts=_layouts(everything),
        columns=columns,
        sections=[
            Section("The groups", "table", body),
            Section("What may not be concluded", "sentences", _CAUTIONS),
            *gathered.failures(),
            Section("How this was made", "facts", provenance),
        ],
        near=projection.nearest(vectors, NEAREST).tolist(),
        references=[point.id for point in space.points],
        ellipses=_ellipses(mean, deviation) if everything.shape[1] == 2 else (),
        contours=True,
        views=gathered.views,
    )


@dataclass(frozen=True)
class Table:
    """Plain cells; each row has a name before them."""

    head: Sequence[str]
    rows: Sequence[tuple[str, Sequence[str]]]


def _points(space: Any) -> Array:
    points = np.array([list(point.latent) for point in space.points], np.float32)
    return points.reshape(len(space.points), space.dimensions)


def _layouts(everything: Array) -> list[Layout]:
    if everything.shape[1] != 2:
        return list(projection.layouts(everything))
    note = "The latent plane itself, in the units of the prior; distances are those of the model."
    return [Layout("Latent plane", everything, note, ("latent 1", "latent 2"))]


def _ellipses(
    mean: npt.NDArray[Any], deviation: npt.NDArray[Any]
) -> list[tuple[tuple[float, float], tuple[float, float], str]]:
    if len(mean) != 2 or len(deviation) != 2:
        return []
    centre = (float(mean[0]), float(mean[1]))
    return [(centre, (float(n * deviation[0]), float(n * deviation[1])), f"{n}σ") for n in (1, 2, 3)]


def _nearest_references(vectors: Array, references: Array) -> list[list[int]]:
    """Of each work the nearest reference points, nearest first."""
    if not len(references):
        return [[] for _ in vectors]
    return [np.argsort(((references - one) ** 2).sum(axis=1), kind="stable")[:_REFERENCES].tolist() for one in vectors]


def _named(space: Any, places: Sequence[int]) -> str:
    return "; ".join(f"{space.points[place].id} ({space.points[place].group})" for place in places)


def _groups(
    groups: Sequence[str], distances: Sequence[float], unlike: Sequence[bool], near: list[list[int]], of: Sequence[str]
) -> Table:
    head = ["Group", "Works", "Within 3σ", "Unlike the training photographs"]
    head += [f"Of their {_REFERENCES} nearest: {name}" for name in sorted(set(of))]
    rows = []
    for name in sorted(set(groups)):
        members = [work for work, group in enumerate(groups) if group == name]
        inside = sum(distances[work] <= 3 for work in members) / len(members)
        close = [of[place] for work in members for place in near[work]]
        rows.append(
            (
                name,
                [
                    f"{len(members):,}",
                    f"{inside:.0%}",
                    f"{sum(bool(unlike[work]) for work in members) / len(members):.0%}",
                    *(f"{close.count(other) / len(close):.0%}" for other in sorted(set(of))),
                ],
            )
        )
    return Table(head, rows)
