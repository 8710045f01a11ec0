"""From process start to exit: both transports up at once, ready after warm-up, and a drain that starts with SIGTERM."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

from google.protobuf.descriptor import ServiceDescriptor
from grpc.aio import Server as GrpcServer

from services.common import telemetry
from services.common.grpc_server import SETTLE_SECONDS, Server
from services.common.runtime import Runtime, State

# From the first word that the process will end (NOT_SERVING, `Connection: close`) to the end of its listeners. Until then
# every call is answered.
NOTICE_SECONDS = 2.0
_TRIM_SECONDS = 10.0


class Lifecycle:
    """Started and stopped by the HTTP server, in its event loop. ``add`` registers the gRPC servicer."""

    def __init__(self, runtime: Runtime[Any, Any, Any], service: ServiceDescriptor, add: Callable[[GrpcServer], None]) -> None:
        self._runtime, self._service, self._add = runtime, service, add
        self._background: set[asyncio.Task[None]] = set()
        self._server: Server | None = None
        self._leaving = self._noticed = False
        self._drained: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen on gRPC and load the model behind it: probes are answered, NOT_SERVING, while it warms up."""
        settings = self._runtime.settings
        telemetry.configure_logging(settings)
        if unknown := settings.unknown_variables():
            telemetry.LOG.warning("variables that are no setting of a service", extra={"variables": unknown})
        self._server = Server(self._runtime, self._service.full_name, self._add)
        await self._server.start()
        self._catch_signals()
        self._spawn(self._warm_up())
        self._spawn(self._give_memory_back())

    async def stop(self) -> None:
        """HTTP has finished its calls: wait until gRPC has, then let go of the model."""
        await self._give_notice()
        await self._drain()
        await self._runtime.stop()
        for task in self._background:
            task.cancel()

    async def _give_memory_back(self) -> None:
        while True:
            await asyncio.sleep(_TRIM_SECONDS)
            await self._runtime.give_memory_back()

    async def _warm_up(self) -> None:
        assert self._server
        await self._runtime.start()
        if self._runtime.state is State.READY:
            await self._server.serving(True)

    def _catch_signals(self) -> None:
        """A signal first gives notice, with both transports still answering; then both drain at the same time.

        uvicorn alone would stop listening at once and tell nobody. A second signal reaches it without delay.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            before = signal.getsignal(number)

            def close(received: int, before: Any) -> None:
                if callable(before):
                    before(received, None)

            def handle(received: int, _: FrameType | None, before: Any = before) -> None:
                if self._leaving:
                    close(received, before)
                    return
                self._leaving = True

                async def leave() -> None:
                    await self._give_notice()
                    draining = self._drain()
                    close(received, before)
                    await draining

                loop.call_soon_threadsafe(lambda: self._spawn(leave()))

            signal.signal(number, handle)

    async def _give_notice(self) -> None:
        """Say on both transports that the process will end, and answer for a moment longer those who have not seen it yet."""
        said, self._noticed = self._noticed, True
        self._runtime.leave()
        if self._server and not said:
            await self._server.serving(False)
            await asyncio.sleep(NOTICE_SECONDS)

    def _drain(self) -> asyncio.Task[None]:
        """Close gRPC's listener; the task ends when gRPC has finished what it has. Asked for again, it is the same task."""
        if self._drained is None:
            self._drained = asyncio.ensure_future(self._finish())
        return self._drained

    async def _finish(self) -> None:
        stopping = asyncio.ensure_future(self._server.stop() if self._server else asyncio.sleep(0))
        # Calls that were on their way when the listeners closed are answered, too; then nothing new is begun.
        await asyncio.sleep(SETTLE_SECONDS)
        self._runtime.drain()
        await stopping

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
