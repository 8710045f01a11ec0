"""What every RPC passes: key, room for its message, error table, metrics, one log line, and its messages read and written.

On the wire a unary call is a stream of one message. So each is handled as a stream here: the key is checked and room is taken
before the message is received, and the answer is held until its caller has read it.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from services.common import errors, images, telemetry
from services.common.admission import Lease
from services.common.authorisation import authorise
from services.common.in_order import LONGEST_ID
from services.common.runtime import Runtime

DOMAIN = "maquette"
REQUEST_ID = "x-request-id"
# Metadata: how many bytes the message of a unary call has. Who says so is not let in one at a time when others send large ones.
MESSAGE_BYTES = "maquette-message-bytes"
# Room above the byte limit, so that a photograph a little too large gets our own error and not the transport's.
HEADROOM = 16 * 2**20
MOST_RPCS = 1024
_INFRASTRUCTURE = ("/grpc.health.v1.", "/grpc.reflection.")
# Slower than this, in bytes a second, a caller counts as one who neither sends nor reads.
_SLOWEST = 64 * 1024
# Probes and reflection have small messages, which arrive at once, and no key. These bound what anyone else may make of that.
_PROBES_READ, _PROBE_SECONDS = 8, 2.0
_PATIENCE_SECONDS = 0.25


class Interceptor(grpc.aio.ServerInterceptor):
    def __init__(self, runtime: Runtime[Any, Any, Any]) -> None:
        self._runtime = runtime
        self._most = runtime.settings.limits.max_bytes
        self._active = 0
        # Unary calls that wait for room and have not said how large their message is.
        self._unannounced = 0
        self._probes, self._reflections = asyncio.Semaphore(_PROBES_READ), asyncio.Semaphore(_PROBES_READ)
        # The task of each stream, and since when it has nothing at work.
        self._streams: dict[asyncio.Task[Any], float] = {}
        self._evicted: set[asyncio.Task[Any]] = set()
        # Those whose caller has an answer to read.
        self._writing: set[asyncio.Task[Any] | None] = set()
        # Calls so far, and whether none of them is at work.
        self.begun = 0
        self.idle = asyncio.Event()
        self.idle.set()

    async def intercept_service(self, continuation: Any, details: grpc.HandlerCallDetails) -> Any:
        handler = await continuation(details)
        if handler is not None and details.method.startswith(_INFRASTRUCTURE):
            answer = self._reflection(handler) if handler.request_streaming else self._probe(handler)
            return grpc.stream_stream_rpc_method_handler(answer, None, handler.response_serializer)
        headers = {name: value for name, value in details.invocation_metadata or () if isinstance(value, str)}
        return grpc.stream_stream_rpc_method_handler(self._serve(handler, details.method.rpartition("/")[2], headers))

    def _probe(self, handler: Any) -> Any:
        """A question of grpc.health.v1, whose message may not keep others waiting or fill the memory."""

        async def answer(_: Any, context: Any) -> None:
            try:
                async with self._probes, asyncio.timeout(_PROBE_SECONDS):
                    data = await context.read()
                request = _parsed(handler, data)
                del data
            except (TimeoutError, errors.ParameterInvalid):
                error = errors.ParameterInvalid("Send one message of this method, at once.")
                await context.abort_with_status(rich_status(error, telemetry.request_id(None)))
            if handler.response_streaming:
                await handler.unary_stream(request, context)
            else:
                await context.write(await handler.unary_unary(request, context))

        return answer

    def _reflection(self, handler: Any) -> Any:
        async def answer(_: Any, context: Any) -> None:
            if self._reflections.locked():
                error = errors.Overloaded("Too many callers ask for reflection; try again after a pause.")
                await context.abort_with_status(rich_status(error, telemetry.request_id(None)))

            async def questions() -> AsyncIterator[Any]:
                while (data := await context.read()) is not grpc.aio.EOF:
                    yield _parsed(handler, data)

            async with self._reflections:
                try:
                    async for response in handler.stream_stream(questions(), context):
                        await context.write(response)
                except errors.ParameterInvalid as error:
                    await context.abort_with_status(rich_status(error, telemetry.request_id(None)))

        return answer

    def _serve(self, handler: Any, method: str, headers: dict[str, str]) -> Any:
        """One call of the service: from its first header to the last byte of its answer."""
        runtime = self._runtime

        async def serve(_: Any, context: Any) -> None:
            self._active += 1
            self.begun += 1
            self.idle.clear()
            failure: errors.MaquetteError | None = None
            try:
                with telemetry.call(runtime.service, "grpc", method if handler else "other", headers) as call:
                    try:
                        authorise(headers, runtime.settings)
                        if handler is None:
                            raise errors.NotFound("There is no such method; reflection lists those there are.")
                        if self._active > MOST_RPCS:
                            raise errors.Overloaded("Too many calls are open; try again after a pause.")
                        context.set_trailing_metadata(((REQUEST_ID, call.request_id),))
                        await (self._stream if handler.request_streaming else self._unary)(handler, headers, context)
                    except asyncio.CancelledError:
                        if asyncio.current_task() not in self._evicted - self._writing:
                            raise  # also where a message is half sent: gRPC takes no status before its end
                        failure = errors.Overloaded("The stream was idle and another wanted its place; open it again.")
                    except errors.MaquetteError as error:
                        failure = error
                    except Exception:
                        telemetry.failed()
                        failure = errors.Internal()
                    call.code = failure.code if failure else call.code
                if failure:
                    # gRPC keeps the abort in a cycle with what led to it: those frames would hold the photograph until the
                    # collector comes by, and by then there are several.
                    failure.__traceback__ = failure.__context__ = failure.__cause__ = None
                    await context.abort_with_status(rich_status(failure, call.request_id))
            finally:
                self._writing.discard(asyncio.current_task())
                self._active -= 1
                if not self._active:
                    self.idle.set()

        return serve

    async def _unary(self, handler: Any, headers: dict[str, str], context: Any) -> None:
        self._runtime.require_ready()
        settings, length = self._runtime.settings, headers.get(MESSAGE_BYTES)
        if length is not None and not (length.isdecimal() and len(length) < 20):
            raise errors.ParameterInvalid(f"Metadata `{MESSAGE_BYTES}` should be a number of bytes.")
        if length and int(length) > self._most + HEADROOM:
            raise images.too_many_bytes(settings.limits)
        declared = int(length) if length else self._most
        seconds = min(settings.idle_seconds + (declared / _SLOWEST if length else 0), settings.timeout_seconds)
        self._unannounced += not length
        try:
            take = self._runtime.bytes.take if length else self._runtime.bytes.guess
            lease = await take(declared, wait=settings.wait_seconds)
        finally:
            self._unannounced -= not length
        with lease:
            with telemetry.RECEIVING.track_inprogress():
                data = await self._received(context, seconds, may_wait=bool(length))
            if data is grpc.aio.EOF:
                raise errors.ParameterInvalid("The call has no message; send one.")
            if length and len(data) > declared:
                raise errors.ParameterInvalid(f"The message has {len(data)} bytes, its metadata `{MESSAGE_BYTES}` says fewer.")
            lease.resize(len(data))
            request = _parsed(handler, data)
            del data
            named = "id" in request.DESCRIPTOR.fields_by_name and request.HasField("id")
            if named and len(request.id) > LONGEST_ID:
                raise errors.ParameterInvalid(f"Parameter `id` should have at most {LONGEST_ID} characters.")
            response = await handler.unary_unary(request, context)
            if named:
                response.id = request.id
            answer = handler.response_serializer(response)
            del request, response
            lease.resize(max(lease.amount, len(answer)))
            await self._write(context, answer)

    async def _received(self, context: Any, seconds: float, *, may_wait: bool) -> Any:
        """The message of a unary call. One that was not announced gives its room up when others wait and it does not come."""
        late = f"The message did not arrive in time; on a slow line say its bytes in the metadata `{MESSAGE_BYTES}`."
        reading = asyncio.ensure_future(context.read())
        try:
            ends = self._now() + seconds
            while not reading.done():
                await asyncio.wait({reading}, timeout=min(_PATIENCE_SECONDS, max(0, ends - self._now())))
                if not reading.done() and self._now() >= ends:
                    raise errors.DeadlineExceeded(late)
                if not reading.done() and not may_wait and self._unannounced:
                    raise errors.Overloaded(late)
            return reading.result()
        finally:
            reading.cancel()
            del reading

    async def _stream(self, handler: Any, headers: dict[str, str], context: Any) -> None:
        task = asyncio.current_task()
        assert task
        self._make_room_for_a_stream()
        held: deque[Lease] = deque()

        async def requests() -> AsyncIterator[tuple[Any, Lease]]:
            while (data := await context.read()) is not grpc.aio.EOF:
                if task in self._streams:
                    self._streams[task] = math.inf
                held.append(await self._runtime.bytes.take(len(data), bulk=True, wait=None))
                request = _parsed(handler, data)
                del data
                yield request, held[-1]

        self._streams[task] = self._now()
        try:
            async with aclosing(handler.stream_stream(requests(), context)) as responses:
                async for response in responses:
                    await self._write(context, handler.response_serializer(response))
                    held.popleft().release()
                    if not held:
                        self._streams[task] = self._now()
        finally:
            self._streams.pop(task, None)
            for lease in held:
                lease.release()

    def _make_room_for_a_stream(self) -> None:
        """Where all places are taken, the stream that has been idle for longest loses its own. Raises ``Overloaded``."""
        settings = self._runtime.settings
        if len(self._streams) < settings.max_streams:
            return
        task, since = min(self._streams.items(), key=lambda stream: stream[1])
        if self._now() - since < settings.idle_seconds:
            raise errors.Overloaded("Too many streams are open; try again after a pause.")
        del self._streams[task]
        self._evicted.add(task)
        task.add_done_callback(self._evicted.discard)
        task.cancel()

    async def _write(self, context: Any, answer: bytes) -> None:
        """Send it. gRPC has no way to take back a message that its caller does not read: it holds its bytes until the
        connection ends, which is why connections have an age (``grpc_server.py``).
        """
        task = asyncio.current_task()
        assert task
        if task in self._streams:  # one whose caller does not read is as idle as one whose caller does not send
            self._streams[task] = self._now()
        self._writing.add(task)
        try:
            await context.write(answer)
        except grpc.aio.InternalError:  # the call has ended under it
            raise asyncio.CancelledError from None
        self._writing.discard(task)
        if task in self._streams:
            self._streams[task] = math.inf

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def _parsed(handler: Any, data: Any) -> Any:
    """The bytes of a message -> the message. Raises ``ParameterInvalid``."""
    try:
        return handler.request_deserializer(b"" if data is grpc.aio.EOF else data)
    except (DecodeError, ValueError):
        raise errors.ParameterInvalid("The bytes are no message of this method; send one made from its proto.") from None


def rich_status(error: errors.MaquetteError, request_id: str) -> Any:
    """:func:`status_of` as gRPC ends a call with it."""
    status: Any = rpc_status.to_status(status_of(error, request_id))
    # A namedtuple underneath; its trailing metadata replace those set before.
    return status._replace(trailing_metadata=(*status.trailing_metadata, (REQUEST_ID, request_id)))


def status_of(error: errors.MaquetteError, request_id: str) -> status_pb2.Status:
    """The table's row as a google.rpc.Status with ErrorInfo, and RetryInfo where trying again helps."""
    row = errors.TABLE[error.code]
    details: list[Any] = [
        error_details_pb2.ErrorInfo(reason=error.code, domain=DOMAIN, metadata={"request_id": request_id}),
        error_details_pb2.RequestInfo(request_id=request_id),
    ]
    if row.retry_after:
        details.append(error_details_pb2.RetryInfo(retry_delay=Duration(seconds=row.retry_after)))
    packed = []
    for detail_message in details:
        any_message = AnyMessage()
        any_message.Pack(detail_message)
        packed.append(any_message)
    return status_pb2.Status(code=row.grpc.value[0], message=error.detail, details=packed)
