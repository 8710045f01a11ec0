"""Write the records of a run: progress on standard error, failures named at the end, and one last line that sums up.

A file of records is a transaction. Until all are written they are in ``NAME.unfinished.SUFFIX`` beside it and the old file is
there; a run that Ctrl-C stops, or that the service left without answers, leaves them in that one.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from maquette.client.errors import PASSING, FileFailed, MaquetteError, StoreFailed
from maquette.client.streaming import Answer
from maquette.commands.options import STOPPED, TextFormat
from maquette.folders import atomic
from maquette.folders.photographs import Photograph
from maquette.records import log_lines, writers
from maquette.records.linked_data import Document
from maquette.records.records import Record, Shape
from maquette.records.writers import Format
from maquette.stores.vectors import Vectors


@dataclass
class Outcome:
    """How a run went. ``done``, ``skipped`` and ``failed`` are by subject, each subject in one of them.

    ``stopped``: Ctrl-C ended it before its time. ``file`` is where the records are, None for standard output, to which they are
    ``printed``; ``store`` is where their vectors are, in words; ``unwritten`` says why they are not where they were asked for.
    """

    total: int | None
    file: Path | None = None
    done: set[str] = field(default_factory=set)
    skipped: set[str] = field(default_factory=set)
    failed: dict[str, Record] = field(default_factory=dict)
    stopped: bool = False
    unwritten: str = ""
    store: str = ""
    printed: bool = True

    def add(self, subject: str, record: Record) -> None:
        """The latest record of a subject is what counts."""
        self.done.discard(subject)
        self.skipped.discard(subject)
        self.failed.pop(subject, None)
        if "error" in record:
            self.failed[subject] = record
        elif record.get("skipped"):
            self.skipped.add(subject)
        else:
            self.done.add(subject)

    @property
    def whole(self) -> bool:
        """Whether every photograph was answered, or refused for a reason of its own that asking again does not change."""
        passing = any(record["error"]["code"] in PASSING for record in self.failed.values())
        return not (self.stopped or self.unwritten or passing)

    def skip(self, subjects: Set[str]) -> None:
        """These were done by an earlier run."""
        self.skipped |= self.done & subjects
        self.done -= subjects

    @property
    def where(self) -> str:
        """Where the records are, in words."""
        if self.file:
            place = f"records in {self.file}"
        elif self.unwritten:
            return "no records"
        else:
            place = "records on standard output" if self.printed else ""
        return ", ".join(filter(None, (place, self.store)))

    @property
    def exit_code(self) -> int:
        """0 all good, 1 something failed, 130 stopped."""
        return STOPPED if self.stopped else int(bool(self.failed or self.unwritten))


def answered(photographs: Sequence[Photograph], answers: Iterator[Answer[Any]]) -> Iterator[Answer[Any]]:
    """One answer a photograph, also when the service is lost half-way: the rest then have that as their error."""
    count = 0
    try:
        for answer in answers:
            yield answer
            count += 1
    except MaquetteError as error:
        for index in range(count, len(photographs)):
            yield Answer(index, photographs[index].path, "", error=error)


def write(
    records: Iterable[Record],
    total: int | None,
    shape: Shape,
    format_: Format | TextFormat | None,
    file: Path | None,
    *,
    doing: str,
    document: Document | None = None,
    placing: Callable[[Path, Path], None] | None = None,
    store: Vectors | None = None,
) -> Outcome:
    """Write the records as they come, also those before a Ctrl-C, and name those with an error. Raises :class:`FileFailed`.

    ``placing`` is called with the written file and the name that it is given next. With a ``store`` the records go there too,
    and to standard output only where ``format_`` is given.

    ``total`` is None where there is no end in sight: failures are then named when they happen too, and one that a later
    record of the same subject makes good is forgotten.
    """
    console = errors()
    chosen = None
    if file or format_ or document or store is None:
        chosen = Format.JSONL if document else writers.choose(Format(format_) if format_ else None, file)
    outcome = Outcome(total, file and _unfinished(file), store=store.where if store else "", printed=chosen is not None)
    begun = False
    try:
        with progress(console, chosen, file) as bar, writers.writer(chosen, outcome.file, shape, document, store) as writer:
            begun, task = True, bar.add_task(doing, total=total)
            try:
                for record in records:
                    writer.write(record)
                    outcome.add(record[shape.subject], record)
                    if "error" in record and total is None:
                        console.print(_sentence(record, shape))
                    bar.advance(task)
            except KeyboardInterrupt:
                outcome.stopped = True
            if store:
                store.flush()
    except (FileFailed, StoreFailed) as error:
        if not begun:
            raise
        outcome.unwritten, outcome.file = error.detail, None  # a full disk: what is done is done
    for record in outcome.failed.values():
        console.print(_sentence(record, shape))
    if file and outcome.file and outcome.whole:
        if placing is not None:
            placing(outcome.file, file)
        _put_in_place(outcome, outcome.file, file)
    return outcome


def close(outcome: Outcome, *, where: str, next_: str, to_look_at: int | None = None) -> None:
    """The last line of a run on standard error."""
    counts = [f"{len(outcome.done):,} done", f"{len(outcome.skipped):,} skipped", f"{len(outcome.failed):,} failed"]
    if to_look_at is not None:
        counts.append(f"{to_look_at:,} to look at")
    stopped = ""
    met = len(outcome.done) + len(outcome.skipped) + len(outcome.failed)
    if outcome.stopped or (outcome.total is not None and met < outcome.total):
        stopped = f"Stopped after {met:,}{f' of {outcome.total:,}' if outcome.total is not None else ''}: "
    trouble = f"{outcome.unwritten} " if outcome.unwritten else ""
    errors().print(f"{trouble}{stopped}{', '.join(counts)}; {where}. Next: {next_}.")


def say_end(outcome: Outcome) -> None:
    """:func:`close` of a run whose records are all that it writes."""
    close(outcome, where=outcome.where, next_=next_step(outcome))


def next_step(outcome: Outcome) -> str:
    """What to run next."""
    if not (outcome.whole or outcome.unwritten):
        return "run the same command again"
    if outcome.failed or outcome.unwritten:
        return "see to what is named above and run the same command again"
    return "nothing is left to do" if outcome.file or outcome.store else "-o FILE keeps the records"


def _unfinished(file: Path) -> Path:
    if not file.parent.is_dir():
        raise atomic.unwritable(file, OSError(errno.ENOENT, os.strerror(errno.ENOENT)))
    if file.exists() and not file.is_file():
        raise atomic.unwritable(file, OSError(errno.EINVAL, "it is no regular file"))
    return log_lines.unfinished(file)


def _put_in_place(outcome: Outcome, unfinished: Path, file: Path) -> None:
    try:
        unfinished.replace(file.resolve() if file.is_symlink() else file)
        outcome.file = file
    except OSError as error:  # Windows: a spreadsheet holds it open
        outcome.unwritten = f"{file} cannot be written: {error.strerror or error}."


def _sentence(record: Record, shape: Shape) -> str:
    return f"{record[shape.subject]}: {record['error']['detail']} ({record['error']['code']})"


def errors() -> Console:
    """Standard error for sentences: no markup in file names, no line broken."""
    return Console(stderr=True, soft_wrap=True, markup=False, highlight=False)


def progress(console: Console, format_: Format | None = None, file: Path | None = None) -> Progress:
    """A bar on a terminal; nothing elsewhere."""
    # Lines that stream to the same terminal show the progress themselves, and a bar between them would be torn.
    torn = sys.stdout.isatty() and format_ in (Format.JSONL, Format.CSV) and file is None
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    return Progress(
        *columns,
        console=console,
        disable=torn or not console.is_terminal,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
