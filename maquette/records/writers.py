"""Records as a table for people, or as JSON lines or CSV for programs; on standard output, or in a file that appears whole."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import IO, Any, Protocol

from rich.console import Console
from rich.table import Table
from rich.text import Text

from maquette.client.errors import make
from maquette.folders import atomic
from maquette.records import parquet
from maquette.records.linked_data import Document, DocumentWriter
from maquette.records.records import Record, Shape

# A spreadsheet takes a text that begins so for a formula and may run it (OWASP, CSV injection), but not after an apostrophe.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Format(StrEnum):
    """How records are written."""

    TABLE = "table"
    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


SUFFIXES = {
    ".csv": Format.CSV,
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
    ".json": Format.JSONL,
    ".txt": Format.JSONL,
    ".parquet": Format.PARQUET,
}
# What a spreadsheet, taking the name for it, could not open.
FOREIGN = frozenset({".xlsx", ".xls", ".ods", ".html", ".htm", ".pdf", ".zip"})


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
        self._rows: list[list[Text]] = []

    def write(self, record: Record) -> None:
        row = self._shape.row(record)
        cells = [Text(_shown(row[name])) for name in self._shape.shown]  # Text: a file name is no markup
        if row["error_code"]:
            cells[1] = Text(row["error_code"], style="red")
        self._rows.append(cells)

    def show(self) -> None:
        if not self._rows:
            return
        names = [name.replace("_", " ") for name in self._shape.shown]
        widths = [max(len(name), *(row[place].cell_len for row in self._rows)) for place, name in enumerate(names)]
        # A name keeps its end, which is what tells it from the others, and one line.
        room = max(16, self._console.width - sum(widths[1:]) - 2 * len(widths[1:]))
        table = Table(box=None, header_style="bold", pad_edge=False)
        table.add_column(names[0], no_wrap=True)
        for name in names[1:]:
            table.add_column(name, overflow="fold")
        for first, *others in self._rows:
            table.add_row(first if first.cell_len <= room else Text(f"…{first.plain[1 - room :]}"), *others)
        self._console.print(table)


class _Both:
    def __init__(self, first: Writer, second: Writer) -> None:
        self._writers = (first, second)

    def write(self, record: Record) -> None:
        for one in self._writers:
            one.write(record)


def choose(format_: Format | None, output: Path | None) -> Format:
    """The format asked for; else by the suffix of the output file; else a table for a terminal and JSON lines for a program.

    Raises :class:`ParameterInvalid` for a file whose suffix is that of no format here.
    """
    if output is not None and output.suffix.lower() in FOREIGN:
        raise make(
            "PARAMETER_INVALID", f"{output} cannot be written as what its name says; let it end in {', '.join(SUFFIXES)}."
        )
    if format_ is not None:
        return format_
    if output is not None and output.suffix and output.suffix.lower() not in SUFFIXES:
        detail = f"{output} ends in no format's name; let it end in {', '.join(SUFFIXES)}, or choose one with --format."
        raise make("PARAMETER_INVALID", detail)
    if output is not None:
        return SUFFIXES[output.suffix.lower()] if output.suffix else Format.JSONL
    return Format.TABLE if sys.stdout.isatty() else Format.JSONL


@contextmanager
def writer(
    format_: Format | None, output: Path | None, shape: Shape, document: Document | None = None, store: Writer | None = None
) -> Iterator[Writer]:
    """A writer to ``output``, or to standard output when it is None; of ``document`` where one is given.

    With a ``store`` also to that, before; with ``format_`` None to that alone.

    Raises :class:`FileFailed`.
    """
    if store is not None:
        if format_ is None:
            yield store
            return
        with writer(format_, output, shape, document) as file:
            yield _Both(store, file)
        return
    if format_ is Format.PARQUET and document is None:
        if output is None:
            raise make("PARAMETER_INVALID", "Parquet is not for standard output; name a file with -o.")
        with atomic.replaced(output) as part, parquet.writer(part, shape) as rows:
            yield rows
        return
    with atomic.whole(output) if output else _stdout() as stream:
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
def _stdout() -> Iterator[IO[str]]:
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    yield sys.stdout
    sys.stdout.flush()


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return str(value).lower() if isinstance(value, bool) else value


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else ""
    return f"{value:.3f}" if isinstance(value, float) else str(value)
