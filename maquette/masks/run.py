"""The two middle stages of ``maquette mask``: ask for what the plan lacks, and write what is answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from maquette.client.client import Client
from maquette.client.errors import MaquetteError
from maquette.client.streaming import Answer
from maquette.masks import files
from maquette.masks.plan import Job, Order
from maquette.records import records
from maquette.records.records import Record


def ask(
    client: Client, jobs: Sequence[Job], order: Order, in_flight: int, stopped: Callable[[], bool] = lambda: False
) -> Iterator[Answer[Any]]:
    """An answer for each job that is to do, in order; once ``stopped``, only for those that were sent already."""
    settings = order.settings
    return client.remove_background_many(
        (job.photograph.path for job in jobs if job.to_do and not stopped()),
        settings.output_kind,
        frame=settings.frame,
        threshold=settings.threshold,
        adapter=settings.adapter,
        in_flight=in_flight,
    )


def written(jobs: Sequence[Job], answers: Iterator[Answer[Any]], order: Order, version: str) -> Iterator[Record]:
    """A record for each job, in order: of what is kept, of what cannot be done, and of each answer once its file is written.

    Ends early where ``answers`` does.
    """
    for job in jobs:
        if job.kept is not None:
            yield job.kept
        elif job.target is None:
            yield refused(job) | {"sha256": "", "model_version": version, "request_id": ""}
        elif (answer := next(answers, None)) is None:
            return
        else:
            yield _written(job, answer, order, version)


def refused(job: Job) -> Record:
    """The record of a photograph that can have no result."""
    error = job.error or MaquetteError("INTERNAL", "The photograph has no job.")
    start: Record = {"file": str(job.photograph.path), "output": None}
    return start | {"error": {"code": error.code, "detail": error.detail}}


def _written(job: Job, answer: Answer[Any], order: Order, version: str) -> Record:
    record = records.record_of(job.photograph, answer, version)
    if answer.response is None or job.target is None:
        return record
    facts = {name: value for name, value in record.items() if name != "file"} | {"settings": order.settings.facts}
    record |= {"output": str(job.target), "skipped": False}
    image = getattr(answer.response, order.settings.output_kind)
    try:
        files.write(job.target, image, facts, replace_mine=order.replace_mine)
    except files.Persons:
        return record | {"skipped": True, "notes": [*record.get("notes", ()), files.KEPT]}
    except MaquetteError as error:
        return record | {"error": {"code": error.code, "detail": error.detail}}
    return record | order.settings.learnt
