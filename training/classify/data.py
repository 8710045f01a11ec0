"""Labelled photographs of sculpture: one folder per type, a ``labels.csv``, or the table that ``assemble`` writes.

    python -m training.classify.data assemble --shared DATA --out CSV [--renders RENDERS/index.csv]

A table has the columns ``path`` (or ``file``; relative to the table), ``types`` (or ``label``; several accepted ones joined by
``|``; ``-`` for no sculpture at all), and optionally ``work`` and ``source``. Photographs of one work never straddle a split:
nor do near duplicates. A ``terms.csv`` beside the table (columns id, name, uri, broader) names the types and their authority
records.
"""

from __future__ import annotations

import csv
import zlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image

from services.common import images
from training.classify import sources
from training.common import photographs
from training.common.bundle import Label

TERMS = "terms.csv"
# Correlation of two 16 x 16 thumbnails from which on they are one photograph; README, "Near duplicates".
NEAR_DUPLICATE = 0.985


class DataError(Exception):
    """The training folder cannot be used; the message names the photographs or types and says what to do."""


@dataclass(frozen=True, slots=True)
class Photo:
    """``types`` are the accepted answers, usually one; none: no sculpture. ``work`` is what splits keep together."""

    path: Path
    types: tuple[str, ...]
    work: str
    source: str


@dataclass(frozen=True)
class Dataset:
    """Readable, distinct photographs and their pixels.

    ``pixels`` uint8 [n, height, width, 3]; ``accepted`` bool [n, classes]; ``works`` int [n];
    ``left_out`` names what was skipped, and why.
    """

    photos: tuple[Photo, ...]
    pixels: np.ndarray
    labels: tuple[Label, ...]
    accepted: np.ndarray
    works: np.ndarray
    left_out: tuple[str, ...]

    @property
    def others(self) -> np.ndarray:
        """bool [n]: shows no sculpture."""
        return ~self.accepted.any(1)

    @property
    def sources(self) -> np.ndarray:
        return np.array([photo.source for photo in self.photos])


def find(data: Path) -> tuple[list[Photo], tuple[Label, ...]]:
    """Read a table, a folder with ``labels.csv``, or a folder of one folder per type.

    Raises :class:`DataError` for an empty folder, labels without photographs and photographs without labels.
    """
    table = data if data.suffix == ".csv" else data / "labels.csv"
    if table.is_file():
        photos = _from_table(table, whole_folder=data.is_dir())
    elif data.is_dir():
        photos = _from_folders(data)
    else:
        raise DataError(f"{data}: no such folder or table")
    if not photos:
        raise DataError(
            f"{data}: holds no photographs; make one folder per type, or a labels.csv with the columns file and label"
        )
    return photos, _labels(photos, table.parent / TERMS)


def load(data: Path, size: tuple[int, int], rule: images.ResizeRule, cache: Path) -> Dataset:
    """Find, read and check: unreadable photographs and copies are left out by name.

    Raises :class:`DataError` as :func:`find` does, and for a type with fewer than two works.
    """
    photos, labels = find(data)
    copies = photographs.duplicates(photo.path for photo in photos)
    left_out = [f"{path}: the same bytes as {kept}" for path, kept in copies.items()]
    photos = [photo for photo in photos if photo.path not in copies]
    pixels, unreadable = photographs.load([photo.path for photo in photos], size, rule, cache=cache)
    left_out += [f"{path}: {why}" for path, why in unreadable]
    skipped = {path for path, _ in unreadable}
    photos = [photo for photo in photos if photo.path not in skipped]
    names = [label.id for label in labels]
    accepted = np.array([[name in photo.types for name in names] for photo in photos]).reshape(len(photos), len(names))
    works = _works(photos, pixels)
    scarce = [name for column, name in enumerate(names) if len(set(works[accepted[:, column]])) < 2]
    if scarce:
        raise DataError(f"{data}: fewer than two works of {', '.join(scarce)}; add photographs of other works or drop the type")
    if len(names) < 2:
        raise DataError(f"{data}: all photographs are of one type, {names[0]}; a classifier needs two")
    return Dataset(tuple(photos), pixels, labels, accepted, works, tuple(left_out))


def folds(data: Dataset, count: int, seed: int) -> np.ndarray:
    """Fold number int [n] of each photograph: works are whole, and every (source, types) pair is spread evenly."""
    kinds: dict[int, tuple[str, tuple[str, ...]]] = {}
    for photo, work in zip(data.photos, data.works, strict=True):
        kinds.setdefault(int(work), (photo.source, photo.types))
    members = defaultdict(list)
    for work, kind in sorted(kinds.items()):
        members[kind].append(work)
    fold_of: dict[int, int] = {}
    for kind, of_kind in sorted(members.items()):
        # Seeded by the kind, so that another source joining the data does not reshuffle this one.
        random = np.random.default_rng((seed, zlib.crc32(repr(kind).encode())))
        offset = int(random.integers(count))
        for position, work in enumerate(random.permutation(of_kind)):
            fold_of[int(work)] = (offset + position) % count
    return np.array([fold_of[int(work)] for work in data.works], int)


