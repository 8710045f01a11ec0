"""The options that commands share, and how each begins and ends."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from maquette.client.client import Client
from maquette.client.errors import MaquetteError, make
from maquette.folders import photographs
from maquette.folders.photographs import Found, Photograph
from maquette.masks import sources
from maquette.records.writers import Format

Paths = Annotated[list[Path], typer.Argument(exists=True, metavar="FILES|FOLDERS...", help="Photographs, or folders of them.")]
PathsOrManifest = Annotated[
    list[Path] | None, typer.Argument(exists=True, metavar="[FILES|FOLDERS...]", help="Photographs, or folders of them.")
]
Server = Annotated[
    str, typer.Option(envvar="MAQUETTE_SERVER", help="HOST, or HOST:PORT of the service; after grpcs:// or https:// with TLS.")
]
Key = Annotated[str, typer.Option(envvar="MAQUETTE_KEY", show_envvar=True, show_default=False, help="API key.")]
Ca = Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="PEM file of the server's authority; turns TLS on.")]
Timeout = Annotated[float, typer.Option(min=0.001, help="Longest wait for one answer, in seconds.")]
Patience = Annotated[
    float,
    typer.Option(min=0, envvar="MAQUETTE_PATIENCE", help="Seconds in all for which a service that is away is asked again."),
]


class TextFormat(StrEnum):
    """The formats of :class:`Format` that every command can write."""

    TABLE = "table"
    JSONL = "jsonl"
    CSV = "csv"


_FORMAT = typer.Option("--format", show_default=False, help="Default: table on a terminal, else by the file's suffix or jsonl.")
Chosen = Annotated[TextFormat | None, _FORMAT]
ChosenOrParquet = Annotated[Format | None, _FORMAT]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", dir_okay=False, help="Write the records to this file, which appears when they are all there."
    ),
]
ColumnsFile = Annotated[
    Path | None,
    typer.Option(
        "--columns",
        exists=True,
        dir_okay=False,
        metavar="FILE.csv",
        help="Your own columns; the first names the photograph, or is its object's id.",
    ),
]
IdFromOption = Annotated[
    str | None,
    typer.Option(
        "--id-from",
        metavar="stem|name|path|column[:NAME]",
        help="Where an object's id comes from: the photograph's name, or a column of --columns. "
        "Photographs of one id show one object.",
    ),
]
To = Annotated[
    str | None,
    typer.Option(
        "--to",
        envvar="MAQUETTE_TO",
        metavar="postgresql://USER@HOST/DATABASE|lancedb:FOLDER",
        help="Also write the vectors to this store, into the table of their embedding space.",
    ),
]
DeleteVanished = Annotated[
    bool,
    typer.Option(
        "--delete-vanished", help="With --to: delete the rows of photographs that are gone from the folders. They are lost."
    ),
]
ReplaceMine = Annotated[
    bool, typer.Option("--replace-mine", help="Also replace files that a person made or corrected. They are lost.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Ask about every photograph again, also where an answer is kept.")]
InFlight = Annotated[int, typer.Option(min=1, max=1024, help="Photographs under way at a time.")]

# Exit code of a run that Ctrl-C or SIGTERM stopped, as shells have it.
STOPPED = 130
STOPPED_EARLY = "Stopped before any photograph was done. Next: run the same command again."


@contextmanager
def connected(server: str, key: str, ca: Path | None, timeout: float, patience: float) -> Iterator[Client]:
    """A client; an error that is not one photograph's ends the command with a sentence and exit code 2, Ctrl-C with 130."""
    with reported(), Client(server, key=key, ca=ca, timeout=timeout, patience=patience) as client:
        yield client


@contextmanager
def reported() -> Iterator[None]:
    """:func:`connected` for what asks no service."""
    try:
        with told():
            yield
    except MaquetteError as error:
        typer.echo(f"maquette: {error.detail}", err=True)
        raise typer.Exit(2) from error
    except KeyboardInterrupt as error:
        typer.echo(STOPPED_EARLY, err=True)
        raise typer.Exit(STOPPED) from error


@contextmanager
def told() -> Iterator[None]:
    """What the client and the folders log, such as that a service is asked again, is said on standard error."""
    log, handler = logging.getLogger("maquette"), _Told()
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


class _Told(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        typer.echo(f"maquette: {record.getMessage()}", err=True)


def found_in(paths: list[Path]) -> list[Photograph]:
    """The photographs there without the masks among them; says what is left out. Raises :class:`ParameterInvalid` for none."""
    found = photographs.find(paths)
    works, masks = sources.divide(found.photographs)
    say_left_out(found, masks)
    if not works:
        suffixes = " ".join(sorted(photographs.SUFFIXES))
        raise make("PARAMETER_INVALID", f"No photographs in {', '.join(map(str, paths))}; looked for {suffixes}.")
    return works


def check_vanished(paths: Sequence[Path] | None, to: str | None, delete_vanished: bool) -> None:
    """Raises :class:`ParameterInvalid` where it could not be told which rows are of the folders."""
    if delete_vanished and to is None:
        raise make("PARAMETER_INVALID", "--delete-vanished deletes rows of a store; name that with --to.")
    if delete_vanished and not paths:
        raise make("PARAMETER_INVALID", "--delete-vanished is of folders; a manifest has none.")
    if delete_vanished and paths and Path() in paths:
        raise make("PARAMETER_INVALID", "--delete-vanished wants a folder with a name; give it in the place of '.', as before.")


def say_left_out(found: Found, masks: Sequence[Photograph]) -> None:
    """One line on standard error about what lies among the photographs and is not asked about; none where there is nothing."""
    parts = []
    if masks:
        parts.append(f"masks and other results: {len(masks)} (the first is {masks[0].path})")
    if found.unread:
        counts = ", ".join(f"{count} {suffix}" for suffix, count in found.unread.most_common())
        parts.append(f"files that no service reads: {counts} (save them as JPEG, PNG, TIFF or WebP)")
    if found.links:
        parts.append(f"linked folders: {len(found.links)} (name one to take it too; the first is {found.links[0]})")
    if parts:
        typer.echo(f"Left out: {'; '.join(parts)}.", err=True)
