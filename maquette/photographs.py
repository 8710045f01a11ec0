"""Find photographs on this side and read them one at a time."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from maquette.errors import FileFailed, MaquetteError, make

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"})
# A protobuf message ends at 2 GiB; the rest of the request needs a little.
MAX_BYTES = 2**31 - 2**16

Image = bytes | str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Photograph:
    """``path`` as it is opened; ``name`` relative to the folder it was found in, which is where results of it go."""

    path: Path
    name: PurePath


@dataclass(frozen=True, slots=True)
class Loaded:
    """An image to be sent: its bytes and their lower-case hex sha256, or why there are none."""

    path: Path | None
    data: bytes
    sha256: str
    error: MaquetteError | None = None


def find(paths: Iterable[Path]) -> list[Photograph]:
    """Photographs in the order of ``paths``; a folder is walked whole, sorted by name, each photograph once.

    In folders, hidden files and folders are left out and so is every suffix but those of ``SUFFIXES`` in either case;
    a file that is named itself is taken as it is. Raises :class:`FileFailed` for a folder that cannot be listed.
    """
    found: dict[Path, Photograph] = {}
    for path in paths:
        for photograph in _walk(path) if path.is_dir() else [Photograph(path, PurePath(path.name))]:
            found.setdefault(photograph.path.absolute(), photograph)
    return list(found.values())


def load(image: Image) -> Loaded:
    """Read and hash one image. A file that cannot be read is an error of that item, not an exception."""
    if isinstance(image, bytes):
        return Loaded(None, image, hashlib.sha256(image).hexdigest())
    path = Path(image)
    try:
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            if size > MAX_BYTES:
                detail = f"The file has {size / 2**30:.1f} GiB; no request can carry that."
                return Loaded(path, b"", "", make("IMAGE_TOO_MANY_BYTES", detail))
            data = stream.read()
    except OSError as error:
        return Loaded(path, b"", "", FileFailed("FILE_UNREADABLE", f"The file cannot be read: {error.strerror}."))
    return Loaded(path, data, hashlib.sha256(data).hexdigest())


def _walk(root: Path) -> Iterator[Photograph]:
    def refuse(error: OSError) -> None:
        raise FileFailed("FILE_UNREADABLE", f"The folder {error.filename} cannot be listed: {error.strerror}.") from error

    names: list[PurePath] = []
    for folder, folders, files in os.walk(root, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        relative = PurePath(folder).relative_to(root)
        names += [relative / name for name in files if not name.startswith(".") and PurePath(name).suffix.lower() in SUFFIXES]
    for name in sorted(names, key=lambda name: name.parts):
        yield Photograph(root / name, name)
