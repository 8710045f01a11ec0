"""HTTP: what a photograph's request looks like, the gateway every request passes, and the pages beside the API.

BentoML routes the POST endpoints. The rest it leaves open or answers in shapes of its own, so one ASGI middleware, the
:class:`Gateway`, counts bytes, checks the key, drops work for callers who hang up, and makes every error problem+json.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Mapping
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
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.types import Message as AsgiMessage

from services.common import errors, images, telemetry
from services.common.runtime import Runtime
from services.common.settings import Settings

FIELD = "image"
# What multipart wraps around the photograph, and the other fields.
_FORM_OVERHEAD = 64 * 1024
# Probes, scrapes and the API's own page: no key, no access log.
_OPEN_PATHS = ("/livez", "/readyz", "/metrics", "/docs.json", "/")
_ASSETS = "/static_content/"
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
# What BentoML and Starlette answer by themselves, by status.
_FOREIGN = {
    404: ("NOT_FOUND", "There is nothing at this path; /docs.json lists what there is."),
    405: ("METHOD_NOT_ALLOWED", "This path does not take this method; /docs.json says which it takes."),
    503: ("NOT_READY", "The service is not ready; try again in a moment."),
    504: ("DEADLINE_EXCEEDED", "The request was not answered in time; try again."),
}


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
        async with runtime.slot():
            data, values = await read_photograph(request, runtime.settings)
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


class Gateway:
    """ASGI middleware around the whole BentoML application of one service."""

    def __init__(self, app: ASGIApp, service: str, settings: Settings, methods: Mapping[str, str]) -> None:
        """``methods`` maps a path to the RPC's name, the ``method`` label of metrics and logs."""
        self._app, self._service, self._methods = app, service, methods
        self._most_bytes = settings.limits.max_bytes + _FORM_OVERHEAD
        self._too_many = images.too_many_bytes(settings.limits)
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        path = scope["path"]
        if path in _OPEN_PATHS or path.startswith(_ASSETS):
            quiet = telemetry.Call("page", telemetry.request_id(headers.get("x-request-id")))
            await self._app(scope, receive, _Answer(send, quiet).send)
            return
        with telemetry.call(self._service, "http", self._methods.get(path, "other"), headers) as call:
            answer = _Answer(send, call)
            try:
                authorise(headers, self._settings)
            except errors.Unauthenticated as error:
                await answer.fail(error, scope, receive)
            else:
                await self._serve(scope, receive, answer)

    async def _serve(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        """Run the application beside a reader that counts the body and notices when the caller hangs up."""
        inbox: asyncio.Queue[AsgiMessage] = asyncio.Queue(maxsize=1)
        application = asyncio.ensure_future(self._app(scope, inbox.get, answer.send))
        reader = asyncio.ensure_future(self._read(receive, inbox))
        try:
            await asyncio.wait({application, reader}, return_when=asyncio.FIRST_COMPLETED)
            if application.done():
                application.result()
                return
            application.cancel()
            await asyncio.wait({application})
            if answer.started:
                return
            if reader.result():
                await answer.fail(self._too_many, scope, receive)
            else:
                await answer.abandon(scope, receive)
        finally:
            reader.cancel()
            application.cancel()

    async def _read(self, receive: Receive, inbox: asyncio.Queue[AsgiMessage]) -> bool:
        """Hand the body on; return True when it is too long, False when the caller has gone."""
        count = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return False
            count += len(message.get("body", b""))
            if count > self._most_bytes:
                # Read on for as much again without keeping it: a caller still sending would not see the answer.
                while message.get("more_body") and count < 2 * self._most_bytes:
                    message = await receive()
                    count += len(message.get("body", b""))
                return True
            await inbox.put(message)


class _Answer:
    """Sends the answer with its request id, and turns errors of any other shape into problem+json."""

    def __init__(self, send: Send, call: telemetry.Call) -> None:
        self._send, self.call = send, call
        self.started = False
        self._replacement: Response | None = None

    async def fail(self, error: errors.MaquetteError, scope: Scope, receive: Receive) -> None:
        self.call.code = error.code
        await problem(error.code, error.detail, self.call.request_id)(scope, receive, self.send)

    async def abandon(self, scope: Scope, receive: Receive) -> None:
        """For a caller who has gone. Nobody reads it, but BentoML's timeout, outside of us, waits for an answer to begin."""
        self.call.code = "CANCELLED"
        await Response(status_code=499)(scope, receive, self._send)

    async def send(self, message: AsgiMessage) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            status, headers = message["status"], list(message["headers"])
            kind = next((value for name, value in headers if name.lower() == b"content-type"), b"")
            if status >= 400 and not kind.startswith(b"application/problem+json"):
                self.call.code, detail = _FOREIGN.get(status, ("INTERNAL", errors.Internal().detail))
                self._replacement = problem(self.call.code, detail, self.call.request_id)
                headers = list(self._replacement.raw_headers)
                status = self._replacement.status_code
            headers.append((b"x-request-id", self.call.request_id.encode()))
            await self._send({**message, "status": status, "headers": headers})
        elif self._replacement is None:
            await self._send(message)
        elif not message.get("more_body"):
            await self._send({"type": "http.response.body", "body": self._replacement.body})


def authorise(headers: Mapping[str, str], settings: Settings) -> None:
    """Raises ``Unauthenticated`` when a key is configured and ``x-api-key`` or ``authorization: Bearer`` is not it."""
    if settings.api_key is None:
        return
    sent = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
    if not hmac.compare_digest(sent.encode(), settings.api_key.get_secret_value().encode()):
        raise errors.Unauthenticated("Send the API key as x-api-key, or as authorization: Bearer.")


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
