"""``maquette cluster``: records of some photographs, or the report of a whole collection."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maquette import bulk, cluster_page, journal, maps, provenance, records
from maquette.client import IN_FLIGHT, PATIENCE
from maquette.contract import Service
from maquette.errors import make
from maquette.gather import Gathered
from maquette.journal import Journal
from maquette.options import (
    Ca,
    Chosen,
    ColumnsFile,
    InFlight,
    Key,
    Overwrite,
    Paths,
    Patience,
    Server,
    Timeout,
    connected,
    finish,
    found_in,
)  # fmt: skip
from maquette.output import Format

CSV, PAGE, ANSWERS = "works.csv", "map.html", "answers.jsonl"


def cluster(
    context: typer.Context,
    paths: Paths,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="REPORT",
            help="Folder for works.csv and map.html; or a .csv or .jsonl file for the records.",
        ),
    ] = None,
    columns: ColumnsFile = None,
    neighbours: Annotated[int | None, typer.Option(min=0, max=50, help="Most similar works to name.  [default: 5]")] = None,
    overwrite: Overwrite = False,
    server: Server = "localhost",
    key: Key = "",
    ca: Ca = None,
    timeout: Timeout = 120.0,
    patience: Patience = PATIENCE,
    format_: Chosen = None,
    in_flight: InFlight = IN_FLIGHT,
) -> None:
    """In which visual group does each painting fall, and how surely? With -o REPORT: a map of the whole collection."""
    with connected(server, key, ca, timeout, patience) as client:
        report = _report(output, format_)
        if columns and not report:
            raise make("PARAMETER_INVALID", "--columns colours the map; give it with -o REPORT, a folder.")
        model, groups = client.model(Service.CLUSTER_ASSIGN), client.clusters()
        found = found_in(paths)
        user = maps.user_columns(columns, found)
        gathered = Gathered("embedding")
        kept = maps.folder(report) / ANSWERS if report else journal.beside(output)
        with Journal(kept, groups.embedding_space, {"neighbours": neighbours}, overwrite=overwrite) as answers:
            made = maps.asked(
                found, answers, lambda todo: client.assign_many(todo, neighbours, in_flight=in_flight), model.version
            )
            made = gathered.through(found, made) if report else made
            file = report / CSV if report else output
            failed = bulk.run(made, len(found), records.CLUSTER, Format.CSV if report else format_, file, doing="cluster")
        answers.say(len(found))
        if not report:
            answers.end(failed)
        elif gathered.works and not maps.draw(
            report / PAGE,
            lambda: cluster_page.page(
                maps.title_of(paths),
                gathered,
                groups.clusters,
                user,
                provenance.pairs(context, model, gathered.records, columns),
            ),
        ):
            raise typer.Exit(1)
        finish(failed)


def _report(output: Path | None, format_: Format | None) -> Path | None:
    """The folder of the report, where one is wanted: a name without a suffix and a folder that is there are one."""
    if output is None or not (output.is_dir() or not output.suffix):
        if output is not None and output.suffix.lower() in (".html", ".htm"):
            raise make("PARAMETER_INVALID", f"-o takes a folder for the report; the page will be FOLDER/{PAGE}.")
        return None
    if format_ is not None:
        raise make("PARAMETER_INVALID", "A report has its own formats; leave out --format, or name a file that ends in .csv.")
    if output.exists() and not output.is_dir():
        raise make("PARAMETER_INVALID", f"{output} is a file; -o takes a folder for the report.")
    return output
