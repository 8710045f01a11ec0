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


class Lifecycle:
    """Started and stopped by BentoML's hooks, in the worker's event loop. ``add`` registers the gRPC servicer."""

    def __init__(self, runtime: Runtime[Any, Any, Any], service: ServiceDescriptor, add: Callable[[GrpcServer], None]) -> None:
        self._runtime, self._service, self._add = runtime, service, add
        self._background: set[asyncio.Task[None]] = set()
        self._server: Server | None = None

    async def start(self) -> None:
        """Listen on gRPC and load the model behind it: probes are answered, NOT_SERVING, while it warms up."""
        settings = self._runtime.settings
        telemetry.configure_logging(settings)
        if strangers := settings.strangers():
            telemetry.LOG.warning("variables that are no setting of a service", extra={"variables": strangers})
        self._server = Server(self._runtime, self._service.full_name, self._add)
        await self._server.start()
        self._catch_signals()
        self._spawn(self._warm_up())

    async def stop(self) -> None:
        """Finish the gRPC calls in flight within the drain time, then let go of the model."""
        await self._drain()
        await self._runtime.stop()

    async def _warm_up(self) -> None:
        assert self._server
        await self._runtime.start()
        if self._runtime.state is State.READY:
            await self._server.serving(True)

    def _catch_signals(self) -> None:
        """uvicorn stops accepting on a signal but tells nobody; let gRPC drain at the same moment, not after HTTP."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            before = signal.getsignal(number)

            def handle(received: int, frame: FrameType | None, before: Any = before) -> None:
                loop.call_soon_threadsafe(lambda: self._spawn(self._drain()))
                if callable(before):
                    before(received, frame)

            signal.signal(number, handle)

    async def _drain(self) -> None:
        self._runtime.drain()
        if self._server:
            await self._server.stop()

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
