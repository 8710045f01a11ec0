"""``maquette mask``: find, plan, ask, write, report. Each stage is handed the one before it; none is called back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path, PurePath
from threading import Event
from typing import Annotated

import typer

from maquette.client.client import IN_FLIGHT, PATIENCE, Client
from maquette.client.errors import PASSING, FileFailed, make
from maquette.client.guidance import adapter_of
from maquette.client.services import Service
from maquette.commands import manifests, runner
from maquette.commands.manifests import ManifestOption
from maquette.commands.options import (
    Ca,
    Chosen,
    InFlight,
    Key,
    PathsOrManifest,
    Patience,
    Server,
    TextFormat,
    Timeout,
    connected,
    found_in,
    say_left_out,
)
from maquette.commands.runner import Outcome
from maquette.folders.photographs import Photograph
from maquette.folders.watch import SETTLED, Arrivals, interruptible
from maquette.masks import learning, plan, run, sources
from maquette.masks.naming import OutputKind, Tool
from maquette.masks.plan import Job, Order, Settings
from maquette.records import records
from maquette.records.ids import IdOfName
from maquette.records.records import Record
from maquette.review.contact_sheet import ContactSheet
from protos.maquette.remove_background.v1.remove_background_pb2 import Adapter


class FrameName(StrEnum):
    """Which way up a mask is."""

    SENSOR = "sensor"
    DISPLAY = "display"


def mask(
    output: Annotated[
        Path, typer.Option("--output", "-o", file_okay=False, help="Folder for the masks; sub-folders are kept.")
    ],
    paths: PathsOrManifest = None,
    manifest: ManifestOption = None,
    tool: Annotated[
        Tool | None, typer.Option("--for", help="Name masks as this program wants them.", show_default="IMG.jpg.png")
    ] = None,
    output_kind: Annotated[OutputKind, typer.Option(help="The mask, or the photograph with it as alpha.")] = OutputKind.MASK,
    frame: Annotated[FrameName, typer.Option(help="Pixel rows as stored, or upright by EXIF.")] = FrameName.SENSOR,
    threshold: Annotated[float | None, typer.Option(min=0, max=1, help="Probability from which a pixel is object.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Make Maquette's own masks again.")] = False,
    replace_mine: Annotated[
        bool, typer.Option("--replace-mine", help="Also replace files that a person made or corrected. They are lost.")
    ] = False,
    learn: Annotated[
        bool, typer.Option("--learn", help="Learn from the masks that you corrected, and make Maquette's own again with that.")
    ] = False,
    learn_from: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, metavar="FOLDER", help="Learn from the masks in this folder, named alike."),
    ] = None,
    adapter: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Use what --learn learnt before: adapter-….json.")
    ] = None,
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
    id_from: Annotated[
        IdOfName | None, typer.Option(help="Give each record an id: its photograph's stem, name or path.")
    ] = None,
    in_flight: InFlight = IN_FLIGHT,
) -> None:
    """Write one PNG for each photograph: which pixels are the object? Those that are there already are left as they are."""
    with connected(server, key, ca, timeout, patience) as client:
        if tool and output_kind is OutputKind.CUTOUT:
            raise make("PARAMETER_INVALID", "--for names masks; leave it out with --output-kind cutout.")
        if threshold in (0, 1):
            raise make("PARAMETER_INVALID", "--threshold takes a number above 0 and below 1.")
        if watch and dry_run:
            raise make("PARAMETER_INVALID", "--watch writes masks and --dry-run does not; choose one.")
        if manifest and (watch or learn or learn_from or id_from):
            raise make(
                "PARAMETER_INVALID", "--manifest has ids of its own and is read once; leave out --id-from, --watch, --learn."
            )
        settings = Settings(output_kind.value, frame.value, threshold, adapter_of(adapter))
        brought = manifests.bring(manifest, paths, output, None) if manifest else None
        named = [] if brought else manifests.some(paths)
        if learn or learn_from:
            if adapter or dry_run or replace_mine or output_kind is OutputKind.CUTOUT:
                refused = "--learn makes an adapter, from masks that stay as they are"
                raise make("PARAMETER_INVALID", f"{refused}; leave out --adapter, --dry-run, --replace-mine and cut-outs.")
            pairs = learning.examples(found_in(named), learn_from or output, tool, corrected=not learn_from)
            settings = replace(settings, adapter=_learnt(client, pairs, frame, report.parent if report else output))
        order = Order(output, settings, tool, overwrite, replace_mine)
        contact = ContactSheet(output, order.settings, replace_mine=replace_mine) if sheet else None
        if watch:
            version = client.model(Service.REMOVE_BACKGROUND).version
            with interruptible() as stop:
                typer.echo("Watching; Ctrl-C ends it.", err=True)
                watched = _Watch(client, order, version, in_flight, contact)
                made = watched.records(Arrivals(named, stop, settled), stop)
                # A table would wait for the end.
                chosen = format_ or (None if report else TextFormat.JSONL)
                made = _with_ids(made, id_from, lambda file: watched.jobs[Path(file)].photograph.name)
                outcome = runner.write(made, None, records.MASK, chosen, report, doing="mask")
            jobs = list(watched.jobs.values())
        else:
            jobs = _planned(brought.found if brought else found_in(named), order)
            if dry_run:
                _say_plan(jobs, format_, report)
                return
            version = client.model(Service.REMOVE_BACKGROUND).version
            answers = runner.answered(_to_do(jobs), run.ask(client, jobs, order, in_flight))
            within = {str(job.photograph.path): job.photograph.name for job in jobs}
            made = _with_ids(run.written(jobs, answers, order, version), id_from, within.__getitem__)
            made, total = (brought.and_failed(brought.with_ids(made)), brought.total) if brought else (made, len(jobs))
            document = brought.document("mask", report, format_) if brought else None
            outcome = runner.write(made, total, records.MASK, format_, report, doing="mask", document=document)
        _end(outcome, jobs, contact, output)


def _learnt(client: Client, pairs: Sequence[learning.Pair], frame: FrameName, folder: Path) -> Adapter:
    """Learn, say what it is worth and keep it. Raises :class:`ParameterInvalid` where there is nothing to learn from."""
    if not pairs:
        detail = "There is no mask to learn from: correct one or two in an editor and save them in place, or use --learn-from."
        raise make("PARAMETER_INVALID", detail)
    learnt = client.adapt(pairs, frame=frame.value)
    typer.echo(learning.sentence(learnt), err=True)
    if not learning.helps(learnt):
        said = "That would make the masks worse, or hardly better, so they are left as they are. Correct some that differ more."
        typer.echo(said, err=True)
        raise typer.Exit(1)
    typer.echo(f"Kept in {learning.keep(learnt, folder)}; use it with --adapter.", err=True)
    return learnt


def _with_ids(made: Iterable[Record], id_from: IdOfName | None, name: Callable[[str], PurePath]) -> Iterator[Record]:
    """The records, with an id out of each photograph's ``name`` in the folder that was searched, where ids are wanted."""
    for record in made:
        yield {"file": record["file"], "id": id_from.of(name(record["file"]))} | record if id_from else record


