"""What a person does to one mask: hints, brush, undo, and making it as its neighbours are."""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from PIL import Image

from maquette.client.client import Client
from maquette.client.errors import FileFailed, make
from maquette.client.guidance import adapter_of
from maquette.folders import atomic
from maquette.maps.thumbnails import UNREADABLE
from maquette.masks import files, learning, png, run
from maquette.masks.plan import Job, Order
from maquette.review.page import marks
from maquette.review.page.journal import HIDDEN
from maquette.review.page.looks import stamp
from maquette.review.page.marks import ANEW, PAINT, Mark
from maquette.review.page.mask_set import Item, MaskSet
from maquette.review.page.pyramid import turn_of
from maquette.review.page.upright import Turn
from protos.maquette.remove_background.v1.remove_background_pb2 import Adapter

NEIGHBOURS = 4
_Size = tuple[int, int]


class Corrections:
    """Changes to single masks; each is on disk when its method returns, with the mask before it kept to be undone.

    All raise :class:`MaquetteError`. Those that would replace a mask that a person made elsewhere raise
    :class:`~maquette.masks.files.Persons` unless ``replace_mine``.
    """

    def __init__(self, masks: MaskSet, client: Client) -> None:
        self._masks, self._client = masks, client
        self._one_at_a_time = threading.Lock()
        self._painted: tuple[object, Image.Image] | None = None  # the mask that was painted last, which is often the next

    def mark(self, item: Item, given: Any, *, replace_mine: bool = False) -> None:
        """Take a hint to the service, or a stroke of the brush into the mask."""
        target = item.target
        if target is None:
            raise make("PARAMETER_INVALID", item.error)
        turn = turn_of(item.photograph.path)
        new = marks.parse(given, turn.upright)
        with self._one_at_a_time:
            before = marks.since_anew(self._masks.journal.entry(item.name).marks)
            anew = False
            if new["kind"] == PAINT:
                mask, self._painted = self._current(item, turn), None
                marks.paint(mask, [new], turn, upright=self._upright)
            else:
                if files.origin(target) is None and not png.as_reviewed(target):
                    if not replace_mine:
                        raise files.Persons(target)
                    before, anew = [], True  # it is made of no marks of ours
                mask = self._asked(item, turn, [*before, new])
            self._write(item, mask, [{"kind": ANEW}, new] if anew else [new], before)

    def undo(self, item: Item, *, redo: bool = False) -> None:
        """Back to the mask before its last change, or forth again."""
        if item.target is None:
            raise make("PARAMETER_INVALID", item.error)
        with self._one_at_a_time, self._masks.journal.lock:
            journal = self._masks.journal
            if not (journal.redo if redo else journal.undo)(item.name, item.target):
                raise make("PARAMETER_INVALID", f"There is nothing to {'redo' if redo else 'undo'}.")
            self._masks.touch(item)

    def as_neighbours(self, item: Item, *, replace_mine: bool = False) -> str:
        """Make the mask anew with what the nearest good masks teach; says what was learnt."""
        target = item.target
        if target is None:
            raise make("PARAMETER_INVALID", item.error)
        near = self._masks.neighbours(item, NEIGHBOURS)
        if not near:
            detail = (
                "No other mask of this folder is accepted or corrected yet: accept some first, then they can teach this one."
            )
            raise make("PARAMETER_INVALID", detail)
        with self._one_at_a_time:
            if files.origin(target) is None and not replace_mine:
                raise files.Persons(target)
            pairs = [(other.photograph.path, other.target) for other in near if other.target]
            learnt = self._client.adapt(pairs, frame=self._masks.order.settings.frame)
            learning.keep(learnt, self._masks.order.folder / HIDDEN)
            order = self.order_with(learnt, replace_mine=replace_mine)
            make_one(self._masks, self._client, item, order, "neighbours", anew=True)
        return f"Made as {', '.join(other.name for other in near)}."

    def order_with(self, adapter: Adapter | None, *, replace_mine: bool = False) -> Order:
        """The order of the set, with an adapter."""
        order = self._masks.order
        settings = replace(order.settings, adapter=adapter)
        return replace(order, settings=settings, overwrite=True, replace_mine=replace_mine)

    @property
    def _upright(self) -> bool:
        return self._masks.order.settings.frame == "display"

    def _current(self, item: Item, turn: Turn) -> Image.Image:
        size = turn.upright if self._upright else turn.stored
        if item.target is None or not item.target.exists():
            return Image.new("L", size)
        if self._painted and self._painted[0] == (item.target, stamp(item.target)):
            return self._painted[1]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with Image.open(item.target) as opened:
                    mask = opened.convert("L")
        except UNREADABLE as error:
            detail = f"{item.target} cannot be read; mark object and background, or make it as its neighbours."
            raise make("FILE_UNREADABLE", detail) from error
        if mask.size != size:
            detail = (
                f"The mask has {mask.width} x {mask.height} pixels and the photograph {size[0]} x {size[1]}, so it cannot be "
                "painted. Make it as its neighbours, or mark object and background."
            )
            raise make("PARAMETER_INVALID", detail)
        return mask

    def _asked(self, item: Item, turn: Turn, made_of: list[Mark]) -> Image.Image:
        """What the service answers to the hints among the marks, with the strokes of the brush over it."""
        settings = self._masks.order.settings
        answer = self._client.remove_background(
            item.photograph.path,
            "mask",
            frame=settings.frame,
            threshold=settings.threshold,
            hints=marks.hints(made_of, turn, upright=self._upright),
            adapter=self._adapter_of(item),
        )
        with Image.open(io.BytesIO(answer.mask)) as opened:
            mask = opened.convert("L")
        marks.paint(mask, made_of, turn, upright=self._upright)
        return mask

    def _adapter_of(self, item: Item) -> Adapter | None:
        """The one that the mask was made with, where it still lies here."""
        try:
            facts = png.facts(item.target) if item.target else None
        except OSError:
            return None
        name = ((facts or {}).get("settings") or {}).get("adapter")
        for folder in (self._masks.order.folder, self._masks.order.folder / HIDDEN):
            path = folder / f"adapter-{name}.json"
            if isinstance(name, str) and name.isalnum() and path.is_file():
                return adapter_of(path)
        return None

    def _write(self, item: Item, mask: Image.Image, new: list[Mark], before: list[Mark]) -> None:
        assert item.target is not None
        stream = io.BytesIO()
        mask.save(stream, "PNG", compress_level=1)
        try:
            facts = png.facts(item.target) or {}
        except OSError:
            facts = {}
        count = [one["kind"] for one in (*before, *new)]
        kept = {name: facts[name] for name in ("sha256", "model_version", "settings") if name in facts}
        said = {
            "corrected_with": "maquette review",
            "strokes": count.count(PAINT),
            "hints": len(count) - count.count(PAINT) - count.count(ANEW),
        }
        pieces = png.parts(stream.getvalue(), kept | said, own=False)
        with changing(self._masks, item, "brush" if new[-1]["kind"] == PAINT else "hints"):
            atomic.write(item.target, pieces)
            self._masks.journal.entry(item.name).marks += new
            self._masks.journal.save()
        self._painted = (item.target, stamp(item.target)), mask


@contextmanager
def changing(masks: MaskSet, item: Item, why: str) -> Iterator[None]:
    """Keep the mask as it is, and tell the page when it is another; when the block raises, nothing has changed."""
    assert item.target is not None
    with masks.journal.lock:
        version = masks.journal.keep(item.name, item.target, why)
        try:
            yield
        except BaseException:
            masks.journal.drop(item.name, version)
            raise
        masks.touch(item)


def make_one(masks: MaskSet, client: Client, item: Item, order: Order, why: str, *, anew: bool = False) -> None:
    """Ask for one mask and write it as Maquette's own. Raises :class:`MaquetteError`."""
    job = Job(item.photograph, item.target)
    (answer,) = run.ask(client, [job], order, 1)
    with changing(masks, item, why):
        (record,) = run.written([job], iter([answer]), order, "")
        if "error" in record:
            raise make(record["error"]["code"], record["error"]["detail"])
        if record.get("skipped"):
            raise (
                files.Persons(item.target) if item.target else FileFailed("FILE_UNWRITABLE", "There is no place for the mask.")
            )
        if anew:
            masks.journal.entry(item.name).marks.append({"kind": ANEW})
            masks.journal.save()
