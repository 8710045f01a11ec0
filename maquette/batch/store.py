"""A folder of any file system that fsspec opens: a local one, ``s3://``, ``gs://``, ``abfs://``."""

from __future__ import annotations

import posixpath
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

from fsspec.core import url_to_fs


class BatchError(Exception):
    """Wrong usage or an unfinished run, in one sentence for a person."""


class Store:
    """The folder at ``url``. Raises :class:`BatchError` when there is no driver for it."""

    def __init__(self, url: str) -> None:
        try:
            self.fs, root = url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise BatchError(f"{url} cannot be opened: {error}.") from error
        self.root = root.rstrip("/")
        self.url = url

    @property
    def address(self) -> str:
        """The URL with its scheme, spelled the same for every way of writing it."""
        return str(self.fs.unstrip_protocol(self.root))

    def is_folder(self) -> bool:
        """Whether there is such a folder. An object store knows no empty ones."""
        return bool(self.fs.isdir(self.root))

    def names(self, folder: str = "") -> list[str]:
        """The files in ``folder`` and below it, relative to the root, sorted; none where there is no such folder."""
        found = self.fs.find(posixpath.join(self.root, folder) if folder else self.root)
        self.fs.invalidate_cache()  # an object store's driver would keep a kilobyte about each of them
        return sorted(posixpath.relpath(path, self.root) for path in found)

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""
        return bool(self.fs.exists(posixpath.join(self.root, name)))

    def open(self, name: str) -> IO[str]:
        """A text file for reading. A byte that is not UTF-8 is a surrogate, as in a file name."""
        path = posixpath.join(self.root, name)
        return self.fs.open(path, "r", encoding="utf-8", errors="surrogateescape")  # type: ignore[no-any-return]

    def read(self, name: str) -> bytes:
        """All bytes of a file."""
        return bytes(self.fs.cat_file(posixpath.join(self.root, name)))

    def remove(self, name: str) -> None:
        """Remove a file or a folder of Maquette's own; it is no error when there is none."""
        with suppress(FileNotFoundError):
            self.fs.rm(posixpath.join(self.root, name), recursive=True)

    @contextmanager
    def whole(self, name: str, unfinished: str) -> Iterator[IO[bytes]]:
        """A file that appears under its name when it is complete; until then it is in the folder ``unfinished``.

        What a killed run leaves is in that folder and nowhere else. Two writers of one name leave one whole file.
        """
        target = posixpath.join(self.root, name)
        temporary = posixpath.join(self.root, unfinished, uuid.uuid4().hex)
        for path in (target, temporary):
            self.fs.makedirs(posixpath.dirname(path), exist_ok=True)
        try:
            with self.fs.open(temporary, "wb") as stream:
                yield stream
            self.fs.mv(temporary, target)
        except BaseException:
            with suppress(OSError):
                self.fs.rm_file(temporary)
            raise
