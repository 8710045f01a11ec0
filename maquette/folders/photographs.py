"""Find photographs in files and folders."""

from __future__ import annotations

import errno
import hashlib
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from maquette.client.errors import FileFailed

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"})
# Photographs too, but no service reads them; they are left out of folders, and that is said.
UNREAD = frozenset(
    {".heic", ".heif", ".avif", ".jxl", ".jp2", ".jfif", ".jpe", ".bmp", ".gif", ".psd", ".raw", ".dng", ".cr2", ".cr3", ".crw"}
    | {".nef", ".nrw", ".arw", ".srf", ".sr2", ".orf", ".raf", ".rw2", ".pef", ".x3f", ".3fr", ".iiq"}
)
# A folder that goes away while it is walked holds no photographs; ESTALE is what a network drive says of it.
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE)


@dataclass(frozen=True, slots=True)
class Photograph:
    """``path`` as it is opened; ``name`` relative to the folder it was found in, which is where results of it go."""

    path: Path
    name: PurePath

    def sha256(self) -> str | None:
        """Of its bytes as they are now; None where it cannot be read."""
        try:
            with self.path.open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError:
            return None


@dataclass(frozen=True)
class Found:
    """The ``photographs``, and what of the folders was left out: files by suffix that no service reads, and linked folders."""

    photographs: list[Photograph] = field(default_factory=list)
    unread: Counter[str] = field(default_factory=Counter)
    links: list[Path] = field(default_factory=list)


def find(paths: Iterable[Path]) -> Found:
    """Photographs in the order of ``paths``; a folder is walked whole, sorted by name, each photograph once.

    In folders, hidden files and folders are left out, and so are linked folders and every suffix but those of ``SUFFIXES`` in
    either case; a file that is named itself is taken as it is. Raises :class:`FileFailed` for a folder that cannot be listed.
    """
    found = Found()
    met: set[Path] = set()
    for path in paths:
        for photograph in _walk(path, found) if path.is_dir() else [Photograph(path, PurePath(path.name))]:
            absolute = photograph.path.absolute()
            if absolute not in met:
                met.add(absolute)
                found.photographs.append(photograph)
    return found


def _walk(root: Path, found: Found) -> list[Photograph]:
    def refuse(error: OSError) -> None:
        if error.errno not in _GONE:
            detail = f"The folder {error.filename} cannot be listed: {error.strerror}."
            raise FileFailed("FILE_UNREADABLE", detail) from error

    names: list[PurePath] = []
    for folder, folders, files in os.walk(root, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found.links.extend(path for name in folders if (path := Path(folder, name)).is_symlink())
        relative = PurePath(folder).relative_to(root)
        for name in files:
            suffix = PurePath(name).suffix.lower()
            if name.startswith("."):
                continue
            if suffix in SUFFIXES:
                names.append(relative / name)
            elif suffix in UNREAD:
                found.unread[suffix] += 1
    return [Photograph(root / name, name) for name in sorted(names, key=lambda name: name.parts)]
