"""The stages that ``classify``, ``cluster`` and ``embed`` share: name the objects, ask for what has no answer yet."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import typer

from maquette.client.errors import MaquetteError, make
from maquette.client.streaming import Answer
from maquette.folders.photographs import Photograph
from maquette.maps import catalogue
from maquette.maps.catalogue import Collection
from maquette.records import records
from maquette.records.answer_log import AnswerLog
from maquette.records.ids import IdFrom
from maquette.records.records import Record
from maquette.stores.vectors import Vectors

# Asks the service about photographs, in order, with an answer each. The paths may be taken ahead of the answers.
Paths = Iterator[Path]
Answers = Iterator[Answer[Any]]
Many = Callable[[Paths], Answers]


def collection(found: Sequence[Photograph], id_from: str | None, columns: Path | None) -> Collection:
    """Read ids and columns; says how many matched. Raises :class:`ParameterInvalid`, :class:`FileFailed`."""
    source = IdFrom.parse(id_from)
    if columns is None:
        if source and source.name is None:
            raise make("PARAMETER_INVALID", "--id-from column takes the ids from a catalogue; give it with --columns.")
        return Collection(found, (source.of_names(found) if source else None) or [""] * len(found))
    read = catalogue.read(columns, found, source)
    for remark in read.remarks():
        typer.echo(remark, err=True)
    return Collection(found, read.ids, read)


def refuse_sources(outputs: Sequence[Path | None], found: Sequence[Photograph], columns: Path | None) -> None:
    """Raises :class:`ParameterInvalid` when a result would take the place of a photograph, or of the catalogue."""
    for output in outputs:
        if output is None or not output.exists():
            continue
        if columns is not None and output.samefile(columns):
            raise make("PARAMETER_INVALID", f"{output} is the catalogue of --columns; choose another file for the result.")
        if any(photograph.path.name == output.name and output.samefile(photograph.path) for photograph in found):
            raise make("PARAMETER_INVALID", f"{output} is one of the photographs; choose another file for the result.")


def answered(
    photographs: Collection, log: AnswerLog, many: Many, model_version: str, store: Vectors | None = None
) -> Iterator[Record]:
    """A record for each photograph, in order, with its id: from the log or the store, else from the service.

    When the service is lost half-way, the rest have that as their error; those in the log still have their answer.
    ``model_version`` is for these records. Raises :class:`SpacesDiffer`.
    """

    def ask(todo: Iterator[Photograph]) -> Iterator[Record]:
        handed = _Handed(todo)
        answers = many(handed.paths())  # a wrong parameter is no photograph's error
        try:
            for answer in answers:
                yield records.record_of(handed.out.popleft(), answer, model_version)
        except MaquetteError as error:
            for photograph in handed.rest():
                yield records.record_of(photograph, Answer(0, photograph.path, "", error=error), model_version)

    def stored(todo: Iterator[Photograph]) -> Iterator[Record]:
        return store.records(todo, ask) if store else ask(todo)

    made = log.records(photographs.found, stored)
    for given, record in zip(photographs.ids, made, strict=False):
        file = record.pop("file")
        yield {"file": file} | ({"id": given} if given else {}) | record


class _Handed:
    """Photographs on their way to the client, whose own thread takes them. ``out`` are those without an answer yet."""

    def __init__(self, todo: Iterator[Photograph]) -> None:
        self.out: deque[Photograph] = deque()
        self._todo = todo
        self._lock = threading.Lock()
        self._over = False

    def paths(self) -> Iterator[Path]:
        while (photograph := self._take()) is not None:
            yield photograph.path

    def _take(self) -> Photograph | None:
        with self._lock:
            photograph = None if self._over else next(self._todo, None)
            if photograph is not None:
                self.out.append(photograph)
            return photograph

    def rest(self) -> Iterator[Photograph]:
        """What the client gave no answer to; it takes no more."""
        with self._lock:
            self._over = True
        return chain(self.out, self._todo)
