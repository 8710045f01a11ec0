"""HTTP: the routes of a service, its answers and problems, the pages beside the API. Requests pass ``gateway.py`` before."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp

from services.common import bodies, errors, telemetry
from services.common.in_order import LONGEST_ID, in_order
from services.common.lifecycle import Lifecycle
from services.common.runtime import Runtime

PNG = "image/png"
_ASSETS = "/static_content/"
# Asks nobody but this service.
_INDEX = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Maquette: {service}</title>
<link rel="stylesheet" href="./static_content/swagger-ui.css">
<div id="page"></div>
<script src="./static_content/swagger-ui-bundle.js"></script>
<script>SwaggerUIBundle({{url: "./docs.json", dom_id: "#page", validatorUrl: null}})</script>
</html>
"""
Endpoint = Callable[[Request], Awaitable[Response]]
Outcome = TypeVar("Outcome")


def routes(
    runtime: Runtime[Any, Any, Any],
    document: Mapping[str, Any],
    gets: Mapping[str, Callable[[], Message]],
    posts: Mapping[str, Endpoint],
    lifecycle: Lifecycle,
) -> ASGIApp:
    """``gets``: path -> the message it answers; ``posts``: path -> its endpoint; and probes, metrics and the API's page."""

    def question(answer: Callable[[], Message]) -> Endpoint:
        async def ready(_: Request) -> Response:
            runtime.require_ready()
            return as_json(answer())

        return ready

    async def live(_: Request) -> Response:
        return Response()

    async def ready(_: Request) -> Response:
        runtime.require_ready()
        return Response()

    async def metrics(_: Request) -> Response:
        body, media_type = telemetry.exposition()
        return Response(body, media_type=media_type)

    async def openapi(_: Request) -> Response:
        return JSONResponse(document)

    async def index(_: Request) -> Response:
        return HTMLResponse(_INDEX.format(service=runtime.service))

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        await lifecycle.start()
        yield
        await lifecycle.stop()

    pages: dict[str, Endpoint] = {"/": index, "/livez": live, "/readyz": ready, "/metrics": metrics, "/docs.json": openapi}
    pages |= {path: question(answer) for path, answer in gets.items()} | _assets()
    every = [Route(path, page, methods=["GET"]) for path, page in pages.items()]
    every += [Route(path, endpoint, methods=["POST"]) for path, endpoint in posts.items()]
    return Router(every, redirect_slashes=False, lifespan=lifespan)


def photograph(
    runtime: Runtime[Any, Any, Any], message: Callable[[Any], Any], render: Callable[[Any], Response] | None = None
) -> Endpoint:
    """The endpoint of one photograph; ``message`` makes the proto, ``render`` the answer where it is not JSON.

    The parameter ``id`` is the caller's own and comes back in the answer.
    """

    async def respond(request: Request) -> Response:
        with telemetry.RECEIVING.track_inprogress():
            data, values = await bodies.read_photograph(request, runtime)
        id_ = values.pop("id", None)
        if id_ is not None and not (isinstance(id_, str) and len(id_) <= LONGEST_ID):
            raise errors.ParameterInvalid(f"Parameter `id` should have at most {LONGEST_ID} characters.")
        async with runtime.place():
            answer = message(await runtime.answer(data, runtime.parse(values)))
        if id_ is not None:
            answer.id = id_
        return (render or as_json)(answer)

    return respond


async def batch(
    runtime: Runtime[Any, Any, Any], request: Request, files: list[bodies.File], answer: Callable[[int], Awaitable[Outcome]]
) -> AsyncGenerator[tuple[int, Outcome | errors.MaquetteError], None]:
    """``answer(index)`` for each file, in order. The bytes of a file are let go of as soon as it is answered."""

    async def indices() -> AsyncIterator[int]:
        for index in range(len(files)):
            yield index

    async def one(index: int) -> Outcome:
        async with runtime.place(bulk=True):
            return await answer(index)

    async with aclosing(in_order(indices(), one, runtime.settings.stream_window)) as outcomes:
        async for index, outcome in outcomes:
            files[index].data = b""
            bodies.lease_of(request).resize(sum(len(file.data) for file in files))
            yield index, outcome


def as_json(message: Message) -> Response:
    return JSONResponse(as_dict(message))


def as_dict(message: Message) -> dict[str, Any]:
    """A proto message under its own field names; the proto is the source of truth for both transports."""
    return json_format.MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def as_picture(message: Message, picture: bytes, *fields: str) -> Response:
    """A PNG as itself, with the message in ``X-Maquette-Answer`` as JSON, without the ``fields`` that hold pictures."""
    for field in fields:
        message.ClearField(field)
    rest = {name: value for name, value in as_dict(message).items() if name not in fields}
    return Response(picture, media_type=PNG, headers={"X-Maquette-Answer": json.dumps(rest)})


def problem(error: errors.MaquetteError, request_id: str, status: int | None = None) -> Response:
    """The RFC 9457 answer for an error of the table; ``status`` where HTTP itself has another than the table's."""
    row = errors.TABLE[error.code]
    status = status or row.http
    body = {
        "type": f"urn:maquette:error:{error.code.lower().replace('_', '-')}",
        "title": row.title,
        "status": status,
        "detail": error.detail,
        "code": error.code,
        "request_id": request_id,
    }
    headers = {"Retry-After": str(row.retry_after)} if row.retry_after else {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(body, status, headers, media_type="application/problem+json")


def _assets() -> dict[str, Endpoint]:
    """Swagger's page, which travels in BentoML's package, read once."""
    package = importlib.util.find_spec("bentoml")
    assert package and package.origin
    folder = Path(package.origin).parent / "_internal" / "server" / "static_content"

    def page(name: str, media_type: str) -> Endpoint:
        content = (folder / name).read_bytes()

        async def respond(_: Request) -> Response:
            return Response(content, media_type=media_type)

        return respond

    kinds = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript"}
    return {_ASSETS + name: page(name, kind) for name, kind in kinds.items()}
