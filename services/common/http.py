"""HTTP: what a photograph's request looks like, its answer or problem, and the pages beside the API.

BentoML routes the POST endpoints; every request passes ``gateway.py`` before.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, ClassVar

from bentoml import IODescriptor
from google.protobuf import json_format
from google.protobuf.message import Message
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from services.common import errors, images, telemetry
from services.common.runtime import Runtime
from services.common.settings import Settings

FIELD = "image"
PNG = "image/png"
# BentoML's own page loads a tag manager from elsewhere; this one shows the same document and asks nobody.
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


class ImageRequest(IODescriptor):
    """A request whose body is a photograph: raw ``image/*`` bytes, or multipart with a file in ``image``.

    BentoML gets the request as it is, so that nothing is read, spooled or fetched before our own limits hold.
    """

    __root_input__: ClassVar[bool] = True
    media_type: ClassVar[str | None] = "multipart/form-data"

    @classmethod
    async def from_http_request(cls, request: Request, serde: object) -> Request:
        return request


class Answer(IODescriptor):
    """Stands for the answer where BentoML wants a type; endpoints make their own response, /docs.json its own schema."""


async def read_photograph(request: Request, settings: Settings) -> tuple[bytes, dict[str, str]]:
    """The encoded photograph and the parameters (query string, then form fields).

    Raises ``ImageMissing``, ``ImageTooManyBytes``, ``ParameterInvalid``.
    """
    values = dict(request.query_params)
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == "multipart/form-data":
        try:
            async with request.form(max_files=1, max_fields=32, max_part_size=16 * 1024) as form:
                upload = form.get(FIELD)
                if not isinstance(upload, UploadFile):
                    raise errors.ImageMissing("Send a photograph as a file in the multipart field `image`; text is not one.")
                data = await upload.read()
                values |= {name: value for name, value in form.items() if isinstance(value, str)}
        except (MultiPartException, HTTPException):  # Starlette turns the one into the other inside an application
            raise errors.ImageMissing("The multipart body is malformed; send one file in the field `image`.") from None
    elif not media_type or media_type.startswith("image/") or media_type == "application/octet-stream":
        data = await request.body()
    else:
        raise errors.ImageMissing("Send the photograph as multipart with a file in `image`, or as a raw image/* body.")
    if len(data) > settings.limits.max_bytes:
        raise images.too_many_bytes(settings.limits)
    return data, values


async def respond(
    runtime: Runtime[Any, Any, Any],
    request: Request,
    message: Callable[[Any], Message],
    render: Callable[[Any], Response] | None = None,
) -> Response:
    """The whole of an image endpoint: read, parse, answer; ``message`` makes the proto, ``render`` the answer if not JSON."""

    async def answer() -> Response:
        async with runtime.received(partial(read_photograph, request, runtime.settings)) as (data, values):
            return (render or as_json)(message(await runtime.answer(data, runtime.parse(values))))

    return await guarded(answer())


def endpoint(answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """``answer`` as a route of :func:`pages` takes it, its errors made problems."""

    async def respond_to(request: Request) -> Response:
        return await guarded(answer(request))

    return respond_to


async def guarded(answer: Awaitable[Response]) -> Response:
    """The answer, or the problem it ended in; a bug's own words go to the log alone."""
    call = telemetry.current()
    try:
        return await answer
    except errors.MaquetteError as error:
        call.code = error.code
        return problem(error.code, error.detail, call.request_id)
    except Exception:
        telemetry.LOG.error("failed", extra={"request_id": call.request_id}, exc_info=True)
        call.code = errors.Internal.code
        return problem(call.code, errors.Internal().detail, call.request_id)


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


def problem(code: str, detail: str, request_id: str) -> Response:
    """The RFC 9457 answer for a code of the table."""
    row = errors.TABLE[code]
    body = {
        "type": f"urn:maquette:error:{code.lower().replace('_', '-')}",
        "title": row.title,
        "status": row.http,
        "detail": detail,
        "code": code,
        "request_id": request_id,
    }
    headers = {"Retry-After": str(row.retry_after)} if row.retry_after else None
    return JSONResponse(body, row.http, headers, media_type="application/problem+json")


def pages(
    runtime: Runtime[Any, Any, Any],
    document: Mapping[str, Any],
    gets: Mapping[str, Callable[[], Message]],
    posts: Mapping[str, Callable[[Request], Awaitable[Response]]] | None = None,
) -> Starlette:
    """What is not a BentoML endpoint: metrics, the OpenAPI document, the GET questions (path -> its answer), other POSTs."""

    def page(answer: Callable[[], Message]) -> Callable[[Request], Awaitable[Response]]:
        async def ready(_: Request) -> Response:
            runtime.require_ready()
            return as_json(answer())

        return endpoint(ready)

    async def metrics(_: Request) -> Response:
        body, media_type = telemetry.exposition()
        return Response(body, media_type=media_type)

    async def openapi(_: Request) -> Response:
        return JSONResponse(document)

    async def index(_: Request) -> Response:
        return HTMLResponse(_INDEX.format(service=runtime.service))

    routes = [Route(path, page(answer), methods=["GET"]) for path, answer in gets.items()]
    routes += [Route(path, endpoint(answer), methods=["POST"]) for path, answer in (posts or {}).items()]
    return Starlette(routes=[*routes, Route("/", index), Route("/metrics", metrics), Route("/docs.json", openapi)])


def configuration(service: str, settings: Settings) -> dict[str, Any]:
    """BentoML's own settings for a service: ours come first, its metrics and access log make way for the shared ones."""
    config: dict[str, Any] = {
        "name": service,
        "workers": settings.workers,
        "http": {"host": settings.host, "port": settings.ports(service).http},
        # Behind our own limit, which answers problem+json.
        "traffic": {"timeout": settings.timeout_seconds + 5},
        "metrics": {"enabled": False},
        "logging": {"access": {"enabled": False}},
    }
    if settings.tls_certificate:
        config["ssl"] = {"enabled": True, "certfile": str(settings.tls_certificate), "keyfile": str(settings.tls_key)}
    return config
