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
from services.common.grpc_server import Server
from services.common.runtime import Runtime, State

# Refusals that a client retries (503, UNAVAILABLE) go out this long before connections are closed under it.
_NOTICE_SECONDS = 1.0
_TRIM_SECONDS = 10.0


class Lifecycle:
    """Started and stopped by the HTTP server, in its event loop. ``add`` registers the gRPC servicer."""

    def __init__(self, runtime: Runtime[Any, Any, Any], service: ServiceDescriptor, add: Callable[[GrpcServer], None]) -> None:
        self._runtime, self._service, self._add = runtime, service, add
        self._background: set[asyncio.Task[None]] = set()
        self._server: Server | None = None
        self._leaving = False

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
        """Finish the gRPC calls in flight within the drain time, then let go of the model."""
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
        """A signal first drains, with both transports still answering, and only then reaches uvicorn, which closes.

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
                    await self._drain()
                    close(received, before)

                loop.call_soon_threadsafe(lambda: self._spawn(leave()))

            signal.signal(number, handle)

    async def _drain(self) -> None:
        """Say so on both transports, leave callers and probes a moment to see it, then let gRPC finish what it has."""
        said = self._runtime.state is State.DRAINING
        self._runtime.drain()
        if self._server:
            await self._server.serving(False)
            if not said:
                await asyncio.sleep(_NOTICE_SECONDS)
            await self._server.stop()

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
