"""What the commands that draw a map do alike: read the user's columns, ask for what is not there yet, draw."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from maquette import bulk, columns, output, page, records
from maquette.columns import Columns
from maquette.errors import FileFailed
from maquette.journal import Journal
from maquette.page import Page
from maquette.photographs import Photograph
from maquette.records import Record
from maquette.stream import Answer


def user_columns(file: Path | None, found: list[Photograph]) -> tuple[Columns | None, list[str] | None]:
    """The user's columns and the sub-folders; what of the file was of no use is said."""
    read = columns.read(file, found) if file else None
    if read and read.unmatched:
        first = f"{len(read.unmatched)} rows of {file} name no photograph here, the first of them {read.unmatched[0]!r}."
        typer.echo(first, err=True)
    if read and read.without:
        typer.echo(f"{read.without} of {len(found)} photographs have no row in {file}.", err=True)
    return read, columns.folders(found)


def asked(
    found: list[Photograph], journal: Journal, many: Callable[[list[Path]], Iterator[Answer[Any]]], version: str
) -> Iterator[Record]:
    """A record for each photograph, those in the journal first of all from there."""

    def ask(todo: list[Photograph]) -> Iterator[Record]:
        answers = bulk.answered(todo, many([photograph.path for photograph in todo]))
        return (records.record_of(todo[answer.index], answer, version) for answer in answers)

    return journal.records(found, ask)


def folder(path: Path) -> Path:
    """Make it where it is not there. Raises :class:`FileFailed`."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output.unwritable(path, error) from error
    return path


def draw(path: Path, make: Callable[[], Page]) -> bool:
    """Whether the page could be written; if not it was said why. The records are worth more than it."""
    console = Console(stderr=True, soft_wrap=True, markup=False, highlight=False)
    try:
        with bulk.progress(console) as bar:
            task = bar.add_task("arrange", total=None)
            made = make()
            bar.update(task, description="draw", total=len(made.photographs))
            page.write(path, made, lambda: bar.advance(task))
    except FileFailed as error:
        console.print(f"{error.detail} ({error.code})")
        return False
    typer.echo(f"The map is {path}; open it in a browser.", err=True)
    return True


def title_of(paths: list[Path]) -> str:
    """The folders' names; of single files, that of the folder they are in."""
    folders = dict.fromkeys((path if path.is_dir() else path.parent).absolute().name for path in paths)
    return ", ".join(folders) or "/"
