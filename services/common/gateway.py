"""The ASGI middleware that every HTTP request passes: request id, key, one shape for every error, bytes given back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.common import errors, http, openapi, telemetry, website
from services.common.admission import Lease
from services.common.authorisation import authorise
from services.common.http import ANSWER_HEADER, problem
from services.common.lifecycle import Lifecycle
from services.common.operations import Operation
from services.common.runtime import Runtime, State

# Probes, scrapes and the API's document: no key, no access log. The service's pages are beside them.
_OPEN_PATHS = ("/livez", "/readyz", "/metrics", "/docs.json")
# The transport is given a large answer in pieces, so that what it has not sent yet is known.
_PIECE = 256 * 1024


def application(runtime: Runtime[Any, Any, Any], operations: Sequence[Operation], lifecycle: Lifecycle) -> ASGIApp:
    """The ASGI application of a service: its operations and their document, started and stopped with ``lifecycle``."""

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        await lifecycle.start()
        yield
        await lifecycle.stop()

    settings = runtime.settings
    document = openapi.document(runtime.service, operations, settings.ports(runtime.service).http)
    pages = website.pages(runtime.service)
    routes = http.routes(pages, document, operations, runtime.probe, lifespan)
    gateway = Gateway(routes, runtime, {operation.path: operation.label for operation in operations}, {*_OPEN_PATHS, *pages})
    if not settings.cors_origins:
        return gateway
    return CORSMiddleware(
        gateway,
        allow_origins=settings.cors_origins,
        allow_methods=["GET", "POST"],
        allow_headers=["accept", "authorization", "content-type", "x-api-key", "x-request-id"],
        expose_headers=[ANSWER_HEADER, "retry-after", "x-request-id"],
        max_age=3600,
    )


class Gateway:
    """``methods`` maps a path to the RPC's name, the ``method`` label of metrics and logs; ``open_paths`` ask for no key."""

    def __init__(
        self, app: ASGIApp, runtime: Runtime[Any, Any, Any], methods: Mapping[str, str], open_paths: Collection[str]
    ) -> None:
        self._app, self._runtime, self._methods, self._open_paths = app, runtime, methods, open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        path = scope["path"]
        # Starlette raises for an unknown path or method where there is an application, and answers in text where there is none.
        scope["app"] = self
        if path in self._open_paths:
            await _Exchange(telemetry.page(headers), self._runtime, scope, send).run(self._app, receive)
            return
        with telemetry.call(self._runtime.service, "http", self._methods.get(path, "other"), headers) as call:
            exchange = _Exchange(call, self._runtime, scope, send)
            try:
                authorise(headers, self._runtime.settings)
            except errors.Unauthenticated as error:
                await exchange.fail(error, receive)
            else:
                await exchange.run(self._app, receive)


class _Exchange:
    """One request and its answer."""

    def __init__(self, call: telemetry.Call, runtime: Runtime[Any, Any, Any], scope: Scope, send: Send) -> None:
        self._call, self._runtime, self._scope, self._transport_send = call, runtime, scope, send
        self._started = False

    async def run(self, app: ASGIApp, receive: Receive) -> None:
        """Run the application; what it raises becomes a problem. The bytes that the request holds are given back at the end."""
        try:
            await app(self._scope, receive, self._send)
        except errors.MaquetteError as error:
            await self.fail(error, receive)
        except HTTPException as error:  # the router's
            if error.status_code == 405:
                wrong = errors.MethodNotAllowed("This path does not take this method; /docs.json says which it takes.")
                await self.fail(wrong, receive, **(error.headers or {}))
            else:
                await self.fail(errors.NotFound("There is nothing at this path; /docs.json lists what there is."), receive)
        except asyncio.CancelledError:  # the caller has gone
            self._call.code = "CANCELLED"
        except Exception:
            telemetry.failed()
            await self.fail(errors.Internal(), receive)
        finally:
            lease: Lease | None = self._scope.get("maquette.lease")
            if lease:
                lease.release()

    async def fail(self, error: errors.MaquetteError, receive: Receive, **headers: str) -> None:
        self._call.code = error.code
        if self._started:
            raise ConnectionError("the answer broke off")  # the server closes the connection: there is no other way to say so
        response = problem(error, self._call.request_id)
        response.headers.update(headers)
        await response(self._scope, receive, self._send)

    async def _send(self, message: Message) -> None:
        """Adds the request id, says when the connection is about to close, and hands a large answer on in pieces."""
        if message["type"] == "http.response.start":
            self._started = True
            headers = [*message["headers"], (b"x-request-id", self._call.request_id.encode())]
            if self._runtime.state in (State.LEAVING, State.DRAINING):
                # Or the caller would send its next question into a connection that is about to be closed.
                headers.append((b"connection", b"close"))
            await self._transport_send({**message, "headers": headers})
            return
        body = memoryview(message.get("body", b""))
        lease: Lease | None = self._scope.get("maquette.lease")
        if lease and len(body) > lease.amount:
            lease.resize(len(body))
        while len(body) > _PIECE:
            await self._transport_send({"type": "http.response.body", "body": body[:_PIECE].tobytes(), "more_body": True})
            body = body[_PIECE:]
        await self._transport_send({**message, "body": body.tobytes()})
