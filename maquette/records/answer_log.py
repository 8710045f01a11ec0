"""The answers of a run, on disk as they come: a run that was killed, or a collection that has grown, asks only for the rest.

A text file of JSON lines. The first names the service, its model and the settings; each further line is a record, or says
which other files the run wrote, by sha256. Answers of two models or two settings never meet in one log. Lines are only ever
added. A run with other settings, or with ``--overwrite``, writes a log of its own, ``NAME.unfinished.SUFFIX``, and that takes
the old one's place when every photograph has its answer.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from maquette.client.errors import FileFailed, make
from maquette.folders import atomic
from maquette.folders.photographs import Photograph
from maquette.records import log_lines
from maquette.records.merging import Ask, merged
from maquette.records.records import Record

_WRITTEN = "written"


class AnswerLog:
    """The log at ``path``; ``with`` reads what is there and holds it open. With ``path`` None nothing is kept.

    ``model`` is the field of a record that must be the same in all, with its value: ``("embedding_space", ...)`` or
    ``("model_version", ...)``. ``settings`` are what else decides an answer, defaults spelled out.

    Entering raises :class:`SpacesDiffer` when the log there is of another embedding space and ``overwrite`` is not given, and
    :class:`FileFailed` when the file there is a person's, or cannot be written.
    """

    def __init__(
        self, path: Path | None, service: str, model: tuple[str, str], settings: Record, *, overwrite: bool = False
    ) -> None:
        self.path = path
        self.reused: set[str] = set()  # the photographs whose answer was there already
        self._field, self._value = model
        self._head: Record = {"answers_of": service, self._field: self._value, "settings": settings}
        self._overwrite = overwrite
        self._places: dict[str, int] = {}  # where the record of a photograph begins, by the photograph's sha256
        self._written: dict[str, list[str]] = {}  # by a file's name, the sha256 of all its versions that a run wrote
        self._log: Path | None = None  # where this run writes
        self._stream: IO[bytes] | None = None

    def __enter__(self) -> AnswerLog:
        if self.path is not None:
            try:
                self._open(self.path)
            except OSError as error:
                raise atomic.unwritable(self.path, error) from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream is not None and self._log is not None:
            with suppress(OSError):  # a full disk, which was said when it happened
                self._stream.close()
            self._stream = None
            if not self._places and not self._written:  # a head and nothing to go on from
                self._log.unlink(missing_ok=True)

    def _open(self, path: Path) -> None:
        head, other = log_lines.head_of(path), log_lines.head_of(log_lines.unfinished(path))
        if head is not None and not self._overwrite:
            self._check_space(path, head)
        for log in (path, log_lines.unfinished(path)):
            self._read_written(log)
        # A log of other settings stays until this run's is whole; one that was never finished is gone on with, or replaced.
        self._log = log_lines.unfinished(path) if self._overwrite or head not in (None, self._head) else path
        if (other if self._log != path else head) != self._head:
            lines = [self._head, *([{_WRITTEN: self._written}] if self._written else [])]
            atomic.write(self._log, (log_lines.line(one) for one in lines))
        self._stream = self._log.open("a+b")
        self._read(self._stream)

    def _check_space(self, path: Path, head: Record) -> None:
        if self._field == log_lines.SPACE and (there := head.get(log_lines.SPACE)) != self._value:
            detail = (
                f"{path} holds embeddings of the space {there}, and the service now answers in {self._value}: the two "
                "cannot be compared. Choose another output, ask about every photograph again with --overwrite, or ask a "
                "service with the former model."
            )
            raise make("SPACES_DIFFER", detail)

    def _read_written(self, path: Path) -> None:
        with suppress(FileNotFoundError), path.open("rb") as stream:
            for line in stream:
                for name, digests in ((log_lines.parsed(line) or {}).get(_WRITTEN) or {}).items():
                    known = self._written.setdefault(name, [])
                    known += [digest for digest in digests if digest not in known]

    def _read(self, stream: IO[bytes]) -> None:
        stream.seek(0)
        line, place = b"\n", 0
        for line in stream:
            record = log_lines.parsed(line)
            if record and isinstance(record.get("sha256"), str) and record.get(self._field) == self._value:
                self._places[record["sha256"]] = place
            place += len(line)
        if not line.endswith(b"\n"):  # a kill cut it short; what comes next begins on a line of its own
            stream.write(b"\n")

    def _append(self, line: Record) -> int:
        assert self._stream is not None
        place = self._stream.seek(0, os.SEEK_END)
        self._stream.write(log_lines.line(line))
        self._stream.flush()
        return place

    def records(self, found: Iterable[Photograph], ask: Ask) -> Iterator[Record]:
        """A record for each photograph, in order: what is here already, and what ``ask`` gives for the rest, in their order.

        ``ask`` may take photographs from another thread, ahead of the records it gives. Files are hashed only as they are
        come to. Raises :class:`SpacesDiffer` when an answer is of another space: the service's model was changed.
        """

        def asked(todo: Iterator[Photograph]) -> Iterator[Record]:
            for record in ask(todo):
                self._keep(record)
                yield record

        return merged(found, asked, self._known, self._at) if self._places else asked(iter(found))

    def _known(self, photograph: Photograph) -> str | None:
        sha256 = photograph.sha256()  # where there is none, asking will say what is wrong
        return sha256 if sha256 in self._places else None

    def _at(self, sha256: str, photograph: Photograph) -> Record:
        assert self._stream is not None
        self._stream.seek(self._places[sha256])
        record: Record = json.loads(self._stream.readline())
        self.reused.add(str(photograph.path))
        return record | {"file": str(photograph.path)}

    def _keep(self, record: Record) -> None:
        if "error" in record:
            return
        if record[self._field] != self._value:
            if self._field != log_lines.SPACE:
                return  # of a model that has just been put there; a later run asks again
            raise make(
                "SPACES_DIFFER",
                f"The service's model changed during the run: {record['file']} was answered in the space "
                f"{record[log_lines.SPACE]}, those before it in {self._value}, and the two cannot be compared. "
                "Run the command again with --overwrite.",
            )
        if self._stream is not None and self.path is not None:
            try:
                self._places[record["sha256"]] = self._append(record)
            except OSError as error:
                raise atomic.unwritable(self.path, error) from error

    def check_own(self, file: Path) -> None:
        """Raises :class:`FileFailed` when ``file`` is there and no run of this log wrote it: then it is a person's."""
        try:
            with file.open("rb") as stream:
                sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        except FileNotFoundError:
            return
        except OSError as error:
            raise atomic.unwritable(file, error) from error
        if sha256 not in self._written.get(file.name, ()):
            detail = f"{file} is there and a person's, or was changed by one: it is not replaced without --replace-mine."
            raise FileFailed("FILE_UNWRITABLE", detail)

    def wrote(self, file: Path, finished: Path) -> None:
        """Note that ``finished`` will be the name of ``file``, whose content is a run's own from now on.

        Raises :class:`FileFailed`.
        """
        try:
            with file.open("rb") as stream:
                sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
            self._written.setdefault(finished.name, []).append(sha256)
            self._append({_WRITTEN: self._written})
        except OSError as error:
            raise atomic.unwritable(finished, error) from error

    def finish(self) -> None:
        """Every photograph has its answer: this run's log takes the place of the one before. Raises :class:`FileFailed`."""
        if self._log is not None and self.path is not None and self._log != self.path and self._stream is not None:
            try:
                self._stream.close()  # Windows renames no file that is open
                self._log.replace(self.path)
            except OSError as error:
                raise atomic.unwritable(self.path, error) from error
            self._log, self._stream = self.path, None

    def remove(self) -> None:
        """The records are whole elsewhere: the log is not needed any more."""
        if self.path is not None and self._stream is not None:
            self._stream.close()
            self._stream = None
            for path in (self.path, log_lines.unfinished(self.path)):
                path.unlink(missing_ok=True)
