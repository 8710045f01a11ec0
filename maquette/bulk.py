"""Run a command over many photographs: progress on standard error, records in order, failures named at the end."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from maquette import output
from maquette.errors import MaquetteError
from maquette.linked_data import Document
from maquette.output import Format
from maquette.photographs import Photograph
from maquette.records import Record, Shape
from maquette.stream import Answer


def answered(photographs: Sequence[Photograph], answers: Iterator[Answer[Any]]) -> Iterator[Answer[Any]]:
    """One answer a photograph, also when the service is lost half-way: the rest then have that as their error."""
    count = 0
    try:
        for answer in answers:
            yield answer
            count += 1
    except MaquetteError as error:
        for index in range(count, len(photographs)):
            yield Answer(index, photographs[index].path, "", error=error)


def run(
    records: Iterable[Record],
    total: int | None,
    shape: Shape,
    format_: Format | None,
    file: Path | None,
    *,
    doing: str,
    document: Document | None = None,
) -> list[Record]:
    """Write the records, or the document of them, and return those with an error, having named them.

    Raises :class:`FileFailed`.

    ``total`` is None where there is no end in sight: failures are then named when they happen too, and one that a later
    record of the same subject makes good is forgotten.
    """
    errors = Console(stderr=True, soft_wrap=True, markup=False, highlight=False)
    chosen = Format.JSONL if document else output.choose(format_, file)
    subjects: set[str] = set()
    failed: dict[str, Record] = {}
    with progress(errors, chosen, file) as bar, output.writer(chosen, file, shape, document) as writer:
        task = bar.add_task(doing, total=total)
        for record in records:
            subject = record[shape.subject]
            subjects.add(subject)
            failed.pop(subject, None)
            writer.write(record)
            if "error" in record:
                failed[subject] = record
                if total is None:
                    errors.print(_sentence(record, shape))
            bar.advance(task)
    for record in failed.values():
        errors.print(_sentence(record, shape))
    if failed:
        errors.print(f"{len(failed)} of {len(subjects)} failed.")
    return list(failed.values())


def _sentence(record: Record, shape: Shape) -> str:
    return f"{record[shape.subject]}: {record['error']['detail']} ({record['error']['code']})"


def progress(console: Console, format_: Format | None = None, file: Path | None = None) -> Progress:
    """A bar on a terminal; nothing elsewhere."""
    # Lines that stream to the same terminal show the progress themselves, and a bar between them would be torn.
    torn = sys.stdout.isatty() and format_ in (Format.JSONL, Format.CSV) and file is None
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    return Progress(
        *columns,
        console=console,
        disable=torn or not console.is_terminal,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
