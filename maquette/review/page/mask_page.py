"""The routes of ``maquette review PHOTOS -o MASKS``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from maquette.client.errors import FileFailed, make
from maquette.review import measure
from maquette.review.page import pyramid
from maquette.review.page.app import changed, get, index_of, json_of, number, picture, post
from maquette.review.page.corrections import Corrections
from maquette.review.page.journal import Verdict
from maquette.review.page.marks import since_anew
from maquette.review.page.mask_set import Item, MaskSet
from maquette.review.page.pyramid import Look, Pyramids
from maquette.review.page.rest import Rest


class MaskPage:
    """Hands requests on; knows no HTTP beyond them."""

    def __init__(self, masks: MaskSet, corrections: Corrections, rest: Rest, session: str) -> None:
        self._masks, self._corrections, self._rest, self._session = masks, corrections, rest, session
        self._pyramids = Pyramids()

    def routes(self) -> list[Route]:
        """All of them."""
        one = "/api/photographs/{index}"
        return [
            get("/api/set", self._set),
            get(one, self._one),
            get(one + "/thumbnail", self._thumbnail),
            get(one + "/photograph/{level}/{column}/{row}", self._tile),
            get(one + "/{look}/{level}/{column}/{row}", self._mask_tile),
            post(one + "/verdict", self._verdict),
            post(one + "/marks", self._mark),
            post(one + "/undo", lambda request, _: self._undo(request, redo=False)),
            post(one + "/redo", lambda request, _: self._undo(request, redo=True)),
            post(one + "/as-neighbours", self._as_neighbours),
            post("/api/rest", self._start),
            post("/api/rest/stop", self._stop),
            post("/api/rest/take-back", self._take_back),
        ]

    def _set(self, request: Request) -> Response:
        masks = self._masks
        if request.query_params.get("look"):
            masks.refresh()
        with masks.journal.lock:
            return json_of(
                {
                    "kind": "masks",
                    "session": self._session,
                    "title": masks.title,
                    "folder": str(masks.order.folder),
                    "revision": masks.revision,
                    "total": len(masks.items),
                    "measured": sum(item.measured is not None for item in masks.items),
                    "items": changed(request, masks.items, masks.state),
                    "rest": self._rest.state(),
                }
            )

    def _item(self, request: Request) -> Item:
        return self._masks.item(index_of(request))

    def _said(self, item: Item, sentence: str = "") -> Response:
        with self._masks.journal.lock:
            return json_of({"item": self._masks.state(item), "sentence": sentence})

    def _one(self, request: Request) -> Response:
        item = self._item(request)
        turn = pyramid.turn_of(item.photograph.path)
        self._masks.look(item)
        width, height = turn.upright
        shape = {"width": width, "height": height, "tile": pyramid.TILE, "levels": pyramid.levels(turn.upright)}
        entry = self._masks.journal.entries.get(item.name)
        marked = [one for one in since_anew(entry.marks) if one["kind"] in ("point", "stroke")] if entry else []
        neighbours = [other.name for other in self._masks.neighbours(item, 4)]
        return json_of({"item": self._masks.state(item), **shape, "marks": marked, "neighbours": neighbours})

    def _thumbnail(self, request: Request) -> Response:
        item = self._item(request)
        if request.query_params.get("before"):
            upright = self._masks.order.settings.frame == "display"
            kept = self._masks.journal.before(item.name)
            data = measure.measure(item.photograph, kept, upright=upright).thumbnail
        else:
            data = self._masks.look(item).thumbnail
        if not data:
            raise make("FILE_UNREADABLE", f"{item.name} cannot be shown.")
        return picture(data, "image/jpeg")

    def _place(self, request: Request) -> tuple[int, int, int]:
        given = request.path_params
        return number(given, "level"), number(given, "column"), number(given, "row")

    def _tile(self, request: Request) -> Response:
        path = self._item(request).photograph.path
        return picture(self._pyramids.photograph(path, *self._place(request)), "image/jpeg")

    def _mask_tile(self, request: Request) -> Response:
        item = self._item(request)
        look = request.path_params["look"]
        if look not in list(Look):
            raise make("PARAMETER_INVALID", f"A mask is shown as {', '.join(Look)}.")
        turn = None if self._masks.order.settings.frame == "display" else pyramid.turn_of(item.photograph.path)
        path: Path | None = item.target
        if request.query_params.get("before"):
            path = self._masks.journal.before(item.name)
        if path is None or not path.is_file():
            raise FileFailed("FILE_UNREADABLE", f"{item.name} has no mask.")
        return picture(self._pyramids.mask(path, turn, Look(look), *self._place(request)), "image/png")

    def _verdict(self, request: Request, body: dict[str, Any]) -> Response:
        item = self._item(request)
        verdict = body.get("verdict")
        if verdict not in list(Verdict):
            raise make("PARAMETER_INVALID", "verdict takes accepted, rejected or nothing.")
        with self._masks.journal.lock:
            reasons = item.finding.reasons if item.finding else ()
            try:
                self._masks.journal.decide(item.name, Verdict(verdict), reasons)
            finally:
                self._masks.touch(item)
        return self._said(item)

    def _mark(self, request: Request, body: dict[str, Any]) -> Response:
        item = self._item(request)
        self._corrections.mark(item, body.get("mark"), replace_mine=body.get("replace_mine") is True)
        return self._said(item)

    def _undo(self, request: Request, *, redo: bool) -> Response:
        item = self._item(request)
        self._corrections.undo(item, redo=redo)
        return self._said(item)

    def _as_neighbours(self, request: Request, body: dict[str, Any]) -> Response:
        item = self._item(request)
        sentence = self._corrections.as_neighbours(item, replace_mine=body.get("replace_mine") is True)
        return self._said(item, sentence)

    def _start(self, _: Request, body: dict[str, Any]) -> Response:
        self._rest.start(missing=body.get("missing") is True)
        return json_of({"rest": self._rest.state()})

    def _stop(self, _: Request, __: dict[str, Any]) -> Response:
        self._rest.stop()
        return json_of({"rest": self._rest.state()})

    def _take_back(self, _: Request, __: dict[str, Any]) -> Response:
        count = self._rest.take_back()
        return json_of({"rest": self._rest.state(), "count": count})
