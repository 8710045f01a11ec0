"""HTTP: the routes of a service, its answers and problems, the pages beside the API. Requests pass ``gateway.py`` before."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format
from google.protobuf.message import Message
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp

from services.common import errors, telemetry

if TYPE_CHECKING:
    from services.common.operations import Operation

JSON, PNG, PROBLEM = "application/json", "image/png", "application/problem+json"
ANSWER_HEADER = "X-Maquette-Answer"
Endpoint = Callable[[Request], Awaitable[Response]]


def routes(
    pages: Mapping[str, Endpoint],
    document: Mapping[str, Any],
    operations: Iterable[Operation],
    probe: Callable[[], None],
    lifespan: Any,
) -> ASGIApp:
    """The operations, and beside them probes, metrics, the API's document and ``pages``. ``probe`` raises ``NotReady``."""

    async def live(_: Request) -> Response:
        return Response()

    async def ready(_: Request) -> Response:
        probe()
        return Response()

    async def metrics(_: Request) -> Response:
        body, media_type = telemetry.exposition()
        return Response(body, media_type=media_type)

    async def openapi(_: Request) -> Response:
        return JSONResponse(document)

    beside: dict[str, Endpoint] = {"/livez": live, "/readyz": ready, "/metrics": metrics, "/docs.json": openapi}
    every = [Route(path, page, methods=["GET"]) for path, page in (beside | dict(pages)).items()]
    every += [Route(operation.path, operation.endpoint, methods=[operation.method]) for operation in operations]
    return Router(every, redirect_slashes=False, lifespan=lifespan)


def as_json(message: Message) -> Response:
    return JSONResponse(as_dict(message))


def as_dict(message: Message) -> dict[str, Any]:
    """A proto message under its own field names; the proto is the source of truth for both transports."""
    printed = json_format.MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    return _in_order_of_the_proto(printed, message.DESCRIPTOR)


def _in_order_of_the_proto(printed: dict[str, Any], descriptor: Any) -> dict[str, Any]:
    """Protobuf prints the fields that are set before those that are not: an answer's shape would depend on its values."""
    ordered = {}
    for field in descriptor.fields:
        if field.name not in printed:
            continue
        value, nested = printed[field.name], field.message_type
        if nested and isinstance(value, dict) and not nested.GetOptions().map_entry:
            value = _in_order_of_the_proto(value, nested)
        elif nested and isinstance(value, list):
            value = [_in_order_of_the_proto(each, nested) if isinstance(each, dict) else each for each in value]
        ordered[field.name] = value
    return ordered


def wants(request: Request, media_type: str) -> bool:
    """Whether ``Accept`` names it; a caller that names nothing gets the operation's default."""
    return media_type in request.headers.get("accept", "")


def as_picture(message: Message, picture: bytes, *fields: str) -> Response:
    """A PNG as itself, with the message in ``X-Maquette-Answer`` as JSON, without the ``fields`` that hold pictures."""
    for field in fields:
        message.ClearField(field)
    rest = {name: value for name, value in as_dict(message).items() if name not in fields}
    return Response(picture, media_type=PNG, headers={ANSWER_HEADER: json.dumps(rest)})


def problem(error: errors.MaquetteError, request_id: str, status: int | None = None) -> Response:
    """The RFC 9457 answer for an error of the table; ``status`` where HTTP itself has another than the table's."""
    row = errors.TABLE[error.code]
    body = problem_body(error, request_id, status)
    headers = {"Retry-After": str(row.retry_after)} if row.retry_after else {}
    if body["status"] == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(body, body["status"], headers, media_type=PROBLEM)


def problem_body(error: errors.MaquetteError, request_id: str, status: int | None = None) -> dict[str, Any]:
    """What a problem says, as an answer of its own or as one item's of a batch."""
    row = errors.TABLE[error.code]
    body = {
        "type": f"urn:maquette:error:{error.code.lower().replace('_', '-')}",
        "title": row.title,
        "status": status or row.http,
        "detail": error.detail,
        "code": error.code,
        "request_id": request_id,
    }
    return body | ({"retry_after": row.retry_after} if row.retry_after else {})
