"""``maquette mask``: its options, its three ways to run, and the contact sheet at its end."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from maquette import bulk, records
from maquette.client import IN_FLIGHT, PATIENCE
from maquette.contract import Service
from maquette.errors import make
from maquette.masking import Masking, planned
from maquette.masks import Settings
from maquette.naming import OutputKind, Tool
from maquette.options import Ca, Chosen, InFlight, Key, Paths, Patience, Server, Timeout, connected, finish, found_in
from maquette.output import Format
from maquette.photographs import Photograph
from maquette.records import Record
from maquette.sheet import Sheet
from maquette.watch import SETTLED, Arrivals, interruptible


class FrameName(StrEnum):
    """Which way up a mask is."""

    SENSOR = "sensor"
    DISPLAY = "display"


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
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be written and what is there.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Go on as photographs arrive, until Ctrl-C.")] = False,
    settled: Annotated[
        float, typer.Option(min=0.05, help="With --watch: seconds without a change after which a file is whole.")
    ] = SETTLED,
    sheet: Annotated[bool, typer.Option("--sheet/--no-sheet", help="A contact sheet in the folder, outliers first.")] = True,
    server: Server = "localhost",
    key: Key = "",
    ca: Ca = None,
    timeout: Timeout = 120.0,
    patience: Patience = PATIENCE,
    format_: Chosen = None,
    report: Annotated[Path | None, typer.Option(dir_okay=False, help="Write the records to this file.")] = None,
    in_flight: InFlight = IN_FLIGHT,
) -> None:
    """Write one PNG for each photograph: which pixels are the object? Those already made are left as they are."""
    with connected(server, key, ca, timeout, patience) as client:
        if tool and output_kind is OutputKind.CUTOUT:
            raise make("PARAMETER_INVALID", "--for names masks; leave it out with --output-kind cutout.")
        if threshold in (0, 1):
            raise make("PARAMETER_INVALID", "--threshold takes a number above 0 and below 1.")
        if watch and dry_run:
            raise make("PARAMETER_INVALID", "--watch writes masks and --dry-run does not; choose one.")
        settings = Settings(output_kind.value, frame.value, threshold)
        run = Masking(client, output, settings, tool, overwrite, in_flight)
        found = [] if watch else found_in(paths)
        if dry_run:
            finish(_say(run, found, format_, report))
            return
        version = client.model(Service.REMOVE_BACKGROUND).version
        contact = Sheet(output, settings) if sheet else None
        failed = (
            _watch(run, paths, settled, version, contact, format_, report)
            if watch
            else _once(run, found, version, format_, report)
        )
        if contact and not _sheet(run, contact):
            raise typer.Exit(1)
        finish(failed)


def _say(run: Masking, found: list[Photograph], format_: Format | None, report: Path | None) -> list[Record]:
    jobs = run.plan(found)
    failed = bulk.run(map(planned, jobs), len(jobs), records.PLAN, format_, report, doing="look")
    there = sum(job.done is not None for job in jobs)
    typer.echo(f"{len(jobs) - there - len(failed)} to do, {there} there already. Nothing was written.", err=True)
    return failed


def _once(run: Masking, found: list[Photograph], version: str, format_: Format | None, report: Path | None) -> list[Record]:
    jobs = run.plan(found)
    failed = bulk.run(run.make(jobs, version), len(jobs), records.MASK, format_, report, doing="mask")
    if there := sum(job.done is not None for job in jobs):
        typer.echo(f"{there} of {len(jobs)} were done already.", err=True)
    return failed


def _watch(
    run: Masking,
    paths: list[Path],
    settled: float,
    version: str,
    contact: Sheet | None,
    format_: Format | None,
    report: Path | None,
) -> list[Record]:
    # A table would wait for the end.
    format_ = format_ or (None if report else Format.JSONL)
    with interruptible() as stop:
        typer.echo("Watching; Ctrl-C ends it.", err=True)

        made = run.watch(Arrivals(paths, stop, settled), version, stop, contact)
        return bulk.run(made, None, records.MASK, format_, report, doing="mask")


def _sheet(run: Masking, contact: Sheet) -> bool:
    """Whether the contact sheet could be written; if not it was said why."""
    console = Console(stderr=True, soft_wrap=True, markup=False, highlight=False)
    with bulk.progress(console) as bar:
        task = bar.add_task("contact sheet", total=len(run.jobs))
        error = run.write_sheet(contact, lambda: bar.advance(task))
    if error:
        console.print(f"{error.detail} ({error.code})")
    return error is None
