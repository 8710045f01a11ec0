"""Photographs whose types a person decides: the service's proposals, and a ``labels.csv`` that training takes.

``labels.csv`` is all there is to keep: what it says of a photograph is that photograph's types. Its columns are ``file``,
relative to the table, and ``label``: one type, several accepted ones joined by ``|``, or ``-`` for no sculpture, as
``training.classify.train`` reads them. Rows and columns that are there already stay, in their order, until a person decides
otherwise on the page.
"""

from __future__ import annotations

import csv
import io
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maquette.client.client import IN_FLIGHT, Client
from maquette.client.errors import FileFailed, MaquetteError, make
from maquette.client.services import Service
from maquette.folders import atomic
from maquette.folders.photographs import Photograph
from maquette.records import log_lines, records
from maquette.records.answer_log import AnswerLog
from maquette.records.records import Record
from maquette.review.page.looks import Looks, stamp

NOTHING, JOIN = "-", "|"


@dataclass
class TypeItem:
    """A photograph and the types it is said to have; ``predictions`` are (type, probability), most probable first."""

    index: int
    photograph: Photograph
    file: str
    labels: tuple[str, ...] = ()
    predictions: tuple[tuple[str, float], ...] = ()
    abstained: bool = False
    error: str = ""
    revision: int = 1


