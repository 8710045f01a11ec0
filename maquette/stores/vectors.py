"""The vectors of a run on their way to a store: what is there already is not asked for, and what is the same is not written."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from maquette.client.errors import make
from maquette.folders.photographs import Photograph
from maquette.records import log_lines
from maquette.records.merging import Ask, merged
from maquette.records.records import Record
from maquette.stores.table import Row, Space, State, Table, table_at

_ROWS, _SECONDS = 500, 10.0  # of a transaction: what a kill can cost


class Vectors:
    """A store as a :class:`maquette.records.writers.Writer`: :meth:`write` takes records, :meth:`flush` ends the transaction.

    ``field`` is the record's field that is the vector, ``settings`` what else than photograph and model decides an answer.
    Records with an error are left out: a row that an earlier run wrote for the photograph stays.
    """

    def __init__(self, table: Table, space: Space, field: str, model_version: str, settings: Record, overwrite: bool) -> None:
        self._table, self._space, self._field, self._overwrite = table, space, field, overwrite
        self._version, self._settings = model_version, json.dumps(settings, sort_keys=True)
        self._there = {file: _interned(state) for file, state in table.states()}
        self._waiting: dict[str, Row] = {}
        self._flushed = time.monotonic()
        self.reused: set[str] = set()  # the photographs whose answer was in the store
        self.where = f"vectors in {space.table} of {table.where}"

    def records(self, found: Iterable[Photograph], ask: Ask) -> Iterator[Record]:
        """A record for each photograph, in order: from the store, or what ``ask`` gives for those that are not in it."""
        return merged(found, ask, self._known, self._reuse) if self._there and not self._overwrite else ask(iter(found))

    def _known(self, photograph: Photograph) -> str | None:
        file = _text(str(photograph.path))
        state = self._there.get(file)
        if state is None or (state.model_version, state.settings) != (self._version, self._settings):
            return None
        return file if photograph.sha256() == state.sha256 else None

    def _reuse(self, file: str, photograph: Photograph) -> Record:
        record: Record = json.loads(self._table.record(file))
        record.pop("id", None)  # what it is now, the caller knows
        self.reused.add(str(photograph.path))
        return record | {"file": str(photograph.path)}

    def write(self, record: Record) -> None:
        """Raises :class:`SpacesDiffer`, :class:`StoreFailed`."""
        if "error" in record:
            return
        if record[log_lines.SPACE] != self._space.id:
            detail = (
                f"{record['file']} was answered in the space {record[log_lines.SPACE]}, and the store is for {self._space.id}"
            )
            raise make("SPACES_DIFFER", f"{detail}: the service's model changed during the run. Run the command again.")
        row = self._row(record)
        fresh = self._overwrite and record["file"] not in self.reused
        if fresh or self._there.get(row.file) != row.state:
            self._waiting[row.file] = row
        if len(self._waiting) >= _ROWS or time.monotonic() - self._flushed > _SECONDS:
            self.flush()

    def _row(self, record: Record) -> Row:
        file, id_ = _text(record["file"]), _text(record.get("id", ""))
        kept = record | {"file": file} | ({"id": id_} if id_ else {})
        return Row(
            file=file,
            id=id_,
            sha256=record["sha256"],
            model_version=record["model_version"],
            settings=self._settings,
            vector=record[self._field],
            features=record.get("features") or None,
            record=json.dumps(kept),
            written_at=datetime.now(UTC),
        )

    def flush(self) -> None:
        """Write what waits, in one transaction. Raises :class:`StoreFailed`."""
        rows, self._waiting = list(self._waiting.values()), {}
        if rows:
            self._table.write(rows)
            self._there |= {row.file: row.state for row in rows}
        self._flushed = time.monotonic()

    def delete_vanished(self, paths: Sequence[Path], found: Iterable[Photograph]) -> int:
        """Delete the rows of files below the folders among ``paths`` that are not ``found``; how many they were."""
        met = {_text(str(photograph.path)) for photograph in found}
        folders = tuple(_text(str(path)).rstrip(os.sep) + os.sep for path in paths if path.is_dir())
        gone = sorted(file for file in self._there if file.startswith(folders) and file not in met)
        for start in range(0, len(gone), _ROWS):
            self._table.delete(gone[start : start + _ROWS])
        return len(gone)


@contextmanager
def opened(
    to: str | None, space: Space, field: str, model_version: str, settings: Record, *, overwrite: bool
) -> Iterator[Vectors | None]:
    """The store at ``to``; None where there is none.

    Raises :class:`ParameterInvalid`, :class:`SpacesDiffer`, :class:`StoreFailed`.
    """
    if to is None:
        yield None
        return
    table = table_at(to)
    table.open(space)
    try:
        yield Vectors(table, space, field, model_version, settings, overwrite)
    finally:
        table.close()


def _interned(state: State) -> State:
    """A million rows have few versions and settings between them."""
    return State(state.sha256, sys.intern(state.model_version), sys.intern(state.settings), state.id)


def _text(name: str) -> str:
    """A name that is not UTF-8 with its bytes as \\udcXX, as in the files of records: stores take text alone."""
    return name.encode("utf-8", "backslashreplace").decode()
