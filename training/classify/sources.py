"""From the sets of real sculpture, each with labels of its own, to one table with the types of ``terms.csv``.

What is written down, not coded: ``mapping.csv`` says which label of which set means which types; ``corrections.csv`` holds what
was seen by eye to be otherwise, photograph by photograph (an empty ``types`` leaves the photograph out).
"""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from training.common import photographs, runs

_HERE = Path(__file__).parent
COLUMNS = ("path", "types", "work", "source")
# In the place of a type: a photograph that shows no sculpture.
NOTHING = "-"
# Of one folder without sculpture; more of the same teach nothing new.
MOST_OTHERS = 180
Row = dict[str, str]


class SourceError(Exception):
    """A set cannot be read; the message names it."""


def assemble(shared: Path, out: Path, renders: Path | None, others: Sequence[Path] = ()) -> list[Row]:
    """Write the table ``out`` and ``terms.csv`` beside it; return its rows. Paths are relative to the table.

    ``others`` are folders without sculpture, of each of which ``MOST_OTHERS`` photographs are taken, evenly spaced.

    Raises :class:`SourceError` for a set that is not there or holds a label that ``mapping.csv`` does not know.
    """
    mapping = {(row["source"], row["label"]): row["types"] for row in _read(_HERE / "mapping.csv")}
    corrections = {(row["source"], row["file"]): row["types"] for row in _read(_HERE / "corrections.csv")}
    rows = []
    for source in dict.fromkeys(source for source, _ in mapping):
        if not (shared / source).is_dir():
            raise SourceError(f"{shared / source}: no such folder")
        for path, label, work in _labelled(shared / source):
            if (source, label) not in mapping:
                raise SourceError(f"{shared / source}: its label {label!r} is not in mapping.csv")
            types = corrections.get((source, path.stem), mapping[source, label])
            if types:
                rows.append(_row(path, types, work, source, out))
    if renders is not None:
        if not renders.is_file():
            raise SourceError(f"{renders}: no such table; make it with python -m training.render types")
        rows += [_row(renders.parent / row["file"], row["type"], row["work"], "renders", out) for row in _read(renders)]
    for folder in others:
        if not (found := photographs.find(folder)):
            raise SourceError(f"{folder}: holds no photographs")
        name = folder.parent.name if folder.name == "images" else folder.name
        rows += [_row(path, NOTHING, path.stem, name, out) for path in found[:: -(-len(found) // MOST_OTHERS)]]
    with runs.whole(out) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    with runs.whole(out.parent / "terms.csv") as temporary:
        shutil.copyfile(_HERE / "terms.csv", temporary)
    return rows


def _labelled(folder: Path) -> Iterator[tuple[Path, str, str]]:
    """(photograph, the set's own label, work) of one set, whichever of the three ways it keeps its labels."""
    if (folder / "labels.csv").is_file():
        for row in _read(folder / "labels.csv"):
            # Titles repeat over shabtis and kings as well as over views of one statue: kept together, either way.
            yield folder / row["file"], row["label"], row.get("title") or row["file"]
    elif (folder / "index.csv").is_file():
        for row in _read(folder / "index.csv"):
            yield folder / row["class"] / f"{row['name']}.jpg", row["class"], row["near_duplicate_of"] or row["name"]
    else:
        for path in photographs.find(folder):
            yield path, "", path.stem


def _row(path: Path, types: str, work: str, source: str, out: Path) -> Row:
    relative = Path(os.path.relpath(path.resolve(), out.parent.resolve()))
    return {"path": relative.as_posix(), "types": types, "work": work, "source": source}


def _read(table: Path) -> list[Row]:
    with table.open(newline="", encoding="utf-8-sig") as stream:
        return list(csv.DictReader(stream))
