"""The page of ``maquette cluster``: a map of the collection, its groups, and what may not be concluded from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from maquette.maps import projection
from maquette.maps.catalogue import Collection
from maquette.maps.gather import Gathered
from maquette.maps.html import Column, Page, Section

NEAREST = 8
_SHOWN = 6  # works of a group that a card shows
_SAME = 0.01  # distance up to which a work is taken for the reference work: the same photograph, perhaps encoded anew
# Kaufman and Rousseeuw, Finding groups in data, 1990, chapter 2: below a quarter no structure was found, above a half it was.
_WEAK, _REASONABLE = 0.25, 0.5

_CAUTIONS = (
    "The groups are of how pictures look to one model, trained on its own reference collection. That is no attribution, dating "
    "or authentication, and a group is no school or period unless something other than this map says so.",
    "Every work is put in a group, also one that is like none of them. q says how near the work lies to the group's centre "
    "compared with the other centres; it is not the probability that the group is right.",
    "Where a work lies between groups, its group is nearly a matter of chance: read both.",
    "Neighbours look alike to the model. Likeness is not influence; a shared frame, backdrop or crop makes works alike too.",
    "On the map only closeness is worth reading: arrange the works in another way and see what stays. Area, shape and the "
    "distances between clumps depend on the arrangement.",
    "Photographs of one work count as one where the collection's ids say so: it is shown by the photograph that is nearest to "
    "the middle of them. Without ids, each photograph counts as a work of its own.",
)


def page(
    title: str,
    gathered: Gathered,
    clusters: Sequence[Any],
    collection: Collection,
    provenance: list[tuple[str, str]],
) -> Page:
    """``clusters`` are the contract's ``Cluster`` messages; at least one work was answered."""
    vectors, records = gathered.vectors, gathered.records
    names = {cluster.id: f"Group {cluster.id}" for cluster in clusters}
    of = [record["assignments"][0]["cluster"] for record in records]
    first = [
        Column("group", "category", [names.get(number, f"Group {number}") for number in of], list(names.values())),
        Column("q", "number", [record["assignments"][0]["q"] for record in records]),
    ]
    more = [
        *gathered.view_count(),
        Column("runner-up", "category", [_runner_up(record, names) for record in records], list(names.values())),
        Column("runner-up q", "number", [(*record["assignments"], {})[1].get("q") for record in records]),
        Column("between groups", "category", ["yes" if record["between"] else "no" for record in records]),
        Column("reference works like it", "text", [_like(record) for record in records]),
        Column("sha256", "text", [record["sha256"] for record in records]),
    ]
    users = gathered.user_columns(collection, [column.name for column in (*first, *more)])
    groups = sum(1 for number in names if number in set(of))
    between = sum(bool(record["between"]) for record in records)
    return Page(
        title=f"{title}: visual groups",
        summary=f"{len(records):,} works in {groups} of {len(names)} groups, {between:,} of them between two.",
        photographs=gathered.works,
        names=gathered.names,
        layouts=list(projection.layouts(vectors)),
        columns=[*first, *users, *more],
        sections=[
            Section("The groups", "cards", _cards(clusters, of, records)),
            Section("What may not be concluded", "sentences", _CAUTIONS),
            *gathered.failures(),
            Section("How this was made", "facts", provenance),
        ],
        near=projection.nearest(vectors, NEAREST).tolist(),
        views=gathered.views,
    )


def _runner_up(record: Any, names: dict[int, str]) -> str:
    number = (*record["assignments"], {})[1].get("cluster")
    return "" if number is None else names.get(number, f"Group {number}")


def _like(record: Any) -> str:
    return "; ".join(f"{one['id']} ({one['distance']:.2f})" for one in record["neighbours"])


@dataclass(frozen=True)
class Card:
    """What the page says of one group. ``works`` and ``files`` are lists with a title; works are places on the map."""

    title: str
    sentences: Sequence[str]
    works: Sequence[tuple[str, list[int]]]
    reference: str
    files: Sequence[tuple[str, Sequence[str]]]


def _cards(clusters: Sequence[Any], of: list[int], records: list[Any]) -> list[Card]:
    q = np.array([record["assignments"][0]["q"] for record in records])
    numbers = np.array(of)
    here = {
        one["id"]: work for work, record in enumerate(records) for one in record["neighbours"][:1] if one["distance"] <= _SAME
    }
    return [_card(cluster, numbers, q, records, here) for cluster in clusters]


def _card(cluster: Any, numbers: Any, q: Any, records: list[Any], here: dict[str, int]) -> Card:
    """``here`` are the reference works that are also works of this collection, and so have a picture."""
    members = np.flatnonzero(numbers == cluster.id)
    best = members[np.argsort(-q[members], kind="stable")].tolist()
    between = sum(bool(records[work]["between"]) for work in best)
    said = "No work of this collection."
    if best:
        share = len(best) / len(records)
        said = f"{len(best):,} works here ({share:.1%}); median q {np.median(q[members]):.2f}; {between:,} between groups."
    least = best[: -_SHOWN - 1 : -1] if len(best) > _SHOWN else []
    files = (("Exemplars", list(cluster.exemplars)), ("Outliers", list(cluster.outliers)))
    pictures = [
        (f"{title} of the reference collection", [here[name] for name in names if name in here]) for title, names in files
    ]
    return Card(
        f"Group {cluster.id}",
        [said],
        [("Most typical here", best[:_SHOWN]), ("Least sure here", least), *pictures],
        f"In the reference collection: {cluster.size:,} works, silhouette {cluster.silhouette:.2f} "
        f"({_verdict(cluster.silhouette)}).",
        [
            (f"{title}, not among these works", rest)
            for title, names in files
            if (rest := [one for one in names if one not in here])
        ],
    )


def _verdict(silhouette: float) -> str:
    if silhouette < _WEAK:
        return "hardly a group"
    return "a weak group" if silhouette < _REASONABLE else "a clear group"
