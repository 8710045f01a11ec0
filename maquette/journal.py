"""Answers kept on disk as they come, so that a run that was killed, or a collection that has grown, asks only for the rest.

The first line says which embedding space and settings the answers are of; each further line is a record. Answers of two
spaces never meet in one journal.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO

import typer

from maquette import output
from maquette.errors import PASSING, FileFailed, make
from maquette.photographs import Photograph
from maquette.records import Record


class Journal:
    """The answers at ``path``; ``with`` reads what is there and holds it open. None keeps nothing.

    Entering raises :class:`SpacesDiffer` when what is there is of another space, :class:`FileFailed` when it is not a journal.
    """

    def __init__(self, path: Path | None, space: str, settings: Record, *, overwrite: bool = False) -> None:
        self.path, self.space = path, space
        self.reused = 0
        self._head: Record = {"embedding_space": space, "settings": settings}
        self._overwrite = overwrite
        self._lines: dict[str, int] = {}  # where the record of a photograph begins, by the photograph's sha256
        self._stream: IO[bytes] | None = None

    def __enter__(self) -> Journal:
        if self.path is not None:
            try:
                with ExitStack() as stack:
                    self._stream = stack.enter_context(self.path.open("a+b"))
                    self._read(self._stream, self.path)
                    stack.pop_all()
            except OSError as error:
                raise output.unwritable(self.path, error) from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream is not None and self.path is not None:
            self._stream.close()
            if not self._lines:  # nothing to go on from
                self.path.unlink(missing_ok=True)

    def _read(self, stream: IO[bytes], path: Path) -> None:
        stream.seek(0)
        first = stream.readline()
        head = _parsed(first)
        if first and head is None and first.endswith(b"\n"):
            raise FileFailed("FILE_UNREADABLE", f"{path} was not written by maquette; choose another output.")
        there = (head or {}).get("embedding_space", self.space)
        if there != self.space and not self._overwrite:
            raise make(
                "SPACES_DIFFER",
                f"{path} holds embeddings of the space {there}, and the service now answers in {self.space}: the two cannot be "
                "compared. Choose another output, ask for all anew with --overwrite, or ask a service with the former model.",
            )
        if self._overwrite or head != self._head:
            stream.truncate(0)
            stream.write(json.dumps(self._head).encode() + b"\n")
            stream.flush()
            return
        whole = stream.tell()
        for line in stream:
            record = _parsed(line)
            if record is None:  # a kill cut it short
                break
            self._lines[record["sha256"]] = whole
            whole += len(line)
        stream.truncate(whole)

    def records(self, found: Sequence[Photograph], ask: Callable[[list[Photograph]], Iterator[Record]]) -> Iterator[Record]:
        """One for each photograph, in order: what is here already, and what ``ask`` gives for the rest.

        Raises :class:`SpacesDiffer` when an answer is of another space: the model behind the service was changed.
        """
        known = self._known(found)
        self.reused = len(known)
        fresh = ask([photograph for photograph in found if photograph.path not in known])
        for photograph in found:
            if (sha256 := known.get(photograph.path)) is not None:
                yield self._at(sha256) | {"file": str(photograph.path)}
                continue
            record = next(fresh)
            if "error" not in record:
                self._keep(record)
            yield record

    def _known(self, found: Sequence[Photograph]) -> dict[Path, str]:
        known: dict[Path, str] = {}
        for photograph in found if self._lines else ():
            with suppress(OSError), photograph.path.open("rb") as stream:
                sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
                if sha256 in self._lines:
                    known[photograph.path] = sha256
        return known

    def _at(self, sha256: str) -> Record:
        assert self._stream is not None
        self._stream.seek(self._lines[sha256])
        record: Record = json.loads(self._stream.readline())
        return record

    def _keep(self, record: Record) -> None:
        if record["embedding_space"] != self.space:
            raise make(
                "SPACES_DIFFER",
                f"The service's model changed during the run: {record['file']} was answered in the space "
                f"{record['embedding_space']}, those before it in {self.space}, and the two cannot be compared. "
                "Run the command again with --overwrite.",
            )
        if self._stream is not None and self.path is not None:
            try:
                self._lines[record["sha256"]] = self._stream.seek(0, os.SEEK_END)
                self._stream.write(json.dumps(record).encode() + b"\n")
                self._stream.flush()
            except OSError as error:
                raise output.unwritable(self.path, error) from error

    def say(self, total: int) -> None:
        """What was not asked again."""
        if self.reused:
            typer.echo(f"{self.reused} of {total} were answered already.", err=True)

    def end(self, failed: Sequence[Record]) -> None:
        """The records are whole elsewhere: remove this, unless some failed for a reason that may pass."""
        if self.path is not None and not any(record["error"]["code"] in PASSING for record in failed):
            self.path.unlink(missing_ok=True)


def beside(file: Path | None) -> Path | None:
    """Where the answers are kept until ``file`` is whole."""
    return file and file.with_name(f".{file.name}.answers")


def _parsed(line: bytes) -> Record | None:
    """The object on a whole line; None for anything else."""
    try:
        value = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
