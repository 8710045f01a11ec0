"""The user's own columns: a CSV file that says something about each photograph, or about each object."""

from __future__ import annotations

import csv
import posixpath
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from maquette.client.errors import FileFailed, make
from maquette.folders.photographs import Photograph
from maquette.records.ids import IdFrom, composed


@dataclass(frozen=True)
class Columns:
    """What the file says. ``values`` has for each column a text for each photograph, empty where there is none.

    ``ids`` are the objects' ids, empty where unknown. ``unmatched``, ``ambiguous`` and ``repeated`` are first cells of rows
    that were not used: they name no photograph, several, or one that an earlier row names. ``without`` counts photographs
    that no row names.
    """

    source: str
    values: dict[str, list[str]]
    ids: list[str]
    unmatched: list[str]
    ambiguous: list[str]
    repeated: list[str]
    without: int

    def remarks(self) -> list[str]:
        """How many matched, and what was not used, in sentences."""
        total = len(self.ids)
        said = [f"{total - self.without} of {total} photographs have a row in {self.source}."]
        reasons = (
            (self.unmatched, "no photograph here is so named"),
            (
                self.ambiguous,
                "several photographs are so named; write more of the path, or give --id-from stem if they show one object",
            ),
            (self.repeated, "an earlier row is of the same photograph"),
        )
        for cells, reason in reasons:
            if cells:
                said.append(f"Rows of {self.source} that were not used: {len(cells)}, the first {cells[0]!r}: {reason}.")
        return said


@dataclass(frozen=True)
class Collection:
    """The photographs of a run, the id of each one's object (empty: unknown), and what the user's catalogue says of them."""

    found: Sequence[Photograph]
    ids: Sequence[str]
    columns: Columns | None = None

    @property
    def folders(self) -> list[str] | None:
        """The sub-folder of each photograph; None when there are not two."""
        names = [photograph.name.parent.as_posix() for photograph in self.found]
        return names if len(set(names)) > 1 else None


def read(path: Path, found: Sequence[Photograph], id_from: IdFrom | None = None) -> Columns:
    """Match rows to photographs by their first cell.

    That is the photograph's path within its folder, or the end of its path, its bare name say, with or without suffix; or,
    where ids come from names, an id, whose row is for all photographs of it. UTF-8; commas, semicolons or tabs between cells.
    Raises :class:`FileFailed`, :class:`ParameterInvalid`.
    """
    header, *rows = _rows(path)
    names = [name.strip() for name in header[1:]]
    if not names or not all(names) or len(set(names)) < len(names):
        raise make(
            "PARAMETER_INVALID", f"{path} needs a first line that names each column once, the photograph's column first."
        )
    ids = (id_from.of_names(found) if id_from else None) or [""] * len(found)
    places = _Places(found, ids)
    values = {name: [""] * len(found) for name in names}
    id_column = _id_column(path, header, id_from)
    taken: set[int] = set()
    unmatched, ambiguous, repeated = [], [], []
    for row in rows:
        named, is_id = places.of(row[0])
        if not named:
            unmatched.append(row[0])
        elif len(named) > 1 and not is_id:
            ambiguous.append(row[0])
        elif taken.issuperset(named):
            repeated.append(row[0])
        else:
            for place in named:
                taken.add(place)
                for name, cell in zip(names, row[1:], strict=False):
                    values[name][place] = cell.strip()
                if id_column is not None:
                    ids[place] = composed(row[id_column].strip()) if id_column < len(row) else ""
                elif id_from is None and places.is_stem(row[0]):
                    ids[place] = composed(row[0].strip())
    if not taken:
        raise make(
            "PARAMETER_INVALID",
            f"No row of {path} names a photograph: its first column, {header[0]!r}, should hold names such as "
            f"{found[0].name.as_posix()!r}; the first row holds {rows[0][0] if rows else ''!r}."
            + (f" {len(ambiguous)} rows name several photographs." if ambiguous else ""),
        )
    if id_column:
        del values[header[id_column].strip()]  # the work's name already
    return Columns(path.name, values, ids, unmatched, ambiguous, repeated, len(found) - len(taken))


def _id_column(path: Path, header: list[str], id_from: IdFrom | None) -> int | None:
    if id_from is None or id_from.column is None:
        return None
    names = [name.strip() for name in header]
    if id_from.column and id_from.column not in names:
        raise make("PARAMETER_INVALID", f"--id-from: {path} has no column {id_from.column!r}; it has {', '.join(names)}.")
    return names.index(id_from.column) if id_from.column else 0


def _rows(path: Path) -> list[list[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            first = stream.readline()
            stream.seek(0)
            delimiter = max(",;\t", key=first.count)  # the first of those that are equally frequent
            rows = [row for row in csv.reader(stream, delimiter=delimiter, strict=True) if any(row)]
    except OSError as error:
        raise FileFailed("FILE_UNREADABLE", f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise make("PARAMETER_INVALID", f"{path} is not UTF-8; save it as CSV UTF-8.") from error
    except csv.Error as error:
        raise make("PARAMETER_INVALID", f"{path} is not CSV: {error}.") from error
    if not rows:
        raise make("PARAMETER_INVALID", f"{path} is empty.")
    return rows


class _Places:
    """Which photographs a cell names, by the first of these that fits: an id, a path within its folder, the end of a path, the
    same two without suffix."""

    def __init__(self, found: Sequence[Photograph], ids: Sequence[str]) -> None:
        whole = [composed(photograph.path.absolute().as_posix()) for photograph in found]
        within = [composed(photograph.name.as_posix()) for photograph in found]
        self._ids = _index([one] if one else [] for one in ids)
        self._full = [_index([one] for one in within), _index(map(_ends, whole))]
        self._stems = [_index([_stem(one)] for one in within), _index(_ends(_stem(one)) for one in whole)]

    def of(self, cell: str) -> tuple[list[int], bool]:
        """The places of the photographs, and whether the cell is their id."""
        if named := self._ids.get(composed(cell.strip())):
            return named, True
        key = _key(cell)
        return next((named for index in (*self._full, *self._stems) if (named := index.get(key))), []), False

    def is_stem(self, cell: str) -> bool:
        """Whether the cell names photographs without their suffix: an id then, and not a file."""
        key = _key(cell)
        return not any(key in index for index in self._full)


def _index(names: Iterable[Iterable[str]]) -> dict[str, list[int]]:
    index: dict[str, list[int]] = defaultdict(list)
    for place, some in enumerate(names):
        for name in some:
            index[name].append(place)
    return dict(index)


def _ends(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[-length:]) for length in range(1, len(parts) + 1)]


def _stem(path: str) -> str:
    return posixpath.splitext(path)[0]


def _key(cell: str) -> str:
    return composed(PurePath(cell.strip().replace("\\", "/")).as_posix())
