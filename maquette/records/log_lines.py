"""The lines of an answer log, and the names of the files beside a result that is not whole yet."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

from maquette.client.errors import FileFailed
from maquette.folders import atomic
from maquette.records.records import Record

SPACE, VERSION = "embedding_space", "model_version"


def beside(file: Path | None) -> Path | None:
    """The log of a run whose records go to ``file``. Raises :class:`FileFailed` when there is no folder for either."""
    if file and not file.parent.is_dir():
        raise atomic.unwritable(file, OSError(errno.ENOENT, os.strerror(errno.ENOENT)))
    return file and file.with_name(f".{file.name}.answers")


def unfinished(file: Path) -> Path:
    """Where the new version of ``file`` is until it is whole."""
    return file.with_name(f"{file.stem}.unfinished{file.suffix}")


def line(record: Record) -> bytes:
    """A record as a line."""
    return json.dumps(record).encode() + b"\n"


def head_of(path: Path) -> Record | None:
    """The first line of a log; None where nothing is. Raises :class:`FileFailed` when it is no log of ours."""
    try:
        with path.open("rb") as stream:
            first = stream.readline()
    except FileNotFoundError:
        return None
    if not first:
        return None
    head = parsed(first)
    if head is None or not ({SPACE, VERSION} & head.keys()) or not isinstance(head.get("settings"), dict):
        raise FileFailed("FILE_UNWRITABLE", f"{path} was not written by maquette; choose another output.")
    return head


def parsed(line: bytes) -> Record | None:
    """The object on a whole line; None for anything else."""
    try:
        value = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
