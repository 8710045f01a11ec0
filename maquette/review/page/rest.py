"""The rest of the set, in the background: made again with what corrections teach, or made where masks are missing."""

from __future__ import annotations

import re
import threading
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops

from maquette.client.client import IN_FLIGHT, Client
from maquette.client.errors import MaquetteError, make
from maquette.maps.thumbnails import UNREADABLE
from maquette.masks import learning, plan, run
from maquette.masks.plan import Job, Order
from maquette.review.page.corrections import Corrections, changing
from maquette.review.page.journal import HIDDEN, Verdict, Version
from maquette.review.page.mask_set import Item, MaskSet
from protos.maquette.remove_background.v1.remove_background_pb2 import Adapter

_WHY = re.compile(r"rest (\d+)")
_COMPARED = 1024  # pixels of the longer side, at least half of them


@dataclass
class Progress:
    """How far it is. ``state``: idle, learning, making, done, failed or stopped; ``sentence`` says it to a person."""

    state: str = "idle"
    total: int = 0
    done: int = 0
    failed: int = 0
    sentence: str = ""
    errors: list[str] = field(default_factory=list)

    @property
    def under_way(self) -> bool:
        return self.state in ("learning", "making")


class Rest:
    """One run at a time. Masks that a person made, accepted or rejected are left as they are."""

    def __init__(self, masks: MaskSet, client: Client, corrections: Corrections, in_flight: int = IN_FLIGHT) -> None:
        self._masks, self._client, self._corrections, self._in_flight = masks, client, corrections, in_flight
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._thread: threading.Thread | None = None
        self.progress = Progress()

    def start(self, *, missing: bool) -> None:
        """``missing``: make the masks that are not there; else learn from the corrected ones and make the others again."""
        with self._lock:
            if self.progress.under_way:
                raise make("PARAMETER_INVALID", "The rest is being made already; stop that first.")
            self.progress = Progress("making" if missing else "learning")
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, args=(missing,), name="rest")
        self._thread.start()

    def stop(self, *, wait: bool = False) -> None:
        """What was made stays made; what was not is not begun."""
        self._stop.set()
        if wait and self._thread:
            self._thread.join()

    def state(self) -> dict[str, Any]:
        """What the page knows of it."""
        return vars(self.progress) | {"changed": len(self._changed()), "errors": self.progress.errors[:20]}

    def take_back(self) -> int:
        """Bring back the masks before the last run, but for those that a person accepted since; how many."""
        if self.progress.under_way:
            raise make("PARAMETER_INVALID", "The rest is being made; stop that first.")
        changed = self._changed()
        for item in changed:
            self._corrections.undo(item)
        self.progress = Progress(sentence=f"{_masks(len(changed))} as before the last run.")
        return len(changed)

    def _changed(self) -> list[Item]:
        """What the last run changed and nobody accepted or changed since."""
        with self._masks.journal.lock:
            entries = [(item, self._masks.journal.entries.get(item.name)) for item in self._masks.items]
            last = self._last()
            return [
                item
                for item, entry in entries
                if entry and entry.versions and entry.versions[-1].why == f"rest {last}" and entry.verdict is Verdict.NONE
            ]

    def _last(self) -> int:
        whys = {version.why for entry in self._masks.journal.entries.values() for version in entry.versions}
        return max((int(found[1]) for why in whys if (found := _WHY.fullmatch(why))), default=0)

    def _run(self, missing: bool) -> None:
        progress = self.progress
        try:
            adapter = None if missing else self._learnt(progress)
            progress.state = "making"
            if missing or adapter:
                self._make(progress, self._corrections.order_with(adapter), missing)
        except MaquetteError as error:
            progress.state, progress.sentence = "failed", error.detail
        except Exception as error:  # a thread of its own: the page must not wait for ever
            progress.state, progress.sentence = "failed", f"A fault of maquette review: {error!r}"
            raise

    def _learnt(self, progress: Progress) -> Adapter | None:
        items = [item for item in self._masks.items if self._teaches(item)]
        pairs = [(item.photograph.path, item.target) for item in items if item.target]
        if not pairs:
            raise make(
                "PARAMETER_INVALID", "There is no mask to learn from: correct one or two first, with marks or the brush."
            )
        learnt = self._client.adapt(learning.evenly(pairs), frame=self._masks.order.settings.frame)
        progress.sentence = learning.sentence(learnt)
        if not learning.helps(learnt):
            detail = "That would make the masks worse, or hardly better, so they stay. Correct some that differ more."
            raise make("PARAMETER_INVALID", f"{progress.sentence} {detail}")
        learning.keep(learnt, self._masks.order.folder)
        return learnt

    def _teaches(self, item: Item) -> bool:
        measured = self._masks.look(item)
        return measured.corrected and measured.coverage is not None and self._masks.is_good(item)

    def _jobs(self, order: Order, missing: bool) -> list[tuple[Item, Job]]:
        wanted = []
        for item in self._masks.items:
            entry = self._masks.journal.entries.get(item.name)
            there = item.target is not None and item.target.exists()
            if item.target is not None and not (missing and there) and (entry is None or entry.verdict is Verdict.NONE):
                wanted.append(item)
        wanted.sort(key=lambda item: item.finding.rank if item.finding else (0, 0.0), reverse=True)
        photographs = [item.photograph for item in wanted]
        # What a run that was killed has made is not made again: it has the same settings.
        made = plan.jobs(photographs, order, [item.photograph for item in self._masks.items])
        return [(item, job) for item, job in zip(wanted, made, strict=True) if job.to_do]

    def _make(self, progress: Progress, order: Order, missing: bool) -> None:
        order = Order(order.folder, order.settings, order.tool)
        todo = self._jobs(order, missing)
        progress.total = len(todo)
        why = "made" if missing else f"rest {self._last() + 1}"
        answers = run.ask(self._client, [job for _, job in todo], order, self._in_flight, self._stop.is_set)
        for (item, job), answer in zip(todo, answers, strict=False):
            try:
                with changing(self._masks, item, why):
                    (record,) = run.written([job], iter([answer]), order, "")
                    if "error" in record:
                        raise make(record["error"]["code"], record["error"]["detail"])
                    if record.get("skipped"):
                        raise make("FILE_UNWRITABLE", "a person changed this mask meanwhile; it is left as it is")
                self._compare(item)
            except MaquetteError as error:
                progress.failed += 1
                progress.errors.append(f"{item.name}: {error.detail}")
            progress.done += 1
        said = f"{progress.sentence} {_masks(progress.done - progress.failed)} made".strip()
        stopped = progress.done < progress.total
        progress.sentence = f"{said}; stopped before the other {progress.total - progress.done:,}." if stopped else f"{said}."
        progress.state = "stopped" if stopped else "done"
        with self._masks.journal.lock:
            self._masks.journal.save()

    def _compare(self, item: Item) -> None:
        versions = self._masks.journal.entry(item.name).versions
        if item.target and versions:
            versions[-1].differs = _differs(self._masks.order.folder / HIDDEN, versions[-1], item.target)
            self._masks.touch(item)


def _masks(count: int) -> str:
    return f"{count:,} mask{'' if count == 1 else 's'}"


def _differs(hidden: Path, version: Version, target: Path) -> float:
    """Share of the pixels that differ, 0 to 1; -1 where the two cannot be compared."""
    if not version.file:
        return -1
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(hidden / version.file) as first, Image.open(target) as second:
                if first.size != second.size:
                    return -1
                factor = max(1, max(first.size) // _COMPARED)
                one, other = (picture.convert("L").reduce(factor) for picture in (first, second))
    except UNREADABLE:
        return -1
    histogram = ImageChops.difference(one, other).histogram()
    return sum(histogram[128:]) / (one.width * one.height)
