"""The routes of ``maquette review --types PHOTOS``."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from maquette.client.errors import make
from maquette.review.page import pyramid
from maquette.review.page.app import changed, get, index_of, json_of, number, picture, post
from maquette.review.page.pyramid import Pyramids
from maquette.review.page.type_set import TypeItem, TypeSet


class TypePage:
    """Hands requests on; knows no HTTP beyond them."""

    def __init__(self, types: TypeSet, session: str) -> None:
        self._types, self._session = types, session
        self._pyramids = Pyramids()

    def routes(self) -> list[Route]:
        """All of them."""
        one = "/api/photographs/{index}"
        return [
            get("/api/set", self._set),
            get(one, self._one),
            get(one + "/thumbnail", self._thumbnail),
            get(one + "/photograph/{level}/{column}/{row}", self._tile),
            post(one + "/labels", self._decide),
            post("/api/proposals", self._ask),
        ]

    def _set(self, request: Request) -> Response:
        types = self._types
        with types.lock:
            return json_of(
                {
                    "kind": "types",
                    "session": self._session,
                    "title": types.title,
                    "folder": str(types.table.path),
                    "revision": types.revision,
                    "total": len(types.items),
                    "types": [list(one) for one in types.types.items()],
                    "asking": types.asking,
                    "sentence": types.sentence,
                    "items": changed(request, types.items, types.state),
                }
            )

    def _item(self, request: Request) -> TypeItem:
        return self._types.item(index_of(request))

    def _one(self, request: Request) -> Response:
        item = self._item(request)
        turn = pyramid.turn_of(item.photograph.path)
        width, height = turn.upright
        shape = {"width": width, "height": height, "tile": pyramid.TILE, "levels": pyramid.levels(turn.upright)}
        return json_of({"item": self._types.state(item), **shape})

    def _thumbnail(self, request: Request) -> Response:
        item = self._item(request)
        data = self._types.looks.measured(item.file, item.photograph, None).thumbnail
        if not data:
            raise make("FILE_UNREADABLE", f"{item.file} cannot be shown.")
        return picture(data, "image/jpeg")

    def _tile(self, request: Request) -> Response:
        given = request.path_params
        place = number(given, "level"), number(given, "column"), number(given, "row")
        return picture(self._pyramids.photograph(self._item(request).photograph.path, *place), "image/jpeg")

    def _decide(self, request: Request, body: dict[str, Any]) -> Response:
        item = self._item(request)
        self._types.decide(item, body.get("labels"))
        with self._types.lock:
            return json_of({"item": self._types.state(item)})

    def _ask(self, _: Request, __: dict[str, Any]) -> Response:
        self._types.ask()
        return json_of({})