class Table:
    """``labels.csv``. Raises :class:`FileFailed` for a file that is no such table."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, str]] = []
        self._stamp = stamp(path)
        self.columns = ["file", "label"]
        try:
            with path.open(newline="", encoding="utf-8-sig") as stream:
                reader = csv.DictReader(stream, restkey="", restval="")
                columns = list(reader.fieldnames or ())
                self.rows = list(reader)
        except FileNotFoundError:
            columns = self.columns
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise FileFailed("FILE_UNREADABLE", f"{path} cannot be read as a table: {error}.") from error
        self.file = "path" if "path" in columns else "file"
        self.label = "types" if "types" in columns else "label"
        if not {self.file, self.label} <= set(columns) or any("" in row for row in self.rows):
            raise FileFailed("FILE_UNREADABLE", f"{path} is no table with the columns file and label; choose another with -o.")
        self.columns = columns
        self._of: dict[Path, dict[str, str]] = {}
        for row in self.rows:
            self._of.setdefault(_real(path.parent / row[self.file]), row)

    def labels_of(self, photograph: Path) -> tuple[str, ...]:
        """Its types; none where it has no row."""
        row = self._of.get(_real(photograph))
        return tuple(part for part in row[self.label].split(JOIN) if part) if row else ()

    def name(self, photograph: Path) -> str:
        """How a row names it."""
        row = self._of.get(_real(photograph))
        return row[self.file] if row else os.path.relpath(photograph, self.path.parent).replace(os.sep, "/")

    def write(self, photograph: Path, labels: Sequence[str]) -> None:
        """Set its types, without any take its row out, and write the whole table. Raises :class:`FileFailed`.

        What another program made of the table meanwhile is read first, and stays.
        """
        if stamp(self.path) != self._stamp:
            vars(self).update(vars(Table(self.path)))
        key, row = _real(photograph), self._of.get(_real(photograph))
        rows, of = [dict(one) if one is row else one for one in self.rows], dict(self._of)
        if not labels:
            rows = [one for one, former in zip(rows, self.rows, strict=True) if former is not row]
            of.pop(key, None)
        elif row is None:
            rows.append(dict.fromkeys(self.columns, "") | {self.file: self.name(photograph), self.label: JOIN.join(labels)})
            of[key] = rows[-1]
        else:
            of[key] = next(one for one, former in zip(rows, self.rows, strict=True) if former is row)
            of[key][self.label] = JOIN.join(labels)
        stream = io.StringIO(newline="")
        writer = csv.DictWriter(stream, self.columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        try:
            written = stream.getvalue().encode()
        except UnicodeEncodeError as error:
            detail = f"{photograph} has a name that is not UTF-8, which no table can hold; rename it."
            raise make("PARAMETER_INVALID", detail) from error
        atomic.write(self.path, [written])
        self.rows, self._of, self._stamp = rows, of, stamp(self.path)


def _real(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - Path.absolute keeps the ".."


@dataclass
class TypeSet:
    """``items`` in the order they were found; ``types`` are the model's (id, name), and those of the table beyond them."""

    title: str
    items: list[TypeItem]
    table: Table
    looks: Looks
    client: Client
    in_flight: int = IN_FLIGHT
    types: dict[str, str] = field(default_factory=dict)
    sentence: str = ""
    asking: bool = False
    revision: int = 1
    lock: Any = field(default_factory=threading.RLock)
    _closed: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def open(cls, title: str, found: Sequence[Photograph], path: Path, client: Client, in_flight: int) -> TypeSet:
        """Read the table, and begin to ask for proposals. Raises :class:`FileFailed`."""
        table = Table(path)
        items = [TypeItem(index, one, table.name(one.path), table.labels_of(one.path)) for index, one in enumerate(found)]
        looks = Looks(path.with_name(f".{path.name}.looks.sqlite"), upright=False)
        made = cls(title, items, table, looks, client, in_flight)
        made._add_types({label: label for item in items for label in item.labels if label != NOTHING})
        made.ask()
        return made

    def close(self) -> None:
        """Stop asking."""
        self._closed.set()
        self.looks.close()

    def item(self, index: int) -> TypeItem:
        """Raises :class:`ParameterInvalid` for a number that no photograph has."""
        if not 0 <= index < len(self.items):
            raise make("PARAMETER_INVALID", f"There is no photograph {index}; there are {len(self.items)}.")
        return self.items[index]

    def decide(self, item: TypeItem, given: Any) -> None:
        """Set the types of a photograph; an empty list takes the decision back. Raises :class:`MaquetteError`."""
        if not isinstance(given, list) or not all(isinstance(one, str) for one in given) or len(set(given)) != len(given):
            raise make("PARAMETER_INVALID", "labels takes a list of different types.")
        if unknown := [one for one in given if one not in self.types and one != NOTHING]:
            raise make("PARAMETER_INVALID", f"{unknown[0]!r} is no type; there are {', '.join(self.types)} and {NOTHING}.")
        if NOTHING in given and len(given) > 1:
            raise make("PARAMETER_INVALID", f"{NOTHING} says that there is no sculpture; it stands alone.")
        with self.lock:
            self.table.write(item.photograph.path, given)
            for one in self.items:  # all of them: the table may have been changed elsewhere
                if (labels := self.table.labels_of(one.photograph.path)) != one.labels:
                    one.labels = labels
                    self._touch(one)
            self._touch(item)

    def ask(self) -> None:
        """Ask for proposals, in the background; again where the service was away."""
        with self.lock:
            if self.asking:
                return
            self.asking, self.sentence = True, ""
        threading.Thread(target=self._ask, name="classify", daemon=True).start()

    def _ask(self) -> None:
        try:
            model = self.client.model(Service.CLASSIFY)
            self._add_types({label.id: label.name for label in model.labels})
            settings = {"top_k": len(model.labels)}
            kept = log_lines.beside(self.table.path)
            with AnswerLog(kept, Service.CLASSIFY, (log_lines.VERSION, model.version), settings) as log:
                for item, record in zip(
                    self.items, log.records([one.photograph for one in self.items], self._records), strict=False
                ):
                    if self._closed.is_set():
                        return
                    self._take(item, record)
        except MaquetteError as error:
            self.sentence = error.detail
        finally:
            with self.lock:
                self.asking = False
                self.revision += 1

    def _records(self, todo: Iterator[Photograph]) -> Iterator[Record]:
        handed: list[Photograph] = []

        def paths() -> Iterator[Path]:
            for photograph in todo:
                if self._closed.is_set():
                    return
                handed.append(photograph)
                yield photograph.path

        for index, answer in enumerate(self.client.classify_many(paths(), len(self.types) or None, in_flight=self.in_flight)):
            yield records.record_of(handed[index], answer, "")

    def _take(self, item: TypeItem, record: Record) -> None:
        with self.lock:
            if "error" in record:
                item.error = record["error"]["detail"]
            else:
                item.predictions = tuple((one["label"], float(one["probability"])) for one in record["predictions"])
                item.abstained = bool(record.get("abstained"))
            self._touch(item)

    def _add_types(self, types: dict[str, str]) -> None:
        with self.lock:
            self.types = {**types, **{name: known for name, known in self.types.items() if name not in types}}

    def _touch(self, item: TypeItem) -> None:
        self.revision += 1
        item.revision = self.revision

    def state(self, item: TypeItem) -> dict[str, Any]:
        """What the page knows of it."""
        return {
            "index": item.index,
            "name": item.photograph.name.as_posix().encode("utf-8", "backslashreplace").decode(),
            "labels": list(item.labels),
            "predictions": [list(one) for one in item.predictions],
            "abstained": item.abstained,
            "error": item.error,
        }
