"""gRPC: a ``grpc.aio`` server in BentoML's own event loop, with what BentoML's HTTP side has.

One interceptor gives every RPC the request id, key, metrics, log line and error table; :func:`stream` answers a
bidirectional stream in order with a bounded number of items at work.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from grpc_status import rpc_status

from protos.maquette.common.v1 import common_pb2
from services.common import errors, gateway, telemetry
from services.common.runtime import Runtime
from services.common.settings import Settings, url_host

DOMAIN = "maquette"
REQUEST_ID = "x-request-id"
_INFRASTRUCTURE = ("/grpc.health.v1.", "/grpc.reflection.")
# Room above the byte limit, so that a photograph a little too large gets our own error and not the transport's.
_HEADROOM = 16 * 2**20
_LONGEST_ID = 256
# What the transport gets to send the last answers, once their handlers have returned.
_LAST_BYTES_SECONDS = 0.5


class Server:
    """The gRPC side of one worker. ``add`` registers the typed servicer; ``service_name`` is its full proto name."""

    def __init__(self, runtime: Runtime[Any, Any, Any], service_name: str, add: Callable[[grpc.aio.Server], None]) -> None:
        settings = runtime.settings
        self._runtime, self._name = runtime, service_name
        self._interceptor = _Interceptor(runtime.service, settings)
        self._server = grpc.aio.server(
            interceptors=[self._interceptor],
            options=[
                # With one worker a second process on the same port must fail, not share it silently.
                ("grpc.so_reuseport", int(settings.workers > 1)),
                ("grpc.max_receive_message_length", settings.limits.max_bytes + _HEADROOM),
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
        """Say NOT_SERVING, refuse new calls, and give those in flight the drain time.

        Someone who watches the health never hangs up, so our own calls are waited for and the rest is ended.
        """
        await self._health.enter_graceful_shutdown()
        stopping = asyncio.ensure_future(self._server.stop(self._runtime.settings.drain_seconds))
        idle = asyncio.ensure_future(self._interceptor.idle.wait())
        await asyncio.wait({stopping, idle}, return_when=asyncio.FIRST_COMPLETED)
        idle.cancel()
        await self._server.stop(_LAST_BYTES_SECONDS)
        await stopping


async def stream(
    runtime: Runtime[Any, Any, Any], requests: AsyncIterator[Any], answer: Callable[[Any], Awaitable[Any]], envelope: type[Any]
) -> AsyncIterator[Any]:
    """Answers in the order of the requests, a bounded number at work; reading stops while the caller does not read.

    ``requests`` carry ``id`` and ``request``; ``answer(request)`` gives the response; both outcomes come back in an
    ``envelope(id=, response= | error=)``.
    """

    async def item(request: Any) -> Any:
        try:
            if len(request.id) > _LONGEST_ID:
                raise errors.ParameterInvalid(f"Parameter `id` should have at most {_LONGEST_ID} characters.")
            async with runtime.slot(wait=True):
                return envelope(id=request.id, response=await answer(request.request))
        except errors.MaquetteError as error:
            failure = common_pb2.Error(code=error.code, detail=error.detail)
        except Exception:
            telemetry.LOG.error("failed", extra={"request_id": telemetry.current().request_id}, exc_info=True)
            failure = common_pb2.Error(code=errors.Internal.code, detail=errors.Internal().detail)
        return envelope(id=request.id[:_LONGEST_ID], error=failure)

    waiting: asyncio.Queue[asyncio.Task[Any] | None] = asyncio.Queue()
    room = asyncio.Semaphore(runtime.settings.stream_window)

    async def read() -> None:
        try:
            async for request in requests:
                await room.acquire()
                waiting.put_nowait(asyncio.create_task(item(request)))
        finally:
            waiting.put_nowait(None)

    reader = asyncio.create_task(read())
    try:
        while (task := await waiting.get()) is not None:
            yield await task
            room.release()
        await reader
    finally:
        reader.cancel()
        while not waiting.empty():
            if (task := waiting.get_nowait()) is not None:
                task.cancel()


def chosen(request: Message, *fields: str) -> dict[str, Any]:
    """The optional fields that the caller set."""
    return {name: getattr(request, name) for name in fields if request.HasField(name)}


def rich_status(code: str, detail: str, request_id: str) -> Any:
    """The table's row as a grpc status with ErrorInfo, and RetryInfo where trying again helps."""
    row = errors.TABLE[code]
    details: list[Any] = [
        error_details_pb2.ErrorInfo(reason=code, domain=DOMAIN, metadata={"request_id": request_id}),
        error_details_pb2.RequestInfo(request_id=request_id),
    ]
    if row.retry_after:
        details.append(error_details_pb2.RetryInfo(retry_delay=Duration(seconds=row.retry_after)))
    packed = []
    for detail_message in details:
        any_message = AnyMessage()
        any_message.Pack(detail_message)
        packed.append(any_message)
    status: Any = rpc_status.to_status(status_pb2.Status(code=row.grpc.value[0], message=detail, details=packed))
    # A namedtuple underneath; its trailing metadata replace those set before.
    return status._replace(trailing_metadata=(*status.trailing_metadata, (REQUEST_ID, request_id)))


