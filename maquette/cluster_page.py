"""The page of ``maquette cluster``: a map of the collection, its groups, and what may not be concluded from them."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from maquette import layout, sections
from maquette.columns import Columns
from maquette.gather import Gathered
from maquette.links import text
from maquette.page import Column, Page, Section

NEAREST = 8
_SHOWN = 6  # works of a group that a card shows
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
    "Several photographs of one work, or of its details, count as works of their own here.",
)


def page(
    title: str,
    gathered: Gathered,
    clusters: Sequence[Any],
    user: tuple[Columns | None, list[str] | None],
    provenance: list[tuple[str, str]],
) -> Page:
    """``clusters`` are the contract's ``Cluster`` messages; at least one work was answered."""
    vectors = gathered.vectors
    records, columns = gathered.records, gathered.user_columns(*user)
    names = {cluster.id: f"Group {cluster.id}" for cluster in clusters}
    of = [record["assignments"][0]["cluster"] for record in records]
    own = [
        Column("group", "category", [names.get(number, f"Group {number}") for number in of], list(names.values())),
        Column("q", "number", [record["assignments"][0]["q"] for record in records]),
        *columns,
        Column("runner-up", "category", [_runner_up(record, names) for record in records], list(names.values())),
        Column("runner-up q", "number", [(*record["assignments"], {})[1].get("q") for record in records]),
        Column("between groups", "category", ["yes" if record["between"] else "no" for record in records]),
        Column("reference works like it", "text", [_like(record) for record in records]),
        Column("sha256", "text", [record["sha256"] for record in records]),
    ]
    groups = sum(1 for number in names if number in set(of))
    between = sum(bool(record["between"]) for record in records)
    return Page(
        title=f"{title}: visual groups",
        summary=f"{len(records):,} works in {groups} of {len(names)} groups, {between:,} of them between two.",
        photographs=gathered.works,
        layouts=list(layout.layouts(vectors)),
        columns=own,
        sections=[
            Section("The groups", _cards(clusters, of, records)),
            Section("What may not be concluded", sections.listed(_CAUTIONS)),
            *sections.failures(gathered),
            Section("How this was made", sections.facts(provenance)),
        ],
        near=layout.nearest(vectors, NEAREST).tolist(),
    )


def _runner_up(record: Any, names: dict[int, str]) -> str:
    number = (*record["assignments"], {})[1].get("cluster")
    return "" if number is None else names.get(number, f"Group {number}")


def _like(record: Any) -> str:
    return "; ".join(f"{one['id']} ({one['distance']:.2f})" for one in record["neighbours"])


def _cards(clusters: Sequence[Any], of: list[int], records: list[Any]) -> str:
    q = np.array([record["assignments"][0]["q"] for record in records])
    numbers = np.array(of)
    return '<div class="cards">' + "".join(_card(cluster, numbers, q, records) for cluster in clusters) + "</div>"


def _card(cluster: Any, numbers: Any, q: Any, records: list[Any]) -> str:
    members = np.flatnonzero(numbers == cluster.id)
    best = members[np.argsort(-q[members], kind="stable")]
    between = sum(bool(records[work]["between"]) for work in members)
    lines = [f"<h3>Group {cluster.id}</h3>"]
    if len(members):
        share = len(members) / len(records)
        lines += [
            f"<p>{len(members):,} works here ({share:.1%}); median q {np.median(q[members]):.2f}; "
            f"{between:,} between groups.</p>",
            f"<p>Most typical here</p>{_works(best[:_SHOWN])}",
        ]
        if len(best) > _SHOWN:
            lines.append(f"<p>Least sure here</p>{_works(best[: -_SHOWN - 1 : -1])}")
    else:
        lines.append("<p>No work of this collection.</p>")
    lines.append(
        f"<p>In the reference collection: {cluster.size:,} works, silhouette {cluster.silhouette:.2f} "
        f"({_verdict(cluster.silhouette)}).</p>"
        f"{_files('Exemplars', cluster.exemplars)}{_files('Outliers', cluster.outliers)}"
    )
    return f'<div class="card">{"".join(lines)}</div>'


def _verdict(silhouette: float) -> str:
    if silhouette < _WEAK:
        return "hardly a group"
    return "a weak group" if silhouette < _REASONABLE else "a clear group"


def _works(places: Iterable[int]) -> str:
    return f'<div class="works" data-works="{" ".join(map(str, places))}"></div>'


def _files(title: str, names: Sequence[str]) -> str:
    if not names:
        return f'<p class="files">{title}: none</p>'
    return f'<p class="files">{title}: {html.escape(text(", ".join(names)))}</p>'
