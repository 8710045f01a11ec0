"""The one way to write a file: it appears under its name when it is whole, and until then the old one is there.

The new content lies beside it, under a hidden name of Maquette's own that depends on the file's name alone: what a killed run
left there is overwritten by the next one.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from maquette.client.errors import FileFailed


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """The path to write to; it becomes ``path`` at the end of the block, or is removed when the block raises.

    A link is followed: what it leads to is replaced. Raises :class:`FileFailed` for every ``OSError`` of the block, and for a
    ``path`` that is there and is no regular file.
    """
    real = path.resolve() if path.is_symlink() else path
    part = partial_name(real)
    try:
        if real.exists() and not real.is_file():
            raise OSError(errno.EINVAL, "it is no regular file")
        yield part
        with part.open("r+b") as stream:
            os.fsync(stream.fileno())
        part.replace(real)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


@contextmanager
def whole(path: Path) -> Iterator[IO[str]]:
    """:func:`replaced` as a text file in UTF-8. A name in it that is not UTF-8 comes out as \\udcXX, which JSON reads back."""
    with replaced(path) as part, part.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
        yield stream


def write(path: Path, pieces: Iterable[bytes]) -> None:
    """:func:`replaced` with these bytes; folders that are missing are made. Raises :class:`FileFailed`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error
    with replaced(path) as part, part.open("wb") as stream:
        stream.writelines(pieces)


def partial_name(path: Path) -> Path:
    """Where a file is written before it is moved to ``path``: short, however long the name is."""
    return path.with_name(f".maquette-{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}.part")


def unwritable(path: Path, error: OSError) -> FileFailed:
    """The error of a file that cannot be written, in the system's words."""
    return FileFailed("FILE_UNWRITABLE", f"{path} cannot be written: {error.strerror or error}.")
