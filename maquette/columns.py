"""The user's own columns: a CSV file that says something about each photograph."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from maquette.errors import FileFailed, make
from maquette.photographs import Photograph


@dataclass(frozen=True)
class Columns:
    """``values`` has for each column a text for each photograph, empty where the file says nothing.

    ``unmatched`` are first cells that name no photograph; ``without`` counts photographs that no row names.
    """

    values: dict[str, list[str]]
    unmatched: list[str]
    without: int


def read(path: Path, found: Sequence[Photograph]) -> Columns:
    """Rows by their first cell: the photograph's path within its folder, or the end of its path, its bare name say, where only
    one ends so. UTF-8; commas, semicolons or tabs between cells. Raises :class:`FileFailed`, :class:`ParameterInvalid`.
    """
    header, *rows = _rows(path)
    names = [name.strip() for name in header[1:]]
    if not names or not all(names) or len(set(names)) < len(names):
        raise make(
            "PARAMETER_INVALID", f"{path} needs a first line that names each column once, the photograph's column first."
        )
    places = _places(found)
    values = {name: [""] * len(found) for name in names}
    matched, unmatched = set(), []
    for row in rows:
        place = places.get(_key(row[0]))
        if place is None:
            unmatched.append(row[0])
            continue
        matched.add(place)
        for name, cell in zip(names, row[1:], strict=False):
            values[name][place] = cell.strip()
    if not matched:
        raise make(
            "PARAMETER_INVALID",
            f"No row of {path} names a photograph: its first column, {header[0]!r}, should hold names such as "
            f"{found[0].name.as_posix()!r}; the first row holds {rows[0][0] if rows else ''!r}.",
        )
    return Columns(values, unmatched, len(found) - len(matched))


def folders(found: Sequence[Photograph]) -> list[str] | None:
    """The sub-folder of each photograph; None when there are not two."""
    names = [photograph.name.parent.as_posix() for photograph in found]
    return names if len(set(names)) > 1 else None


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


def _key(name: str | PurePath) -> str:
    return PurePath(str(name).strip().replace("\\", "/")).as_posix()


def _places(found: Sequence[Photograph]) -> dict[str, int]:
    """Every way to name a photograph: within its folder, or by as much of the end of its path as no other shares."""
    ends: dict[str, int | None] = {}
    for place, photograph in enumerate(found):
        parts = photograph.path.absolute().parts
        for length in range(1, len(parts) + 1):
            name = PurePath(*parts[-length:]).as_posix()
            ends[name] = None if name in ends else place
    places = {name: place for name, place in ends.items() if place is not None}
    return places | {_key(photograph.name): place for place, photograph in enumerate(found)}
