"""Records as Parquet: one row a record, vectors as lists of fixed length, the names those of the service's Arrow stream."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from maquette.client.errors import make
from maquette.records.records import Record, Shape

_ROWS = 1024  # of a row group, which is what waits in memory


class _Rows:
    def __init__(self, shape: Shape, arrow: Any, file: Any, schema: Any) -> None:
        self._shape, self._arrow, self._file, self._schema = shape, arrow, file, schema
        self._rows: list[Record] = []

    def write(self, record: Record) -> None:
        error = record.get("error", {})
        self._rows.append(record | {"error_code": error.get("code"), "error_detail": error.get("detail")})
        if len(self._rows) == _ROWS:
            self.flush()

    def flush(self) -> None:
        if self._rows:
            self._file.write_table(self._arrow.Table.from_pylist(self._rows, schema=self._schema))
            self._rows = []


@contextmanager
def writer(path: Path, shape: Shape) -> Iterator[_Rows]:
    """Raises :class:`ParameterInvalid`, OSError."""
    if shape.typed is None:
        raise make("PARAMETER_INVALID", "These records are not written as Parquet; name a file that ends in .csv or .jsonl.")
    try:
        arrow: Any = importlib.import_module("pyarrow")
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        detail = "Parquet needs pyarrow: pip install '.[report]', or name a file that ends in .csv or .jsonl."
        raise make("PARAMETER_INVALID", detail) from error
    kinds = {float: arrow.float32(), bool: arrow.bool_(), str: arrow.string(), list: arrow.list_(arrow.string())}
    types = {
        name: arrow.list_(arrow.float32(), kind) if isinstance(kind, int) else kinds[kind] for name, kind in shape.typed.items()
    }
    names = (shape.subject, "sha256", *types, *shape.carries, "error_code", "error_detail")
    schema = arrow.schema([(name, types.get(name, kinds[list if name == "notes" else str])) for name in names])
    with parquet.ParquetWriter(path, schema) as file:
        rows = _Rows(shape, arrow, file, schema)
        yield rows
        rows.flush()
