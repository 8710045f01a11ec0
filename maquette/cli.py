"""The ``maquette`` command line. Exit codes: 0 all good, 1 something failed, 2 wrong usage or no server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from maquette import bulk, cluster_command, embed_command, linked_data, mask_command, masks, records
from maquette.client import IN_FLIGHT, PATIENCE
from maquette.contract import Service
from maquette.errors import MaquetteError, make
from maquette.linked_data import Document
from maquette.options import Ca, Chosen, InFlight, Key, Output, Paths, Patience, Server, Timeout, connected, finish, found_in
from maquette.output import Format
from maquette.photographs import Photograph
from maquette.records import Record, Shape
from maquette.stream import Answer

# gRPC's own log would stand between the sentences for people; it reads this when the first channel opens.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

app = typer.Typer(
    help="Ask Maquette's services about photographs of museum objects.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class ClassifyFormat(StrEnum):
    """How classifications are written: as every record, or as linked data."""

    TABLE = "table"
    JSONL = "jsonl"
    CSV = "csv"
    LINKED_ART = "linked-art"
    WEB_ANNOTATION = "web-annotation"


@app.command()
def classify(
    paths: Paths,
    top_k: Annotated[int | None, typer.Option(min=1, help="Types per photograph.  [default: 3]")] = None,
    server: Server = "localhost",
    key: Key = "",
    ca: Ca = None,
    timeout: Timeout = 120.0,
    patience: Patience = PATIENCE,
    format_: Annotated[
        ClassifyFormat | None,
        typer.Option("--format", show_default=False, help="Default: table on a terminal, else by the file's suffix or jsonl."),
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Short for --format csv.")] = False,
    explain: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="Folder for pictures of what speaks for each type: IMG.jpg.png."),
    ] = None,
    output: Output = None,
    in_flight: InFlight = IN_FLIGHT,
) -> None:
    """Which type of sculpture does each photograph show?"""
    with connected(server, key, ca, timeout, patience) as client:
        if csv and format_ not in (None, ClassifyFormat.CSV):
            raise make("PARAMETER_INVALID", f"--csv and --format {format_} are two formats; choose one.")
        chosen = ClassifyFormat.CSV if csv else format_
        document = linked_data.DOCUMENTS.get(chosen) if chosen else None
        plain = Format(chosen.value) if chosen and not document else None
        model = client.model(Service.CLASSIFY)
        if top_k and top_k > len(model.labels):
            raise make("PARAMETER_INVALID", f"--top-k takes 1 to {len(model.labels)}: the model has no more types.")
        found = found_in(paths)
        answers = client.classify_many(_paths(found), top_k, explain=explain is not None, in_flight=in_flight)
        if explain:
            answers = masks.explained(found, answers, explain)
        _report(found, answers, model.version, records.CLASSIFY, plain, output, "classify", document)


app.command()(cluster_command.cluster)


app.command()(embed_command.embed)
app.command()(mask_command.mask)


@app.command()
def models(
    server: Server = "localhost",
    key: Key = "",
    ca: Ca = None,
    timeout: Timeout = 120.0,
    patience: Patience = PATIENCE,
    format_: Chosen = None,
    output: Output = None,
) -> None:
    """Which models answer, and what they are."""
    with connected(server, key, ca, timeout, patience) as client:
        one_port = client.address(Service.CLASSIFY).target == client.address(Service.EMBED_LATENT).target

        def ask(service: Service) -> Record:
            start = {"service": service.value, "address": client.address(service).target}
            try:
                return start | records.as_dict(client.model(service))
            except MaquetteError as error:
                return start | {"error": {"code": error.code, "detail": error.detail}}

        with ThreadPoolExecutor(len(Service)) as pool:
            answers = list(pool.map(ask, Service))
        if one_port:  # one address is one service, or a gateway to several
            answers = [a for a in answers if a.get("error", {}).get("code") != "UNSUPPORTED"] or answers
        failed = bulk.run(answers, len(answers), records.MODELS, format_, output, doing="models")
        if len(failed) == len(answers):
            raise typer.Exit(2)
        finish(failed)


def _paths(found: list[Photograph]) -> list[Path]:
    return [photograph.path for photograph in found]


def _report(
    found: list[Photograph],
    answers: Iterator[Answer[Any]],
    version: str,
    shape: Shape,
    format_: Format | None,
    output: Path | None,
    doing: str,
    document: Document | None = None,
) -> None:
    made = (records.record_of(found[answer.index], answer, version) for answer in bulk.answered(found, answers))
    finish(bulk.run(made, len(found), shape, format_, output, doing=doing, document=document))
