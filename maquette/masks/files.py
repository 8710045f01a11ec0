"""Masks on disk: whose a file is, where each result belongs, and writing one whole or not at all.

A mask carries its own origin (see ``png.py``): the sha256 of its photograph, the model's version, the settings, the report, and
a digest of its pixels. A file is Maquette's own only while its pixels are those of the digest. Any other file is a person's: it
is kept, whatever it is, until that person says ``--replace-mine``.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from maquette.client.errors import FileFailed, ParameterInvalid, make
from maquette.folders import atomic
from maquette.folders.photographs import Photograph
from maquette.masks import naming, png
from maquette.masks.naming import OutputKind, Tool
from maquette.records.records import Record

KEPT = "kept: a person made or corrected this file"
KEPT_BROKEN = "kept: this file is not Maquette's, and no whole PNG; --replace-mine makes it anew"
EXPLANATION = "explanation"


class Persons(FileFailed):
    """The file that was to be written is there, and a person's."""

    def __init__(self, path: Path) -> None:
        super().__init__("FILE_UNWRITABLE", f"{path} is there and a person's: it is not changed without --replace-mine.")


def origin(path: Path) -> Record | None:
    """The origin that a file of Maquette's own carries, ``{}`` where nothing is there, None for a person's file.

    Raises ``OSError`` for what cannot be read.
    """
    try:
        return png.owned(path)
    except FileNotFoundError:
        return {}


def targets(
    photographs: Sequence[Photograph], folder: Path, kind: OutputKind, tool: Tool | None
) -> list[Path | ParameterInvalid]:
    """The file for each result, in ``folder``, or why there is none: two would be one file, or one a photograph."""
    shown = [photograph.path for photograph in photographs]
    names = naming.names_for(
        [photograph.name for photograph in photographs], kind, tool, shown=shown, ignores_case=lambda: ignores_case(folder)
    )
    folders: dict[Path, Path] = {}  # each resolved once: a hundred thousand photographs lie in few

    def real(path: Path) -> str:
        if path.is_symlink():
            return naming.key(path.resolve())
        if path.parent not in folders:
            folders[path.parent] = path.parent.resolve()
        return naming.key(folders[path.parent] / path.name)

    sources = {real(path): path for path in shown}
    found: list[Path | ParameterInvalid] = []
    for photograph, name in zip(photographs, names, strict=True):
        if isinstance(name, ParameterInvalid):
            found.append(name)
        elif (source := sources.get(real(folder / name))) is not None:
            detail = f"The result of {photograph.path} would overwrite the photograph {source}; choose another folder."
            found.append(ParameterInvalid("PARAMETER_INVALID", detail))
        else:
            found.append(folder / name)
    return found


def ignores_case(folder: Path) -> bool:
    """Whether the file system there takes IMG and img for one; so it is said too where that cannot be seen. Writes nothing."""
    folder = folder.absolute()
    while not folder.is_dir():
        folder = folder.parent
    try:
        for known in (*islice(folder.iterdir(), 100), folder, *folder.parents):
            if (other := known.name.swapcase()) != known.name:
                return known.with_name(other).exists() and known.with_name(other).samefile(known)
    except OSError:
        pass
    return True


def write(target: Path, image: bytes, facts: Record, *, replace_mine: bool = False) -> None:
    """Write the PNG with ``facts`` as its origin. A person's file is looked for once more: a run takes hours, and people work.

    Raises :class:`Persons`, and :class:`FileFailed` for what cannot be written or is Maquette's, but of another kind.
    """
    try:
        there = origin(target)
    except OSError as error:
        raise atomic.unwritable(target, error) from error
    if there is None and not replace_mine:
        raise Persons(target)
    if there:
        refuse_other_kind(target, there, str(facts.get("kind", "")))
    atomic.write(target, png.parts(image, facts))


def refuse_other_kind(target: Path, there: Record, kind: str = "") -> None:
    """Masks and explanations have the same names; one never takes the other's place. Raises :class:`ParameterInvalid`."""
    if str(there.get("kind", "")) != kind:
        other = "an explanation of `maquette classify`" if there.get("kind") == EXPLANATION else "a mask of `maquette mask`"
        raise make("PARAMETER_INVALID", f"{target} is {other}; choose another folder.")