async def _abort(context: grpc.aio.ServicerContext[Any, Any], call: telemetry.Call, error: Exception) -> None:
    if isinstance(error, errors.MaquetteError):
        call.code, detail = error.code, error.detail
    else:
        telemetry.LOG.error("failed", extra={"request_id": call.request_id}, exc_info=error)
        call.code, detail = errors.Internal.code, errors.Internal().detail
    # gRPC keeps the abort in a cycle with what led to it: those frames would hold the photograph until the collector comes
    # by, and by then there are several.
    error.__traceback__ = error.__context__ = error.__cause__ = None
    await context.abort_with_status(rich_status(call.code, detail, call.request_id))


class _Interceptor(grpc.aio.ServerInterceptor):
    def __init__(self, service: str, settings: Settings) -> None:
        self._service, self._settings = service, settings
        self._active = 0
        self.idle = asyncio.Event()
        self.idle.set()

    @contextmanager
    def _call(self, method: str, headers: dict[str, str]) -> Iterator[telemetry.Call]:
        """One call of the service, for as long as :meth:`Server.stop` waits for it."""
        self._active += 1
        self.idle.clear()
        try:
            with telemetry.call(self._service, "grpc", method, headers) as call:
                yield call
        finally:
            self._active -= 1
            if not self._active:
                self.idle.set()

    async def intercept_service(self, continuation: Any, details: grpc.HandlerCallDetails) -> Any:
        handler = await continuation(details)
        if handler is None or details.method.startswith(_INFRASTRUCTURE):
            return handler
        method = details.method.rpartition("/")[2]
        headers = {name: value for name, value in details.invocation_metadata or () if isinstance(value, str)}
        if handler.request_streaming:
            return grpc.stream_stream_rpc_method_handler(
                self._streaming(handler.stream_stream, method, headers),
                handler.request_deserializer,
                handler.response_serializer,
            )
        return grpc.unary_unary_rpc_method_handler(
            self._unary(handler.unary_unary, method, headers), handler.request_deserializer, handler.response_serializer
        )

    def _unary(self, behaviour: Any, method: str, headers: dict[str, str]) -> Any:
        async def answer(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            with self._call(method, headers) as call:
                try:
                    gateway.authorise(headers, self._settings)
                    context.set_trailing_metadata(((REQUEST_ID, call.request_id),))
                    return await behaviour(request, context)
                except Exception as error:
                    del request  # see _abort
                    await _abort(context, call, error)

        return answer

    def _streaming(self, behaviour: Any, method: str, headers: dict[str, str]) -> Any:
        async def answer(requests: Any, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
            with self._call(method, headers) as call:
                try:
                    gateway.authorise(headers, self._settings)
                    context.set_trailing_metadata(((REQUEST_ID, call.request_id),))
                    async for response in behaviour(requests, context):
                        yield response
                except Exception as error:
                    await _abort(context, call, error)

        return answer
