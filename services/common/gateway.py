"""The gateway that every HTTP request passes before BentoML.

What BentoML leaves open or answers in shapes of its own is done here, in one ASGI middleware: it counts bytes, checks the key,
drops work for callers who hang up, and makes every error problem+json.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.common import errors, images, telemetry
from services.common.http import problem
from services.common.runtime import Runtime, State
from services.common.settings import Settings

# What multipart wraps around the photograph, and the other fields.
_FORM_OVERHEAD = 64 * 1024
_NO_ROOM = "Too many photographs are being sent at once; try again after a pause."
# Probes, scrapes and the API's own page: no key, no access log.
_OPEN_PATHS = ("/livez", "/readyz", "/metrics", "/docs.json", "/")
_ASSETS = "/static_content/"
# What BentoML and Starlette answer by themselves, by status.
_FOREIGN = {
    404: ("NOT_FOUND", "There is nothing at this path; /docs.json lists what there is."),
    405: ("METHOD_NOT_ALLOWED", "This path does not take this method; /docs.json says which it takes."),
    503: ("NOT_READY", "The service is not ready; try again in a moment."),
    504: ("DEADLINE_EXCEEDED", "The request was not answered in time; try again."),
}


class Gateway:
    """ASGI middleware around the whole BentoML application of one service."""

    def __init__(self, app: ASGIApp, runtime: Runtime[Any, Any, Any], methods: Mapping[str, str]) -> None:
        """``methods`` maps a path to the RPC's name, the ``method`` label of metrics and logs."""
        self._app, self._runtime, self._methods = app, runtime, methods
        settings = runtime.settings
        self._most_bytes = settings.limits.max_bytes + _FORM_OVERHEAD
        self._too_many = images.too_many_bytes(settings.limits)
        # All bodies together; the largest there may be is let through alone.
        self._room = max(settings.mebibytes_in_flight * 2**20, self._most_bytes)
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        path = scope["path"]
        if path in _OPEN_PATHS or path.startswith(_ASSETS):
            quiet = telemetry.Call("page", telemetry.request_id(headers.get("x-request-id")))
            await self._app(scope, receive, _Answer(send, quiet, self._runtime).send)
            return
        with telemetry.call(self._runtime.service, "http", self._methods.get(path, "other"), headers) as call:
            answer = _Answer(send, call, self._runtime)
            try:
                authorise(headers, self._runtime.settings)
            except errors.Unauthenticated as error:
                await answer.fail(error, scope, receive)
            else:
                await self._serve(scope, receive, answer)

    async def _serve(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        """Run the application beside a reader that counts the body and notices when the caller hangs up."""
        inbox: asyncio.Queue[Message] = asyncio.Queue(maxsize=1)
        application = asyncio.ensure_future(self._app(scope, inbox.get, answer.send))
        reader = asyncio.ensure_future(self._read(receive, inbox, answer))
        try:
            await asyncio.wait({application, reader}, return_when=asyncio.FIRST_COMPLETED)
            if application.done():
                application.result()
                return
            application.cancel()
            await asyncio.wait({application})
            if answer.started:
                return
            if error := reader.result():
                await answer.fail(error, scope, receive)
            else:
                await answer.abandon(scope, receive)
        finally:
            reader.cancel()
            application.cancel()
            self._hold(answer, -answer.received)

    async def _read(self, receive: Receive, inbox: asyncio.Queue[Message], answer: _Answer) -> errors.MaquetteError | None:
        """Hand the body on; return an error when there is no room for all of it, None when the caller has gone."""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            self._hold(answer, len(message.get("body", b"")))
            if answer.received > self._most_bytes or self._held > self._room:
                error = self._too_many if answer.received > self._most_bytes else errors.Overloaded(_NO_ROOM)
                # Read on for as much again without keeping it: a caller still sending would not see the answer.
                skipped = 0
                while message.get("more_body") and skipped < self._most_bytes:
                    message = await receive()
                    skipped += len(message.get("body", b""))
                return error
            await inbox.put(message)

    def _hold(self, answer: _Answer, size: int) -> None:
        answer.received += size
        self._held += size
        telemetry.BYTES_RECEIVED.inc(size)


class _Answer:
    """Sends the answer with its request id, and turns errors of any other shape into problem+json."""

    def __init__(self, send: Send, call: telemetry.Call, runtime: Runtime[Any, Any, Any]) -> None:
        self._send, self.call, self._runtime = send, call, runtime
        self.started = False
        self.received = 0
        self._replacement: Response | None = None

    async def fail(self, error: errors.MaquetteError, scope: Scope, receive: Receive) -> None:
        self.call.code = error.code
        await problem(error.code, error.detail, self.call.request_id)(scope, receive, self.send)

    async def abandon(self, scope: Scope, receive: Receive) -> None:
        """For a caller who has gone. Nobody reads it, but BentoML's timeout, outside of us, waits for an answer to begin."""
        self.call.code = "CANCELLED"
        await Response(status_code=499)(scope, receive, self._send)

    async def send(self, message: Message) -> None:
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
            if self._runtime.state is State.DRAINING:
                # Or the caller would send its next question into a connection that is about to be closed.
                headers.append((b"connection", b"close"))
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
