"""The work of ``maquette mask``: plan, ask, write; once, or for photographs as they arrive."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from maquette import bulk, masks, records
from maquette.client import Client
from maquette.errors import PASSING, FileFailed, MaquetteError
from maquette.masks import Job, Settings
from maquette.naming import OutputKind, Tool
from maquette.photographs import Photograph
from maquette.records import Record
from maquette.sheet import Sheet
from maquette.watch import Arrivals


@dataclass
class Masking:
    """One run of the command: the photographs it has met are in ``jobs``, why some have no mask in ``failures``."""

    client: Client
    folder: Path
    settings: Settings
    tool: Tool | None
    overwrite: bool
    in_flight: int
    jobs: dict[Path, Job] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def plan(self, found: Iterable[Photograph]) -> list[Job]:
        """A job for each photograph that is no mask of an earlier run, named beside all that were met before."""
        new = masks.without_masks(list(found))
        met = {path: job.photograph for path, job in self.jobs.items()} | {one.path: one for one in new}
        targets = masks.targets(list(met.values()), self.folder, OutputKind(self.settings.output_kind), self.tool)
        named = dict(zip(met, targets, strict=True))
        jobs = [self._job(photograph, named[photograph.path]) for photograph in new]
        self.jobs |= {job.photograph.path: job for job in jobs}
        return jobs

    def _job(self, photograph: Photograph, target: Path | MaquetteError) -> Job:
        if isinstance(target, MaquetteError):
            return Job(photograph, None, error=target)
        return Job(photograph, target) if self.overwrite else masks.job(photograph, target, self.settings)

    def make(self, jobs: list[Job], version: str, stop: Event | None = None) -> Iterator[Record]:
        """Make what is not there, and yield a record for each job, in order; after ``stop`` only of what was sent."""
        todo = [job.photograph for job in jobs if job.done is None and job.target is not None]
        paths = (photograph.path for photograph in todo if not (stop and stop.is_set()))
        kind, frame, threshold = self.settings.output_kind, self.settings.frame, self.settings.threshold
        answers = bulk.answered(
            todo,
            self.client.remove_background_many(paths, kind, frame=frame, threshold=threshold, in_flight=self.in_flight),
        )
        for job in jobs:
            if job.done is not None:
                record = job.done
            elif job.target is None:
                record = planned(job) | {"sha256": "", "model_version": version, "request_id": ""}
            elif (answer := next(answers, None)) is not None:
                record = records.record_of(job.photograph, answer, version)
                if answer.response is not None:
                    record = self._written(job.target, getattr(answer.response, kind), record)
            else:
                return
            self.failures.pop(record["file"], None)
            if "error" in record:
                self.failures[record["file"]] = record["error"]["detail"]
            yield record

    def _written(self, target: Path, image: bytes, record: Record) -> Record:
        try:
            return masks.write(target, image, record, self.settings)
        except MaquetteError as error:
            return record | {"error": {"code": error.code, "detail": error.detail}}

    def watch(self, arrivals: Arrivals, version: str, stop: Event, sheet: Sheet | None) -> Iterator[Record]:
        """:meth:`make` for each batch that arrives, and the sheet after it, until ``stop``."""
        for batch in arrivals:
            if jobs := self.plan(batch):
                for record in self.make(jobs, version, stop):
                    if record.get("error", {}).get("code") in PASSING:
                        arrivals.again(Path(record["file"]))
                    yield record
                if sheet:
                    self.write_sheet(sheet)
            if stop.is_set():
                return

    def write_sheet(self, sheet: Sheet, advance: Callable[[], None] = lambda: None) -> FileFailed | None:
        """The contact sheet of all photographs met; the masks are worth more than it, so its error is only returned."""
        try:
            sheet.write(list(self.jobs.values()), self.failures, advance)
        except FileFailed as error:
            return error
        return None


def planned(job: Job) -> Record:
    """What a dry run says of a photograph."""
    start: Record = {"file": str(job.photograph.path), "output": job.target and str(job.target)}
    if job.error is not None:
        return start | {"error": {"code": job.error.code, "detail": job.error.detail}}
    if job.done is None:
        return start | {"state": "to do"}
    return start | {"state": "there already" if "report" in job.done else "there already, not made by maquette"}
