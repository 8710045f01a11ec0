"""gRPC: a ``grpc.aio`` server in the event loop that also serves HTTP, with all that HTTP has.

``grpc_calls.py`` is what every RPC passes; :func:`stream` answers a bidirectional stream in order with a bounded number of
items at work.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import Message
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from protos.maquette.common.v1 import common_pb2
from services.common import errors, telemetry
from services.common.admission import Lease
from services.common.grpc_calls import HEADROOM, MOST_RPCS, Interceptor, status_of
from services.common.in_order import LONGEST_ID, in_order
from services.common.photograph import photograph_of
from services.common.runtime import Runtime
from services.common.settings import url_host

_MOST_RPCS_A_CONNECTION = 256
# What the transport gets to send the last answers, and to hand over calls that came before its listener was closed.
SETTLE_SECONDS = 0.5


class Server:
    """The gRPC side of one worker. ``add`` registers the typed servicer; ``service_name`` is its full proto name."""

    def __init__(self, runtime: Runtime[Any, Any, Any], service_name: str, add: Callable[[grpc.aio.Server], None]) -> None:
        settings = runtime.settings
        self._runtime, self._name = runtime, service_name
        self._interceptor = Interceptor(runtime)
        longest = settings.wait_seconds + 2 * settings.timeout_seconds
        self._server = grpc.aio.server(
            interceptors=[self._interceptor],
            # The interceptor refuses with a reason before this; it is for calls that no interceptor sees yet.
            maximum_concurrent_rpcs=2 * MOST_RPCS,
            options=[
                # A second process on the same port must fail, not share it silently.
                ("grpc.so_reuseport", 0),
                ("grpc.max_concurrent_streams", _MOST_RPCS_A_CONNECTION),
                ("grpc.max_connection_idle_ms", 300_000),
                # gRPC varies it by a tenth, so that callers do not all come back at once. A call has at the least as long as
                # it may take.
                ("grpc.max_connection_age_ms", int(settings.connection_age_seconds * 1000)),
                ("grpc.max_connection_age_grace_ms", int(max(settings.connection_grace_seconds, longest) * 1000)),
                # What nobody has asked for yet stays with its sender.
                ("grpc.http2.bdp_probe", 0),
                ("grpc.max_receive_message_length", settings.limits.max_bytes + HEADROOM),
                ("grpc.max_send_message_length", -1),
                # Clients may ask every ten seconds whether we are there. We ask them too, or one that vanished held its stream.
                ("grpc.keepalive_permit_without_calls", 1),
                ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
                ("grpc.keepalive_time_ms", 60_000),
                ("grpc.keepalive_timeout_ms", 20_000),
            ],
        )
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        add(self._server)
        names = (service_name, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)

    async def start(self) -> None:
        """Listen, answering NOT_SERVING until :meth:`serving` says otherwise. Raises ``RuntimeError`` on a taken port."""
        settings = self._runtime.settings
        address = f"{url_host(settings.host)}:{settings.ports(self._runtime.service).grpc}"
        if settings.tls_certificate and settings.tls_key:
            pair = (settings.tls_key.read_bytes(), settings.tls_certificate.read_bytes())
            self._server.add_secure_port(address, grpc.ssl_server_credentials([pair]))
        else:
            self._server.add_insecure_port(address)
        await self.serving(False)
        await self._server.start()

    async def serving(self, yes: bool) -> None:
        """What grpc.health.v1 answers, for the whole server and for the service by name."""
        status = health_pb2.HealthCheckResponse.SERVING if yes else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", self._name):
            await self._health.set(name, status)

    async def stop(self) -> None:
        """Say NOT_SERVING, close the listener, and give the calls that came before the drain time.

        Someone who watches the health never hangs up, so our own calls are waited for and the rest is ended.
        """
        await self._health.enter_graceful_shutdown()
        stopping = asyncio.ensure_future(self._server.stop(self._runtime.settings.drain_seconds))
        calls = self._interceptor
        seen = -1
        while not stopping.done() and calls.begun != seen:
            idle = asyncio.ensure_future(calls.idle.wait())
            await asyncio.wait({stopping, idle}, return_when=asyncio.FIRST_COMPLETED)
            idle.cancel()
            seen = calls.begun
            # A call that had come when the listener was closed may not have reached its handler yet: look again.
            await asyncio.wait({stopping}, timeout=SETTLE_SECONDS)
        await self._server.stop(0)
        await stopping


async def answer(runtime: Runtime[Any, Any, Any], request: Any, parameters: Any, *, bulk: bool = False) -> Any:
    """The answer to the photograph of ``request``, which has ``image`` or ``image_url``. Raises any of the domain errors."""
    address = request.image_url if request.HasField("image_url") else None
    async with photograph_of(runtime, request.image, address, parameters, bulk=bulk) as image, runtime.place(bulk=bulk):
        return await runtime.answer(image, parameters, bulk=bulk)


async def stream(
    runtime: Runtime[Any, Any, Any],
    requests: AsyncIterator[tuple[Any, Lease]],
    answer: Callable[[Any], Awaitable[Any]],
    envelope: type[Any],
) -> AsyncIterator[Any]:
    """Answers in the order of the requests, a bounded number at work; reading stops while the caller does not read.

    ``requests`` carry ``id`` and ``request``, each with its bytes' lease; ``answer(request)`` takes a place and gives the
    response; both outcomes come back in an ``envelope(id=, response= | error=)``.
    """

    async def item(received: tuple[Any, Lease]) -> Any:
        request, lease = received
        try:
            if len(request.id) > LONGEST_ID:
                raise errors.ParameterInvalid(f"Parameter `id` should have at most {LONGEST_ID} characters.")
            runtime.require_ready()
            response = await answer(request.request)
            lease.resize(response.ByteSize())
            return response
        finally:
            request.ClearField("request")

    async with aclosing(in_order(requests, item, runtime.settings.stream_window)) as outcomes:
        async for (request, _), outcome in outcomes:
            id_ = request.id[:LONGEST_ID]
            if isinstance(outcome, errors.MaquetteError):
                yield envelope(id=id_, error=_failed(outcome))
            else:
                yield envelope(id=id_, response=outcome)


def _failed(error: errors.MaquetteError) -> common_pb2.Error:
    status = status_of(error, telemetry.current().request_id)
    return common_pb2.Error(code=error.code, detail=error.detail, status=status)


def chosen(request: Message, *fields: str) -> dict[str, Any]:
    """The optional fields that the caller set."""
    return {name: getattr(request, name) for name in fields if request.HasField(name)}
