"""The ASGI application that Label Studio calls as an ML backend.

An error is ``{"error": sentence, "code": ...}``: Label Studio shows the status, and its log the sentence.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import json
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from maquette.client.errors import PASSING, MaquetteError, make
from maquette.labelstudio.backend import Backend

_LOG = logging.getLogger("maquette.labelstudio")
# A request for predictions brings the tasks with what people drew so far.
_MOST_BODY = 32 * 2**20
_MOST_TASKS = 1000
STATUS = {
    "IMAGE_TOO_MANY_BYTES": 413,
    "UNAUTHENTICATED": 502,
    "INTERNAL": 502,
    "UNSUPPORTED": 502,
    **dict.fromkeys(PASSING, 503),
}


def application(backend: Backend, password: str = "", workers: int = 4) -> Starlette:
    """``workers`` tasks are under way at a time, and half as many clicks beside them.

    With a ``password`` every call needs it, by HTTP's basic authentication, under any user name.
    """
    tasks, clicks = ThreadPoolExecutor(workers), ThreadPoolExecutor(max(1, workers // 2))

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "UP", "model_class": "Maquette"})

    async def setup(request: Request) -> Response:
        asked = await _body(request)
        version = await asyncio.get_running_loop().run_in_executor(clicks, backend.version, _text(asked, "schema"))
        return JSONResponse({"model_version": version})

    async def predict(request: Request) -> Response:
        asked = await _body(request)
        given, config = asked.get("tasks"), _text(asked, "label_config")
        if not isinstance(given, list) or len(given) > _MOST_TASKS or not all(isinstance(task, dict) for task in given):
            raise make("PARAMETER_INVALID", f"tasks is a list of at most {_MOST_TASKS:,} tasks.")
        parameters = asked.get("params")
        context = parameters.get("context") if isinstance(parameters, dict) else None
        pool, loop = tasks if context is None else clicks, asyncio.get_running_loop()
        asking = [loop.run_in_executor(pool, backend.prediction, task, config, context) for task in given]
        try:
            made = await asyncio.gather(*asking)
        finally:
            for one in asking:  # after the first error the rest need not be asked
                one.cancel()
        results = [[] if one is None else [one] for one in made] if context is None else made
        return JSONResponse({"results": results})

    async def versions(request: Request) -> Response:
        return JSONResponse({"versions": []})

    async def webhook(request: Request) -> Response:
        action = (await _body(request)).get("action")
        if action == "START_TRAINING":
            return await train(request)
        return JSONResponse({"status": "ignored"})

    async def train(request: Request) -> Response:
        detail = (
            "Nothing is trained here: `maquette label-studio masks` and `maquette mask --learn-from` learn from corrections."
        )
        return JSONResponse({"error": detail, "code": "UNSUPPORTED"}, 501)

    routes = [("/", health, "GET"), ("/health", health, "GET"), ("/setup", setup, "POST"), ("/predict", predict, "POST")]
    routes += [("/versions", versions, "GET"), ("/webhook", webhook, "POST"), ("/train", train, "POST")]
    return Starlette(routes=[Route(path, _answering(how, password), methods=[method]) for path, how, method in routes])


Handler = Callable[[Request], Awaitable[Response]]


def _answering(handler: Handler, password: str) -> Handler:
    async def answer(request: Request) -> Response:
        if password and not hmac.compare_digest(_password(request).encode(), password.encode()):
            wants = {"WWW-Authenticate": 'Basic realm="maquette"'}
            return JSONResponse({"error": "The password is missing or wrong.", "code": "UNAUTHENTICATED"}, 401, wants)
        try:
            return await handler(request)
        except MaquetteError as error:
            _LOG.warning("%s: %s", request.url.path, error)
            return JSONResponse({"error": error.detail, "code": error.code}, STATUS.get(error.code, 422))

    return answer


def _password(request: Request) -> str:
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    try:
        return base64.b64decode(given, validate=True).decode().partition(":")[2] if kind.lower() == "basic" else ""
    except (binascii.Error, UnicodeDecodeError):
        return ""


async def _body(request: Request) -> dict[str, Any]:
    """Raises :class:`ParameterInvalid`."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > _MOST_BODY:
            raise make("IMAGE_TOO_MANY_BYTES", f"The request has more than {_MOST_BODY // 2**20} MiB.")
        parts.append(part)
    try:
        asked = json.loads(b"".join(parts) or b"{}")
    except (ValueError, RecursionError) as error:
        raise make("PARAMETER_INVALID", "The request is no JSON.") from error
    if not isinstance(asked, dict):
        raise make("PARAMETER_INVALID", "The request is no JSON object.")
    return asked


def _text(asked: dict[str, Any], name: str) -> str:
    value = asked.get(name)
    if not isinstance(value, str) or not value.strip():
        raise make("PARAMETER_INVALID", f"{name} is the labelling configuration of the project, as text.")
    return value
