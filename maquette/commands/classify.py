"""``maquette classify``: records of the types of sculpture."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from maquette.client.client import IN_FLIGHT, PATIENCE
from maquette.client.errors import make
from maquette.client.services import Service
from maquette.commands import asking, manifests, runner
from maquette.commands.manifests import ManifestOption
from maquette.commands.options import (
    Ca,
    ColumnsFile,
    IdFromOption,
    InFlight,
    Key,
    Output,
    PathsOrManifest,
    Patience,
    Server,
    Timeout,
    connected,
    found_in,
)
from maquette.maps.catalogue import Collection
from maquette.masks import explanations
from maquette.records import linked_data, log_lines, records
from maquette.records.answer_log import AnswerLog
from maquette.records.writers import Format

_TOP_K = 3


class ClassifyFormat(StrEnum):
    """How classifications are written: as every record, or as linked data."""

    TABLE = "table"
    JSONL = "jsonl"
    CSV = "csv"
    LINKED_ART = "linked-art"
    WEB_ANNOTATION = "web-annotation"


def classify(
    paths: PathsOrManifest = None,
    manifest: ManifestOption = None,
    top_k: Annotated[int | None, typer.Option(min=1, help="Types per photograph.", show_default=str(_TOP_K))] = None,
    id_from: IdFromOption = None,
    columns: ColumnsFile = None,
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
        model = client.model(Service.CLASSIFY)
        if top_k and top_k > len(model.labels):
            raise make("PARAMETER_INVALID", f"--top-k takes 1 to {len(model.labels)}: the model has no more types.")
        count = top_k or min(_TOP_K, len(model.labels))
        if manifest and (id_from or columns or (chosen and linked_data.document(chosen, []))):
            raise make(
                "PARAMETER_INVALID", "--manifest has ids and a form of its own; leave out --id-from, --columns, --format."
            )
        size = None if explain else manifests.least(model.input)
        brought = manifests.bring(manifest, paths, output, size) if manifest else None
        if brought:
            collection = Collection(brought.found, brought.ids)
        else:
            collection = asking.collection(found_in(manifests.some(paths)), id_from, columns)
        asking.refuse_sources([output], collection.found, columns)
        document = linked_data.document(chosen, collection.ids) if chosen else None
        if brought:
            document = brought.document("classify", output, chosen)
        plain = Format(chosen.value) if chosen and not document else None
        places = explanations.places(collection.found, explain) if explain else []
        # Pictures that explain are on disk, and not in the log: with them every photograph is asked about.
        kept = None if explain else log_lines.beside(output)

        def many(todo: asking.Paths) -> asking.Answers:
            answers = client.classify_many(todo, count, explain=explain is not None, in_flight=in_flight)
            return explanations.written(places, answers) if explain else answers

        with AnswerLog(kept, Service.CLASSIFY, (log_lines.VERSION, model.version), {"top_k": count}) as log:
            made = asking.answered(collection, log, many, model.version)
            made, total = (brought.and_failed(made), brought.total) if brought else (made, len(collection.found))
            outcome = runner.write(made, total, records.CLASSIFY, plain, output, doing="classify", document=document)
            outcome.skip(log.reused)
            if outcome.whole:
                log.remove()
        runner.say_end(outcome)
        raise typer.Exit(outcome.exit_code)
