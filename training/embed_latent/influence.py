"""Which groups lie near which: python -m training.embed_latent.influence --labels labels.csv --data DIR --out OUT

Writes OUT/pairs.csv, OUT/betweens.csv, a plot per group and OUT/page.md, which says in words what may and may not be concluded.
``labels.csv`` has the columns file and label; original_name tells views of one object; --confounder names any further column.
"""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from services.common import images, models
from training.common import photographs, runs
from training.embed_latent import comparison, data, plots
from training.embed_latent.comparison import Between, ComparisonError, Pair
from training.embed_latent.eye import TrainingError
from training.embed_latent.train import plainly

SPACES = ("plane", "features")


@dataclass(frozen=True)
class Objects:
    """One row an object: the means of its views. ``points`` maps a space to float [n, d]; ``strata`` the confounder or None."""

    points: dict[str, np.ndarray]
    groups: np.ndarray
    strata: np.ndarray | None


def read(table: Path, folder: Path, confounder: str | None) -> list[dict[str, str]]:
    """The table's rows. Raises :class:`data.DataError` for a missing table, column or file."""
    if not table.is_file():
        raise data.DataError(f"{table}: no such table; it needs the columns file and label")
    with table.open(newline="", encoding="utf-8-sig") as stream:
        rows = list(csv.DictReader(stream))
    for column in ("file", "label", *([confounder] if confounder else [])):
        if not rows or column not in rows[0]:
            raise data.DataError(f"{table}: has no column {column!r}")
    missing = [row["file"] for row in rows if not (folder / row["file"]).is_file()]
    if missing:
        raise data.DataError(f"{table}: labels {len(missing)} file(s) that are not in {folder}, the first is {missing[0]}")
    return rows


def embed(bundle: models.Bundle, paths: list[Path]) -> dict[str, np.ndarray]:
    """The bundle's ``plane`` float32 [n, 2] and ``features`` float32 [n, d] of photographs, prepared as served."""
    wanted = bundle.manifest.input
    pixels, bad = photographs.load(paths, (wanted.height, wanted.width), images.ResizeRule(wanted.resize))
    if bad:
        raise data.DataError(f"{bad[0][0]}: {bad[0][1]} ({len(bad)} unreadable in all; mend or unlist them)")
    answers = [bundle.run(pixels[at : at + 16]) for at in range(0, len(pixels), 16)]
    return {
        space: np.concatenate([answer[name] for answer in answers])
        for space, name in zip(SPACES, ("latent", "features"), strict=True)
    }


def join_views(points: dict[str, np.ndarray], rows: list[dict[str, str]], confounder: str | None) -> Objects:
    """Photographs -> objects: two views of one figurine are one witness, not two."""
    names = [(row["label"], data.object_name(row.get("original_name") or row["file"])) for row in rows]
    _, first, index = np.unique([f"{label}\0{name}" for label, name in names], return_index=True, return_inverse=True)
    joined = {
        space: np.stack([values[index == number].mean(axis=0) for number in range(len(first))])
        for space, values in points.items()
    }
    strata = np.array([rows[at][confounder] for at in first]) if confounder else None
    return Objects(joined, np.array([rows[at]["label"] for at in first]), strata)


def compare(
    objects: Objects, *, seed: int, bootstrap: int = 500, permutations: int = 999
) -> dict[str, tuple[list[Pair], list[Between]]]:
    """All pairs and all betweens in each space. Raises :class:`ComparisonError`."""
    rng = np.random.default_rng(seed)
    return {
        space: (
            comparison.pairs(points, objects.groups, objects.strata, rng=rng, bootstrap=bootstrap, permutations=permutations),
            comparison.betweens(points, objects.groups, rng=rng, bootstrap=bootstrap),
        )
        for space, points in objects.points.items()
    }


def _pair_words(pair: Pair, confounder: str | None) -> str:
    text = f"**{pair.one} and {pair.other}**: {pair.distance:.3g} ({pair.low:.3g} to {pair.high:.3g}), p = {pair.p:.3f}."
    if pair.p > 0.05:
        text += " They cannot be told apart here, which is not to say that they are alike."
    if confounder and pair.p_within is None:
        return f"{text} No {confounder} has two works of each, so **nothing tells this distance from the {confounder}'s own**."
    if confounder:
        verdict = "It stands" if pair.p_within <= 0.05 else "**It does not stand**"
        text += (
            f" {verdict} when only works of one {confounder} are compared with each other: {pair.within:.3g},"
            f" p = {pair.p_within:.3f}, on {pair.shared:.0%} of the smaller group."
        )
    return text


def _between_words(found: Between) -> str:
    share = f"{found.share:.0%} {found.one} ({found.share_low:.0%} to {found.share_high:.0%})"
    if found.between:
        return f"**{found.group} lies between {found.one} and {found.other}**: a mixture of {share}, missing {found.miss:.0%}."
    near = f"lies nearer to {found.nearer}" if found.nearer else "lies nearer to neither"
    return (
        f"{found.group} is no mixture of {found.one} and {found.other} (nearest {share}, missing {found.miss:.0%}); it {near}."
    )


