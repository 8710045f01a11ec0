"""``maquette cluster``: records of some photographs, or the report of a whole collection."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maquette.client.client import IN_FLIGHT, PATIENCE
from maquette.client.errors import make
from maquette.client.services import Service
from maquette.commands import asking, drawing, manifests, provenance, runner
from maquette.commands.manifests import ManifestOption
from maquette.commands.options import (
    Ca,
    Chosen,
    ColumnsFile,
    DeleteVanished,
    IdFromOption,
    InFlight,
    Key,
    Overwrite,
    PathsOrManifest,
    Patience,
    ReplaceMine,
    Server,
    TextFormat,
    Timeout,
    To,
    check_vanished,
    connected,
    found_in,
)  # fmt: skip
from maquette.maps import cluster_map
from maquette.maps.catalogue import Collection
from maquette.maps.gather import Gathered
from maquette.records import log_lines, records
from maquette.records.answer_log import AnswerLog
from maquette.records.writers import FOREIGN, SUFFIXES, Format
from maquette.stores import vectors
from maquette.stores.table import Space

CSV, PAGE, ANSWERS = "works.csv", "map.html", "answers.jsonl"


def cluster(
    context: typer.Context,
    paths: PathsOrManifest = None,
    manifest: ManifestOption = None,
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
    id_from: IdFromOption = None,
    neighbours: Annotated[int, typer.Option(min=0, max=50, help="Most similar works to name.")] = 5,
    overwrite: Overwrite = False,
    replace_mine: ReplaceMine = False,
    to: To = None,
    delete_vanished: DeleteVanished = False,
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
        if columns and not (report or id_from):
            raise make("PARAMETER_INVALID", "--columns colours the map; give it with -o REPORT, a folder, or with --id-from.")
        check_vanished(paths, to, delete_vanished)
        model, groups = client.model(Service.CLUSTER_ASSIGN), client.clusters()
        if manifest and (id_from or columns):
            raise make("PARAMETER_INVALID", "--manifest has ids of its own; leave out --id-from and --columns.")
        brought = manifests.bring(manifest, paths, output, manifests.least(model.input)) if manifest else None
        if brought:
            collection = Collection(brought.found, brought.ids)
        else:
            collection = asking.collection(found_in(manifests.some(paths)), id_from, columns)
        asking.refuse_sources([output], collection.found, columns)
        gathered = Gathered("embedding")
        kept = drawing.folder(report) / ANSWERS if report else log_lines.beside(output)
        space, settings, page = (log_lines.SPACE, groups.embedding_space), {"neighbours": neighbours}, None
        table = Space(groups.embedding_space)
        with (
            vectors.opened(to, table, "embedding", model.version, settings, overwrite=overwrite) as store,
            AnswerLog(kept, Service.CLUSTER_ASSIGN, space, settings, overwrite=overwrite) as log,
        ):
            if report and not replace_mine:
                for name in (CSV, PAGE):
                    log.check_own(report / name)
            made = asking.answered(
                collection,
                log,
                lambda todo: client.assign_many(todo, neighbours, in_flight=in_flight),
                model.version,
                store,
            )
            made = gathered.through(collection, made) if report else made
            outcome = runner.write(
                brought.and_failed(made) if brought else made,
                brought.total if brought else len(collection.found),
                records.CLUSTER,
                Format.CSV if report else format_,
                report / CSV if report else output,
                doing="cluster",
                document=brought.document("cluster", output, format_) if brought and not report else None,
                placing=log.wrote if report else None,
                store=store,
            )
            outcome.skip(log.reused | (store.reused if store else set()))
            if delete_vanished and paths:
                drawing.delete_vanished(store, paths, collection.found, outcome)
            draws = report is not None and bool(gathered.works) and not outcome.stopped
            if report and draws:
                page = drawing.draw(
                    report / PAGE,
                    lambda: cluster_map.page(
                        drawing.title_of(paths) if paths else manifest or "",
                        gathered.by_object(),
                        groups.clusters,
                        collection,
                        provenance.pairs(context, model, gathered.records, columns),
                    ),
                    outcome,
                    log.wrote,
                )
            if outcome.whole:
                log.finish() if report else log.remove()
        drawing.say_end(outcome, page, outcome.where)
        raise typer.Exit(outcome.exit_code or int(draws and page is None))


def _report(output: Path | None, format_: TextFormat | None) -> Path | None:
    """The folder of the report, where one is wanted: a folder that is there is one, and a name that ends in no format's."""
    if output is None or (output.suffix.lower() in SUFFIXES and not output.is_dir()):
        return None
    if output.suffix.lower() in FOREIGN and not output.is_dir():
        detail = f"-o takes a folder for the report, whose page will be FOLDER/{PAGE}, or a file that ends in .csv or .jsonl."
        raise make("PARAMETER_INVALID", detail)
    if format_ is not None:
        raise make("PARAMETER_INVALID", "A report has its own formats; leave out --format, or name a file that ends in .csv.")
    if output.exists() and not output.is_dir():
        raise make("PARAMETER_INVALID", f"{output} is a file; -o takes a folder for the report.")
    return output
