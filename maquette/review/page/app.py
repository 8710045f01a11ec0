"""The local page's HTTP: its files, and what both kinds of review share.

A photograph is named by its number alone: no path comes from the page.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from importlib.resources import files
from typing import Any

from anyio import to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from maquette.client.errors import ImageRejected, MaquetteError, ParameterInvalid, make
from maquette.masks.files import Persons
from maquette.review.page.guard import MOST_BODY, Guard, TooLarge, problem

# The same words of the address lead to the same bytes: the page puts a stamp of the file into it.
FOR_EVER = {"cache-control": "private, max-age=31536000, immutable"}
_KINDS = {".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}

Handler = Callable[[Request, Any], Response]


def get(path: str, handler: Callable[[Request], Response]) -> Route:
    """A question; ``handler`` runs in a thread."""

    async def endpoint(request: Request) -> Response:
        return await to_thread.run_sync(handler, request)

    return Route(path, endpoint, methods=["GET"])


def post(path: str, handler: Handler) -> Route:
    """A change; ``handler`` runs in a thread and is handed the JSON object of the body."""

    async def endpoint(request: Request) -> Response:
        try:
            body = json.loads(await request.body() or b"{}")
            if not isinstance(body, dict):
                raise ValueError
        except (ValueError, RecursionError):
            raise make("PARAMETER_INVALID", "The body is no JSON object.") from None
        return await to_thread.run_sync(partial(handler, request, body))

    return Route(path, endpoint, methods=["POST"])


def index_of(request: Request) -> int:
    """The photograph's number in the path. Raises :class:`ParameterInvalid`."""
    return number(request.path_params, "index")


def number(given: Mapping[str, Any], name: str, default: int | None = None) -> int:
    """A whole number that is not negative. Raises :class:`ParameterInvalid`."""
    value = given.get(name, default)
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise make("PARAMETER_INVALID", f"{name} takes a whole number.")
    return int(text)


def changed(request: Request, items: Any, state: Callable[[Any], dict[str, Any]]) -> list[dict[str, Any]]:
    """The state of those items that changed since the revision that the page knows."""
    since = number(request.query_params, "since", 0)
    return [state(item) for item in items if item.revision > since]


def picture(data: bytes, kind: str) -> Response:
    """An image that stays the same at its address."""
    return Response(data, media_type=kind, headers=FOR_EVER)


def application(routes: list[Route], token: str, cookie: str) -> Guard:
    """The page with these ``routes`` of its own, guarded by the token."""
    pages = {
        path.name: path for folder in ("web", "web/assets") for path in files("maquette.review").joinpath(folder).iterdir()
    }

    def served(name: str) -> Response:
        found = pages.get(name)
        kind = _KINDS.get(name[name.rfind(".") :])
        if found is None or kind is None:
            raise HTTPException(404)
        return Response(found.read_bytes(), media_type=kind, headers={"cache-control": "no-cache"})

    whole = [
        get("/", lambda _: served("review.html")),
        get("/assets/{name}", lambda request: served(request.path_params["name"])),
        *routes,
    ]
    handlers: dict[Any, Callable[[Request, Any], Awaitable[Response]]] = {
        MaquetteError: _refused,
        HTTPException: _not_found,
        TooLarge: _too_large,
    }
    return Guard(Starlette(routes=whole, exception_handlers=handlers), token, cookie)


async def _refused(_: Request, error: MaquetteError) -> Response:
    if isinstance(error, Persons):
        status = 409
    elif isinstance(error, (ParameterInvalid, ImageRejected)):
        status = 422
    elif error.code in ("FILE_UNREADABLE", "FILE_UNWRITABLE"):
        status = 500
    else:
        status = 502  # the service's
    return problem(status, error.code, error.detail)


async def _not_found(_: Request, error: HTTPException) -> Response:
    codes = {
        404: ("NOT_FOUND", "There is nothing at this address."),
        405: ("METHOD_NOT_ALLOWED", "This address takes another method."),
    }
    code, detail = codes.get(error.status_code, ("PARAMETER_INVALID", str(error.detail)))
    return problem(error.status_code, code, detail)


async def _too_large(_: Request, __: TooLarge) -> Response:
    return problem(413, "PARAMETER_INVALID", f"A body has at most {MOST_BODY:,} bytes.")


def json_of(value: Any) -> Response:
    """JSON."""
    return JSONResponse(value)
