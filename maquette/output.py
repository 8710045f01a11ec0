"""Records as a table for people, or as JSON lines or CSV for programs; on standard output, or in a file that appears whole."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import IO, Any, Protocol

from rich.console import Console
from rich.table import Table
from rich.text import Text

from maquette import parquet
from maquette.errors import FileFailed, make
from maquette.linked_data import Document, DocumentWriter
from maquette.records import Record, Shape


class Format(StrEnum):
    """How records are written."""

    TABLE = "table"
    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


class Writer(Protocol):
    """Takes records in order."""

    def write(self, record: Record) -> None: ...


class _Jsonl:
    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, record: Record) -> None:
        self._stream.write(json.dumps(record, ensure_ascii=False) + "\n")
        self._stream.flush()


class _Csv:
    def __init__(self, stream: IO[str], shape: Shape) -> None:
        self._stream, self._shape = stream, shape
        self._rows = csv.DictWriter(stream, shape.all_columns, lineterminator="\n")
        self._rows.writeheader()

    def write(self, record: Record) -> None:
        self._rows.writerow({name: _cell(value) for name, value in self._shape.row(record).items()})
        self._stream.flush()


class _Table:
    """Columns need all rows to find their width, so it is shown by :meth:`show` at the end."""

    def __init__(self, stream: IO[str], shape: Shape) -> None:
        # A pipe or a file has no width; lines are not to be broken there.
        self._console = Console(file=stream, width=None if stream.isatty() else 500)
        self._shape = shape
        self._table = Table(box=None, header_style="bold", pad_edge=False)
        for name in shape.shown:
            self._table.add_column(name.replace("_", " "), overflow="fold")

    def write(self, record: Record) -> None:
        row = self._shape.row(record)
        cells = [Text(_shown(row[name])) for name in self._shape.shown]  # Text: a file name is no markup
        if row["error_code"]:
            cells[1] = Text(row["error_code"], style="red")
        self._table.add_row(*cells)

    def show(self) -> None:
        if self._table.row_count:
            self._console.print(self._table)


def choose(format_: Format | None, output: Path | None) -> Format:
    """The format asked for; else by the suffix of the output file; else a table for a terminal and JSON lines for a program."""
    if format_ is not None:
        return format_
    if output is not None:
        return {".csv": Format.CSV, ".parquet": Format.PARQUET}.get(output.suffix.lower(), Format.JSONL)
    return Format.TABLE if sys.stdout.isatty() else Format.JSONL


@contextmanager
def writer(format_: Format, output: Path | None, shape: Shape, document: Document | None = None) -> Iterator[Writer]:
    """A writer to ``output``, or to standard output when it is None; of ``document`` where one is given.

    Raises :class:`FileFailed`.
    """
    if format_ is Format.PARQUET and document is None:
        if output is None:
            raise make("PARAMETER_INVALID", "Parquet is not for standard output; name a file with -o.")
        try:
            with parquet.writer(output, partial_name(output), shape) as rows:
                yield rows
        except OSError as error:
            raise unwritable(output, error) from error
        return
    with whole(output) if output else _stdout() as stream:
        if document is not None:
            items = DocumentWriter(stream, document)
            yield items
            items.close()
        elif format_ is Format.TABLE:
            table = _Table(stream, shape)
            yield table
            table.show()
        else:
            yield _Csv(stream, shape) if format_ is Format.CSV else _Jsonl(stream)


@contextmanager
def whole(path: Path) -> Iterator[IO[str]]:
    """A text file that appears under its name when all of it is written, and not at all otherwise.

    The temporary file lies beside it, hidden and always of the same name, so that a killed run leaves no litter.
    Raises :class:`FileFailed`.
    """
    part = partial_name(path)
    try:
        # A file name that is not UTF-8 comes out as \udcXX, which JSON reads back.
        with part.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
            yield stream
        part.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def partial_name(path: Path) -> Path:
    """Where a file is written before it is moved to ``path``."""
    return path.with_name(f".{path.name}.part")


def unwritable(path: Path, error: OSError) -> FileFailed:
    return FileFailed("FILE_UNWRITABLE", f"{path} cannot be written: {error.strerror or error}.")


@contextmanager
def _stdout() -> Iterator[IO[str]]:
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    yield sys.stdout
    sys.stdout.flush()


def _cell(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else ""
    return f"{value:.3f}" if isinstance(value, float) else str(value)
