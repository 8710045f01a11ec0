"""A set of photographs with their masks under review: what is known of each, measured as files change, judged together."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maquette.client.errors import MaquetteError, make
from maquette.folders.photographs import Photograph
from maquette.masks import files
from maquette.masks.naming import OutputKind
from maquette.masks.plan import Order
from maquette.review import outliers
from maquette.review.measure import Measurement
from maquette.review.outliers import Finding
from maquette.review.page.journal import HIDDEN, Journal, Verdict
from maquette.review.page.looks import Looks, Stamp, stamp

# Two at a time, so that one is left to answer the page.
_AT_A_TIME = threading.Semaphore(max(1, min(4, (os.cpu_count() or 1))))


@dataclass
class Item:
    """A photograph; ``target`` is where its mask belongs, None where it can have none, as ``error`` says.

    ``revision`` is that of the set when something about it changed last.
    """

    index: int
    photograph: Photograph
    name: str
    target: Path | None
    error: str = ""
    seen: Stamp | None = None
    measured: Measurement | None = None
    finding: Finding | None = None
    place: int = 0
    revision: int = 1


@dataclass
class MaskSet:
    """``items`` in the order they were found. Everything that changes a mask or a verdict holds ``journal.lock``."""

    title: str
    order: Order
    items: list[Item]
    journal: Journal
    looks: Looks
    revision: int = 1
    _wake: threading.Event = field(default_factory=threading.Event)
    _closing: threading.Event = field(default_factory=threading.Event)
    _unjudged: bool = False

    @classmethod
    def open(cls, title: str, found: Sequence[Photograph], order: Order) -> MaskSet:
        """Read what is there. Raises :class:`FileFailed`."""
        named = files.targets(found, order.folder, OutputKind.MASK, order.tool)
        items = []
        for index, (photograph, target) in enumerate(zip(found, named, strict=True)):
            refused = isinstance(target, MaquetteError)
            name = photograph.name.as_posix().encode("utf-8", "backslashreplace").decode()
            items.append(
                Item(
                    index,
                    photograph,
                    name,
                    None if isinstance(target, MaquetteError) else target,
                    str(target) if refused else "",
                )
            )
        journal = Journal(order.folder)
        looks = Looks(order.folder / HIDDEN / "looks.sqlite", upright=order.settings.frame == "display")
        made = cls(title, order, items, journal, looks)
        threading.Thread(target=made._measure_all, name="measure", daemon=True).start()
        return made

    def close(self) -> None:
        """Stop measuring."""
        self._closing.set()
        self._wake.set()
        self.looks.close()

    def item(self, index: int) -> Item:
        """Raises :class:`ParameterInvalid` for a number that no photograph has."""
        if not 0 <= index < len(self.items):
            raise make("PARAMETER_INVALID", f"There is no photograph {index}; there are {len(self.items)}.")
        return self.items[index]

    def touch(self, *items: Item) -> None:
        """Something about these changed."""
        with self.journal.lock:
            self.revision += 1
            for item in items:
                item.revision = self.revision
        self._wake.set()

    def look(self, item: Item) -> Measurement:
        """Its measurement as the files are now."""
        now = stamp(item.target)
        if item.measured is None or item.seen != now:
            with _AT_A_TIME:
                measured = self.looks.measured(item.name, item.photograph, item.target)
            with self.journal.lock:
                item.measured, item.seen = measured, now
                self._unjudged = True
                self.touch(item)
        assert item.measured is not None
        return item.measured

    def refresh(self) -> None:
        """Masks may have been changed by another program: see to those that were."""
        changed = [item for item in self.items if item.seen is not None and item.seen != stamp(item.target)]
        if changed:
            self.touch(*changed)

    def _measure_all(self) -> None:
        while not self._closing.is_set():
            self._wake.clear()
            for count, item in enumerate(self.items):
                if self._closing.is_set():
                    return
                self.look(item)
                if count % 200 == 199:
                    self._judge()
            self._judge()
            self._wake.wait()

    def _judge(self) -> None:
        with self.journal.lock:
            if not self._unjudged:
                return
            self._unjudged = False
            measured = [(item, item.measured) for item in self.items if item.measured is not None]
        by_path = {one.photograph.path: item for item, one in measured}
        findings = outliers.judge([one for _, one in measured])
        taken = outliers.in_capture_order([one for _, one in measured])
        places = {one.photograph.path: place for place, one in enumerate(taken)}
        changed = []
        for finding in findings:
            path = finding.measurement.photograph.path
            item = by_path[path]
            before = item.finding
            if before is None or (before.rank, before.reasons) != (finding.rank, finding.reasons) or item.place != places[path]:
                changed.append(item)
            item.finding, item.place = finding, places[path]
        if changed:
            self.touch(*changed)

    def neighbours(self, item: Item, most: int) -> list[Item]:
        """The nearest in capture order, in the same folder, whose masks a person accepted or made; not rejected ones."""
        folder = item.photograph.path.parent
        others = [other for other in self.items if other is not item and other.photograph.path.parent == folder]
        good = [other for other in others if self.is_good(other)]
        return sorted(good, key=lambda other: abs(other.place - item.place))[:most]

    def is_good(self, item: Item) -> bool:
        """A person accepted this mask, or made it and did not reject it."""
        measured = item.measured or self.look(item)
        verdict = self._verdict(item)
        if measured.coverage is None or verdict is Verdict.REJECTED:
            return False
        return measured.corrected or verdict is Verdict.ACCEPTED

    def _verdict(self, item: Item) -> Verdict:
        entry = self.journal.entries.get(item.name)
        return entry.verdict if entry else Verdict.NONE

    def state(self, item: Item) -> dict[str, Any]:
        """What the page knows of it."""
        entry = self.journal.entries.get(item.name)
        versions = entry.versions if entry else []
        measured, finding = item.measured, item.finding
        return {
            "index": item.index,
            "name": item.name,
            "verdict": entry.verdict if entry else "",
            "measured": measured is not None,
            "mask": measured is not None and measured.coverage is not None,
            "coverage": measured.coverage if measured else None,
            "persons": measured is not None and measured.coverage is not None and measured.corrected,
            "reasons": [item.error] if item.error else list(finding.reasons) if finding else [],
            "kinds": ["problem"] if item.error else list(finding.kinds) if finding else [],
            "rank": list(finding.rank) if finding else [0, -item.index],
            "place": item.place,
            "stamp": "-".join(map(str, stamp(item.target)[1:])) or "0",
            "undo": len(versions),
            "redo": len(entry.undone) if entry else 0,
            "why": versions[-1].why if versions else "",
            "differs": versions[-1].differs if versions else -1,
        }
