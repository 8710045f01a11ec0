"""``POST /v1/decodings``: points of the plane as JSON, their pictures as PNG."""

from __future__ import annotations

import json

from starlette.requests import Request
from starlette.responses import Response

from services.common import bodies, errors, http
from services.embed_latent.runtime import EmbedRuntime
from services.embed_latent.servicer import drawing

# Sixty-four points of many dimensions, written out at length, are less.
_MOST_BYTES = 64 * 1024


async def respond(runtime: EmbedRuntime, default: str, request: Request) -> Response:
    """JSON with base64, or the picture of one point itself, with the rest of the answer in ``X-Maquette-Answer``: whichever
    ``Accept`` asks for, else ``default``. Raises any of the domain errors.
    """
    values = await _values(request, runtime)
    async with runtime.place():
        answer = await runtime.decode(values)
    other = http.JSON if default == http.PNG else http.PNG
    as_png = (default == http.PNG) != http.wants(request, other)
    message = drawing(runtime, answer)
    if not as_png or len(answer.images) > 1:
        return http.as_json(message)
    return http.as_picture(message, answer.images[0], "images")


async def _values(request: Request, runtime: EmbedRuntime) -> dict[str, object]:
    too_long = errors.ParameterInvalid(f"The body is too long for points; send at most {_MOST_BYTES // 1024} KiB of JSON.")
    body = b"".join([piece async for piece in bodies.pieces(request, runtime, too_long, _MOST_BYTES)])
    try:
        values = json.loads(body)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise errors.ParameterInvalid('Send a JSON object, such as {"latent": [1.5, -2]}.')
    return values
