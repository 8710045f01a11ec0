"""The ``maquette`` command line. Exit codes: 0 all good, 1 something failed, 2 wrong usage or no server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from maquette import bulk, masks, photographs, records
from maquette.client import IN_FLIGHT, Client
from maquette.contract import Service
from maquette.errors import MaquetteError, make
from maquette.naming import OutputKind, Tool
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


class FrameName(StrEnum):
    """Which way up a mask is."""

    SENSOR = "sensor"
    DISPLAY = "display"


Paths = Annotated[list[Path], typer.Argument(exists=True, metavar="FILES|FOLDERS...", help="Photographs, or folders of them.")]
Server = Annotated[
    str, typer.Option(envvar="MAQUETTE_SERVER", help="HOST, or HOST:PORT of the service; after grpcs:// or https:// with TLS.")
]
Key = Annotated[str, typer.Option(envvar="MAQUETTE_KEY", show_envvar=True, show_default=False, help="API key.")]
Ca = Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="PEM file of the server's authority; turns TLS on.")]
Timeout = Annotated[float, typer.Option(min=0.001, help="Longest wait for one answer, in seconds.")]
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
InFlight = Annotated[int, typer.Option(min=1, max=1024, help="Photographs under way at a time.")]


@app.command()
def classify(
    paths: Paths,
    top_k: Annotated[int | None, typer.Option(min=1, help="Types per photograph.  [default: 3]")] = None,
    server: Server = "localhost",
    key: Key = "",
    ca: Ca = None,
    timeout: Timeout = 120.0,
    format_: Chosen = None,
    output: Output = None,
    in_flight: InFlight = IN_FLIGHT,
) -> None:
    """Which type of sculpture does each photograph show?"""
    with _connected(server, key, ca, timeout) as client:
        model = client.model(Service.CLASSIFY)
        if top_k and top_k > len(model.labels):
            raise make("PARAMETER_INVALID", f"--top-k takes 1 to {len(model.labels)}: the model has no more types.")
        found = _found(paths)
        answers = client.classify_many(_paths(found), top_k, in_flight=in_flight)
        _report(found, answers, model.version, records.CLASSIFY, format_, output, "classify")


@app.command()
def cluster(
    paths: Paths,
    neighbours: Annotated[int | None, typer.Option(min=0, max=50, help="Most similar works to name.  [default: 5]")] = None,
    server: Server = "localhost",
    key: Key = "",
    ca: Ca = None,
    timeout: Timeout = 120.0,
    format_: Chosen = None,
    output: Output = None,
    in_flight: InFlight = IN_FLIGHT,
) -> None:
    """In which visual group does each painting fall, and how surely?"""
    with _connected(server, key, ca, timeout) as client:
        version = client.model(Service.CLUSTER_ASSIGN).version
        found = _found(paths)
        answers = client.assign_many(_paths(found), neighbours, in_flight=in_flight)
        _report(found, answers, version, records.CLUSTER, format_, output, "cluster")


@app.command()
def embed(
    paths: Paths,
    features: Annotated[bool, typer.Option("--features", help="Also the encoder's wider feature vector.")] = False,
    server: Server = "localhost",
    key: Key = "",
    ca: Ca = None,
    timeout: Timeout = 120.0,
    format_: Chosen = None,
    output: Output = None,
    in_flight: InFlight = IN_FLIGHT,
) -> None:
    """Where does each figurine lie in the latent plane?"""
    with _connected(server, key, ca, timeout) as client:
        space = client.space()
        found = _found(paths)
        shape = records.embed_shape(space.dimensions, space.feature_dimensions if features else 0)
        answers = client.embed_many(_paths(found), features, in_flight=in_flight)
        _report(found, answers, space.model_version, shape, format_, output, "embed")


@app.command()
def mask(
    paths: Paths,
    output: Annotated[
        Path, typer.Option("--output", "-o", file_okay=False, help="Folder for the masks; sub-folders are kept.")
    ],
    tool: Annotated[
        Tool | None, typer.Option("--for", help="Name masks as this program wants them.  [default: IMG.jpg.png]")
    ] = None,
    output_kind: Annotated[OutputKind, typer.Option(help="The mask, or the photograph with it as alpha.")] = OutputKind.MASK,
    frame: Annotated[FrameName, typer.Option(help="Pixel rows as stored, or upright by EXIF.")] = FrameName.SENSOR,
    threshold: Annotated[float | None, typer.Option(min=0, max=1, help="Probability from which a pixel is object.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Make masks again that are there already.")] = False,
    server: Server = "localhost",
    key: Key = "",
    ca: Ca = None,
    timeout: Timeout = 120.0,
    format_: Chosen = None,
    report: Annotated[Path | None, typer.Option(dir_okay=False, help="Write the records to this file.")] = None,
    in_flight: InFlight = IN_FLIGHT,
) -> None:
    """Write one PNG for each photograph: which pixels are the object? Those already made are left as they are."""
    with _connected(server, key, ca, timeout) as client:
        if tool and output_kind is OutputKind.CUTOUT:
            raise make("PARAMETER_INVALID", "--for names masks; leave it out with --output-kind cutout.")
        if threshold in (0, 1):
            raise make("PARAMETER_INVALID", "--threshold takes a number above 0 and below 1.")
        settings = masks.Settings(output_kind.value, frame.value, threshold)
        found = masks.without_masks(_found(paths))
        targets = masks.targets(found, output, output_kind, tool)  # before anything is sent or written
        version = client.model(Service.REMOVE_BACKGROUND).version
        jobs = [
            masks.Job(photograph, target, None) if overwrite else masks.job(photograph, target, settings)
            for photograph, target in zip(found, targets, strict=True)
        ]
        todo = [job.photograph for job in jobs if job.done is None]
        answers = client.remove_background_many(
            _paths(todo), output_kind.value, frame=frame.value, threshold=threshold, in_flight=in_flight
        )
        made = _masked(jobs, bulk.answered(todo, answers), settings, version)
        failed = bulk.run(made, len(jobs), records.MASK, format_, report, doing="mask")
        if len(todo) < len(jobs):
            typer.echo(f"{len(jobs) - len(todo)} of {len(jobs)} were done already.", err=True)
        _finish(failed)


@app.command()
def models(
    server: Server = "localhost",
    key: Key = "",
    ca: Ca = None,
    timeout: Timeout = 120.0,
    format_: Chosen = None,
    output: Output = None,
) -> None:
    """Which models answer, and what they are."""
    with _connected(server, key, ca, timeout) as client:
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
        _finish(failed)


@contextmanager
def _connected(server: str, key: str, ca: Path | None, timeout: float) -> Iterator[Client]:
    """A client; an error that is not one photograph's ends the command with a sentence and exit code 2."""
    try:
        with Client(server, key=key, ca=ca, timeout=timeout) as client:
            yield client
    except MaquetteError as error:
        typer.echo(f"maquette: {error.detail}", err=True)
        raise typer.Exit(2) from error


def _found(paths: list[Path]) -> list[Photograph]:
    found = photographs.find(paths)
    if not found:
        suffixes = " ".join(sorted(photographs.SUFFIXES))
        raise make("PARAMETER_INVALID", f"No photographs in {', '.join(map(str, paths))}; looked for {suffixes}.")
    return found


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
) -> None:
    made = (records.record_of(found[answer.index], answer, version) for answer in bulk.answered(found, answers))
    _finish(bulk.run(made, len(found), shape, format_, output, doing=doing))


def _masked(jobs: list[masks.Job], answers: Iterator[Answer[Any]], settings: masks.Settings, version: str) -> Iterator[Record]:
    for job in jobs:
        if job.done is not None:
            yield job.done
            continue
        answer = next(answers)
        record = records.record_of(job.photograph, answer, version)
        if answer.response is not None:
            image = getattr(answer.response, settings.output_kind)
            try:
                record = masks.write(job.target, image, record, settings)
            except MaquetteError as error:
                record["error"] = {"code": error.code, "detail": error.detail}
        yield record


def _finish(failed: list[Record]) -> None:
    if failed:
        raise typer.Exit(1)