def _from_folders(data: Path) -> list[Photo]:
    folders = [path for path in sorted(data.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    found = {folder: photographs.find(folder) for folder in folders}
    if loose := [str(path) for path in photographs.find(data) if path.parent == data]:
        raise DataError(f"{data}: photographs in no type's folder: {_some(loose)}; move them, or write a labels.csv")
    if any(found.values()) and (empty := [folder.name for folder, paths in found.items() if not paths]):
        raise DataError(f"{data}: no photographs of {_some(empty)}; add some of two works or more, or remove the folder")
    return [
        Photo(path, (folder.name,), path.relative_to(data).as_posix(), data.name)
        for folder, paths in found.items()
        for path in paths
    ]


def _from_table(table: Path, *, whole_folder: bool) -> list[Photo]:
    with table.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        columns = set(reader.fieldnames or ())
        rows = list(reader)
    file, types = ("path" if "path" in columns else "file"), ("types" if "types" in columns else "label")
    if not {file, types} <= columns:
        raise DataError(f"{table}: needs the columns file and label (or path and types); it has {', '.join(sorted(columns))}")
    photos = [
        Photo(
            table.parent / row[file],
            tuple(part for part in row[types].split("|") if part),
            row.get("work") or row[file],
            row.get("source") or table.parent.name,
        )
        for row in rows
    ]
    if missing := [str(photo.path) for photo in photos if not photo.path.is_file()]:
        raise DataError(f"{table}: no such photograph: {_some(missing)}")
    if unlabelled := [str(photo.path) for photo in photos if not photo.types]:
        raise DataError(f"{table}: no label for {_some(unlabelled)}")
    photos = [replace(photo, types=()) if photo.types == (sources.NOTHING,) else photo for photo in photos]
    if whole_folder and (extra := sorted(set(photographs.find(table.parent)) - {photo.path for photo in photos})):
        raise DataError(f"{table}: photographs without a row: {_some([str(path) for path in extra])}")
    return photos


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _labels(photos: Sequence[Photo], terms: Path) -> tuple[Label, ...]:
    """The types in the order of ``terms.csv``, which may name more than there are photographs of; else by name."""
    used = {name for photo in photos for name in photo.types}
    known = {}
    if terms.is_file():
        with terms.open(newline="", encoding="utf-8-sig") as stream:
            known = {row["id"]: Label(**{key: value or None for key, value in row.items()}) for row in csv.DictReader(stream)}
    plain = {name: Label(id=name, name=name.replace("_", " ").capitalize()) for name in sorted(used - known.keys())}
    return tuple(label for name, label in (known | plain).items() if name in used)


def _works(photos: Sequence[Photo], pixels: np.ndarray) -> np.ndarray:
    """Work numbers int [n]; works that share a near-duplicate photograph become one (union-find)."""
    names = [f"{photo.source}/{photo.work}" for photo in photos]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    parent = list(range(len(numbers)))

    def root(work: int) -> int:
        while parent[work] != work:
            work = parent[work]
        return work

    thumbs = np.array([_thumbnail(picture) for picture in pixels])
    for index, own in enumerate(thumbs):
        for other in np.flatnonzero(thumbs[:index] @ own >= NEAR_DUPLICATE):
            first, second = sorted((root(numbers[names[index]]), root(numbers[names[other]])))
            parent[second] = first
    return np.array([root(numbers[name]) for name in names], int)


def _thumbnail(picture: np.ndarray) -> np.ndarray:
    """float32 [768], of length 1 and mean 0, so that the product of two is their correlation."""
    small = np.asarray(Image.fromarray(picture).resize((16, 16), Image.Resampling.BOX), np.float32).reshape(-1)
    small -= small.mean()
    return small / max(float(np.linalg.norm(small)), 1e-6)


app = typer.Typer(help=__doc__, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Keeps ``assemble`` a word of the command line while it is the only one."""


@app.command()
def assemble(
    shared: Annotated[Path, typer.Option(help="the folder that holds the sets named in mapping.csv")],
    out: Annotated[Path, typer.Option(help="the table to write; terms.csv is written beside it")],
    renders: Annotated[Path | None, typer.Option(help="index.csv of `python -m training.render types`")] = None,
    others: Annotated[list[Path] | None, typer.Option(help="a folder without sculpture (repeat), to abstain from")] = None,
) -> None:
    """Write one table of the real sets, by mapping.csv and corrections.csv, and of rendered types."""
    try:
        rows = sources.assemble(shared, out, renders, others or ())
    except sources.SourceError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None
    for (source, types), count in sorted(Counter((row["source"], row["types"]) for row in rows).items()):
        typer.echo(f"{count:6d}  {source:28s} {types}")


if __name__ == "__main__":
    app()