def _planned(found: Sequence[Photograph], order: Order) -> list[Job]:
    with runner.progress(runner.errors()) as bar:
        return list(bar.track(plan.jobs(found, order), total=len(found), description="plan"))


def _to_do(jobs: Sequence[Job]) -> list[Photograph]:
    return [job.photograph for job in jobs if job.to_do]


def _say_plan(jobs: Sequence[Job], format_: TextFormat | None, report: Path | None) -> None:
    def says(job: Job) -> Record:
        if job.error is not None:
            return run.refused(job)
        return {"file": str(job.photograph.path), "output": str(job.target), "state": job.state}

    outcome = runner.write(map(says, jobs), len(jobs), records.PLAN, format_, report, doing="look")
    to_do, there = sum(job.to_do for job in jobs), sum(job.kept is not None for job in jobs)
    counts = f"{to_do} to do, {there} there already, {len(outcome.failed)} failed"
    typer.echo(f"{counts}; nothing was written. Next: the same command without --dry-run.", err=True)
    raise typer.Exit(outcome.exit_code)


class _Watch:
    """The same stages for each batch that arrives. ``jobs`` are those of all photographs met, the latest of each."""

    def __init__(self, client: Client, order: Order, version: str, in_flight: int, contact: ContactSheet | None) -> None:
        self._client, self._order, self._version, self._in_flight = client, order, version, in_flight
        self._contact = contact
        self.jobs: dict[Path, Job] = {}

    def records(self, arrivals: Arrivals, stop: Event) -> Iterator[Record]:
        """A record for each photograph as it is done, until ``stop``; what failed because the service was away comes again."""
        again: list[Path] = []
        failures: dict[str, str] = {}
        first = True
        while (found := arrivals.wait(again)) is not None:
            again = []
            met = [job.photograph for job in self.jobs.values()]
            works, masks = sources.divide(found.photographs, met)
            if first:
                say_left_out(found, masks)
                first = False
            jobs = list(plan.jobs(works, self._order, met))
            self.jobs |= {job.photograph.path: job for job in jobs}
            answers = runner.answered(_to_do(jobs), run.ask(self._client, jobs, self._order, self._in_flight, stop.is_set))
            for record in run.written(jobs, answers, self._order, self._version):
                failures.pop(record["file"], None)
                if "error" in record:
                    failures[record["file"]] = record["error"]["detail"]
                    if record["error"]["code"] in PASSING:
                        again.append(Path(record["file"]))
                yield record
            if jobs and self._contact and not stop.is_set():
                _write_sheet(self._contact, list(self.jobs.values()), failures)


def _write_sheet(contact: ContactSheet, jobs: Sequence[Job], failures: dict[str, str]) -> int | None:
    """How many masks want a person's eye; None when the sheet could not be written, which is said: masks are worth more."""
    console = runner.errors()
    try:
        with runner.progress(console) as bar:
            task = bar.add_task("contact sheet", total=len(jobs))
            return contact.write(jobs, failures, lambda: bar.advance(task))
    except FileFailed as error:
        console.print(f"{error.detail} ({error.code})")
        return None


def _end(outcome: Outcome, jobs: Sequence[Job], contact: ContactSheet | None, folder: Path) -> None:
    """The contact sheet and the last line; then the exit code."""
    to_look_at, lacking = None, False
    if contact and not outcome.stopped:
        failures = {subject: record["error"]["detail"] for subject, record in outcome.failed.items()}
        try:
            to_look_at = _write_sheet(contact, jobs, failures)
            lacking = to_look_at is None
        except KeyboardInterrupt:
            outcome.stopped = True
    where = f"masks in {folder}" + (f", records in {outcome.file}" if outcome.file else "")
    if outcome.stopped:
        next_ = "run the same command again, it makes what is missing"
    elif outcome.failed or outcome.unwritten or lacking:
        next_ = "see to what is named above and run the same command again, it makes what is missing"
    elif to_look_at is not None and contact:
        next_ = f"open {contact.path}"
    else:
        next_ = "nothing is left to do"
    if to_look_at is not None and contact and outcome.failed:
        where += f", contact sheet {contact.path}"
    runner.close(outcome, where=where, next_=next_, to_look_at=to_look_at)
    raise typer.Exit(outcome.exit_code or int(lacking))
