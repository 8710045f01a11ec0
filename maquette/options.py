"""The options that commands share, and how each begins and ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from maquette import photographs
from maquette.client import Client
from maquette.errors import MaquetteError, make
from maquette.output import Format
from maquette.photographs import Photograph
from maquette.records import Record

Paths = Annotated[list[Path], typer.Argument(exists=True, metavar="FILES|FOLDERS...", help="Photographs, or folders of them.")]
Server = Annotated[
    str, typer.Option(envvar="MAQUETTE_SERVER", help="HOST, or HOST:PORT of the service; after grpcs:// or https:// with TLS.")
]
Key = Annotated[str, typer.Option(envvar="MAQUETTE_KEY", show_envvar=True, show_default=False, help="API key.")]
Ca = Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="PEM file of the server's authority; turns TLS on.")]
Timeout = Annotated[float, typer.Option(min=0.001, help="Longest wait for one answer, in seconds.")]
Patience = Annotated[
    float, typer.Option(min=0, envvar="MAQUETTE_PATIENCE", help="How long a service that is away is asked again, in seconds.")
]
Chosen = Annotated[
    Format | None,
    typer.Option("--format", show_default=False, help="Default: table on a terminal, else by the file's suffix or jsonl."),
]
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
        help="Your own columns for the map; the first names the photograph.",
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Ask again what an earlier run was answered.")]
InFlight = Annotated[int, typer.Option(min=1, max=1024, help="Photographs under way at a time.")]


@contextmanager
def connected(server: str, key: str, ca: Path | None, timeout: float, patience: float) -> Iterator[Client]:
    """A client; an error that is not one photograph's ends the command with a sentence and exit code 2."""
    try:
        with Client(server, key=key, ca=ca, timeout=timeout, patience=patience) as client:
            yield client
    except MaquetteError as error:
        typer.echo(f"maquette: {error.detail}", err=True)
        raise typer.Exit(2) from error


def found_in(paths: list[Path]) -> list[Photograph]:
    """The photographs there. Raises :class:`ParameterInvalid` when there are none."""
    found = photographs.find(paths)
    if not found:
        suffixes = " ".join(sorted(photographs.SUFFIXES))
        raise make("PARAMETER_INVALID", f"No photographs in {', '.join(map(str, paths))}; looked for {suffixes}.")
    return found


def finish(failed: list[Record]) -> None:
    """Exit code 1 when something failed."""
    if failed:
        raise typer.Exit(1)
