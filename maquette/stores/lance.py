"""LanceDB, embedded: a folder with a table for each space, whose id is in the table's schema. Searches need no index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from maquette.stores import table
from maquette.stores.table import COLUMNS, STATE, Row, Space, State

try:
    import lancedb
    import pyarrow
    from lancedb.index import BTree
except ImportError as error:
    raise table.lacking("lancedb") from error

_SPACE = "embedding_space"


class Lance:
    """The LanceDB in a folder, which is made where it is not there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.where = f"{table.LANCEDB}{folder}"
        self._table: Any = None
        self._written = 0

    def open(self, space: Space) -> None:
        self._space = space
        with self._failing():
            self._database = lancedb.connect(self._folder)
            try:
                self._table = self._database.open_table(space.table)
            except (ValueError, FileNotFoundError):
                return
            there = (self._table.schema.metadata or {}).get(_SPACE.encode())
        if there != space.id.encode():
            raise table.clash(self.where, space, there and there.decode(errors="replace"))

    def states(self) -> Iterator[tuple[str, State]]:
        if self._table is None:
            return
        with self._failing():
            for batch in self._table.search().select(["file", *STATE]).to_batches():
                columns = [batch.column(name).to_pylist() for name in ("file", *STATE)]
                for file, *state in zip(*columns, strict=True):
                    yield file, State(*state)

    def record(self, file: str) -> str:
        with self._failing():
            found = self._table.search().where(f"file = {_quoted(file)}").select(["record"]).limit(1).to_list()
        if not found:
            raise table.unwritable(self.where, f"the row of {file} was deleted during the run; run the command again")
        return str(found[0]["record"])

    def write(self, rows: Sequence[Row]) -> None:
        with self._failing():
            schema = self._schema(len(rows[0].vector)) if self._table is None else self._table.schema
            data = pyarrow.Table.from_pylist([vars(row) for row in rows], schema=schema)
            if self._table is None:
                self._table = self._database.create_table(self._space.table, data)
            else:
                self._table.merge_insert("file").when_matched_update_all().when_not_matched_insert_all().execute(data)
        self._written += 1

    def _schema(self, dimensions: int) -> Any:
        features = [pyarrow.field("features", pyarrow.list_(pyarrow.float32(), self._space.features or None or -1))]
        kinds = {
            "vector": pyarrow.field("vector", pyarrow.list_(pyarrow.float32(), dimensions), nullable=False),
            "features": features[0],
            "written_at": pyarrow.field("written_at", pyarrow.timestamp("us", "UTC"), nullable=False),
        }
        columns = [kinds.get(name, pyarrow.field(name, pyarrow.string(), nullable=False)) for name in COLUMNS]
        return pyarrow.schema(columns, metadata={_SPACE: self._space.id})

    def delete(self, files: Sequence[str]) -> None:
        with self._failing():
            self._table.delete(f"file IN ({', '.join(map(_quoted, files))})")
        self._written += 1

    def close(self) -> None:
        """Also lay the small files of this run's transactions together, and index ``file``: else each row is searched for."""
        if self._written:
            with self._failing():
                if not self._table.list_indices():
                    self._table.create_index("file", config=BTree())
                self._table.optimize()

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, RuntimeError) as error:  # LanceDB's own, which has no classes for them
            raise table.unwritable(self.where, error) from error


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
