"""Masks on disk: where each goes, which are done, and writing one whole or not at all.

A mask carries its own origin (see ``png.py``): the sha256 of its photograph, the model's version, the settings and the
report. That is how a later run knows what is done, and never takes a mask for a photograph.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from maquette import naming, output, png
from maquette.client import Frame
from maquette.errors import MaquetteError, ParameterInvalid
from maquette.naming import OutputKind, Tool
from maquette.photographs import Photograph
from maquette.records import Record
from maquette.stream import Answer
from protos.maquette.classify.v1.classify_pb2 import ClassifyResponse


@dataclass(frozen=True)
class Settings:
    """What decides the pixels of a result, besides photograph and model."""

    output_kind: Literal["mask", "cutout"]
    frame: Frame
    threshold: float | None


@dataclass(frozen=True)
class Job:
    """A photograph and the file its result belongs in; ``target`` is None where it can have none, as ``error`` says.

    ``done`` is the record of a result that is there already.
    """

    photograph: Photograph
    target: Path | None
    done: Record | None = None
    error: MaquetteError | None = None


def without_masks(photographs: Sequence[Photograph]) -> list[Photograph]:
    """Leave out what an earlier run wrote among the photographs."""
    return [photograph for photograph in photographs if not _is_ours(photograph.path)]


def targets(
    photographs: Sequence[Photograph], folder: Path, kind: OutputKind, tool: Tool | None
) -> list[Path | ParameterInvalid]:
    """The file for each result, in ``folder``, or why there is none: two would be one file, or one a photograph."""
    shown = [photograph.path for photograph in photographs]
    names = naming.names_for(
        [photograph.name for photograph in photographs], kind, tool, shown=shown, ignores_case=lambda: ignores_case(folder)
    )
    sources = {naming.key(path.resolve()): path for path in shown}
    found: list[Path | ParameterInvalid] = []
    for photograph, name in zip(photographs, names, strict=True):
        if isinstance(name, ParameterInvalid):
            found.append(name)
        elif (source := sources.get(naming.key((folder / name).resolve()))) is not None:
            detail = f"The result of {photograph.path} would overwrite the photograph {source}; choose another folder."
            found.append(ParameterInvalid("PARAMETER_INVALID", detail))
        else:
            found.append(folder / name)
    return found


def ignores_case(folder: Path) -> bool:
    """Whether the file system there takes IMG and img for one; so it is said too where that cannot be tried."""
    while not folder.is_dir():
        folder = folder.parent
    try:
        with tempfile.NamedTemporaryFile(prefix=".Maquette", dir=folder) as probe:
            path = Path(probe.name)
            return path.with_name(path.name.lower()).exists()
    except OSError:
        return True


def job(photograph: Photograph, target: Path, settings: Settings) -> Job:
    """See whether the result is there: of this very photograph, by these settings, and whole.

    A whole PNG of other origin, such as a mask that was corrected by hand, counts as done: it is somebody's work.
    """
    try:
        if not (target.is_file() and png.is_whole(target)):
            return Job(photograph, target)
        with photograph.path.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        facts = png.facts(target)
    except OSError:
        return Job(photograph, target)  # doing it again will say what is wrong
    known: Record = {"file": str(photograph.path), "sha256": sha256, "output": str(target), "skipped": True}
    if facts is None:
        return Job(photograph, target, known | {"notes": ["kept: this file was not made by maquette"]})
    if facts.pop("settings", None) != asdict(settings) or facts.get("sha256") != sha256:
        return Job(photograph, target)
    return Job(photograph, target, facts | known)


def write(target: Path, image: bytes, record: Record, settings: Settings) -> Record:
    """Write the PNG with its origin and return the record that goes with it. Raises :class:`FileFailed`."""
    facts = {name: value for name, value in record.items() if name != "file"} | {"settings": asdict(settings)}
    _write(target, png.parts(image, facts))
    return record | {"output": str(target), "skipped": False}


def explained(
    found: Sequence[Photograph], answers: Iterable[Answer[ClassifyResponse]], folder: Path
) -> Iterator[Answer[ClassifyResponse]]:
    """Write the explanation in each answer to ``folder``, named as masks are, and hand the answers on.

    A photograph without a name of its own, or whose picture cannot be written, gets that as its error.
    """
    named = targets(found, folder, OutputKind.MASK, None)
    for answer in answers:
        if answer.response is not None:
            try:
                target = named[answer.index]
                if isinstance(target, ParameterInvalid):
                    raise target
                _write(target, [answer.response.explanation])
            except MaquetteError as error:
                answer = replace(answer, response=None, error=error)
        yield answer


def _write(target: Path, pieces: Iterable[bytes]) -> None:
    part = output.partial_name(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as stream:
            stream.writelines(pieces)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(target)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise output.unwritable(target, error) from error


def _is_ours(path: Path) -> bool:
    try:
        return png.facts(path) is not None
    except OSError:
        return False