_TAUGHT = """> **The model was taught to tell {groups} apart**, {where}. That they lie apart shows that it learnt
> to, and how far apart is the teaching's doing; neither speaks of influence. Ask a model trained without labels
> (`--configuration unlabelled`).
"""
_WHERE = {"held": "on other objects than these", "train": "on these very objects", None: "on most of these very objects"}
_PAGE = """# How near the groups lie

Made by `{command}`, model {space}, seed {seed}.

{total} objects, views of one object joined: {counts}.

{taught}{found}
## What may be concluded

- {closest}
- A small p says that two groups of *photographs* differ to this network, more than reshuffled names would.
- Distances carry no bias from unequal group sizes; small groups show in wide intervals.

## What may not be concluded

- Influence. A group between two others may descend from both, precede both, share their clay or their photographer.
- Likeness in what the network does not see: size in the hand, fabric, technique, inscription, findspot, date.
- Anything about objects of which these are no fair sample. What was kept, bought and photographed was not chance.
- That the confounders not named here ({unnamed}) are innocent.
- Much from one of {tests} tests at p just below 0.05: so many tests yield such a one by chance.

Distances: energy distance, unbiased (distinct pairs). Intervals: 95 %, Bayesian bootstrap over objects. p: permutation of
names.
"""


def page(
    results: dict[str, tuple[list[Pair], list[Between]]], objects: Objects, facts: dict[str, Any], confounder: str | None
) -> str:
    """The answer in words, Markdown. ``facts``: ``command``, ``space``, ``seed``, ``taught`` (groups trained on), ``part``."""
    counts = Counter(objects.groups.tolist())
    taught = sorted(set(counts) & set(facts["taught"]))
    found, closest = [], []
    for space, (pair_list, between_list) in results.items():
        ordered = sorted(pair_list, key=lambda pair: pair.distance)
        closest.append((ordered[0].one, ordered[0].other))
        found += [f"## In the {'latent plane' if space == 'plane' else 'wider features'}", ""]
        found += [f"- {_pair_words(pair, confounder)}" for pair in ordered]
        found += ["", *[f"- {_between_words(row)}" for row in between_list], ""]
    if len(set(closest)) == 1:
        sentence = f"The closest pair is {closest[0][0]} and {closest[0][1]}, in the plane and in the features."
    else:
        sentence = "Plane and features disagree on which pair is closest: conclude nothing from either about that."
    return _PAGE.format(
        command=facts["command"],
        space=facts["space"],
        seed=facts["seed"],
        total=len(objects.groups),
        counts=", ".join(f"{name} {count}" for name, count in sorted(counts.items())),
        taught=_TAUGHT.format(groups=", ".join(taught), where=_WHERE[facts["part"]]) + "\n" if taught else "",
        found="\n".join(found),
        closest=sentence,
        unnamed=f"any but {confounder}" if confounder else "all of them",
        tests=sum(len(pair_list) for pair_list, _ in results.values()) * (2 if confounder else 1),
    )


def main(
    labels: Annotated[Path, typer.Option(help="table: file, label, and any confounder's column")],
    data_: Annotated[Path | None, typer.Option("--data", help="folder that the files are in; default: the table's own")] = None,
    model: Annotated[Path | None, typer.Option(help="bundle; default: the newest in exported_models")] = None,
    out: Annotated[Path, typer.Option(help="folder for tables, plots and the page")] = Path("influence"),
    confounder: Annotated[str | None, typer.Option(help="column to hold fixed: source, photographer, background ...")] = None,
    part: Annotated[
        str | None, typer.Option(help="only works that the bundle's reference lists in this split: held or train")
    ] = None,
    seed: Annotated[int, typer.Option(help="of bootstrap and permutations")] = 0,
) -> None:
    """Compare groups of photographs in the latent plane and in the wider features."""
    with plainly():
        try:
            folder = data_ or labels.parent
            rows = read(labels, folder, confounder)
            bundle = models.load(model or models.latest(Path("exported_models"), "embed_latent"))
            if part not in (None, "held", "train"):
                raise data.DataError(f"--part {part}: choose held or train")
            if part:
                with np.load(bundle.path / "reference.npz") as reference:
                    chosen = set(reference["ids"][reference["split"] == part].tolist())
                rows = [row for row in rows if row["file"] in chosen]
                if not rows:
                    raise data.DataError(f"--part {part}: the bundle's reference lists none of these files in that split")
            objects = join_views(embed(bundle, [folder / row["file"] for row in rows]), rows, confounder)
            results = compare(objects, seed=seed)
        except (ComparisonError, models.BundleError) as error:
            raise TrainingError(str(error)) from error
        details = bundle.manifest.details
        used = any(details.get("labels_used_in_training", {}).values())
        command = f"python -m training.embed_latent.influence --labels {labels.name}"
        for option, value in (("--confounder", confounder), ("--part", part)):
            command += f" {option} {value}" if value else ""
        facts = {
            "command": command,
            "space": bundle.manifest.embedding_space,
            "seed": seed,
            "taught": details["groups"] if used else [],
            "part": part,
        }
        write(out, results)
        scale = float(np.sqrt(details["prior"]["covariance"][0][0]))
        plots.groups_on_plane(objects.points["plane"], objects.groups, out, scale)
        text = page(results, objects, facts, confounder)
        with runs.whole(out / "page.md") as temporary:
            temporary.write_text(text, encoding="utf-8")
        typer.echo(text)


def write(out: Path, results: dict[str, tuple[list[Pair], list[Between]]]) -> None:
    """``pairs.csv`` and ``betweens.csv``, a row a comparison and space, and both as ``influence.json``."""
    for number, name in enumerate(("pairs", "betweens")):
        rows = [{"space": space, **asdict(row)} for space, lists in results.items() for row in lists[number]]
        if rows:
            with runs.whole(out / f"{name}.csv") as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
                writer = csv.DictWriter(stream, rows[0].keys())
                writer.writeheader()
                writer.writerows(rows)
    named = {
        space: {"pairs": list(map(asdict, pair_list)), "betweens": list(map(asdict, between_list))}
        for space, (pair_list, between_list) in results.items()
    }
    runs.write_json(out / "influence.json", named)


if __name__ == "__main__":
    typer.run(main)
