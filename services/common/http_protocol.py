"""uvicorn's HTTP protocol with what it leaves open: bounds on headers, on idle and unread connections, and its own errors as
problem+json.
"""

from __future__ import annotations

import asyncio
import logging
import random
from typing import Any

from uvicorn import Config, Server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from services.common import errors, telemetry
from services.common.http import problem
from services.common.settings import Settings

# Longer than proxies keep an idle connection (60 s mostly): the side that sends the next request must close first.
_KEEP_ALIVE_SECONDS = 75
_MOST_HEADER_BYTES = 64 * 1024
# Of what surrounds the chunks of a body: a byte in a chunk of its own has five of them beside it.
_MOST_FRAMING = 8
# Less than this in `idle_seconds` is no progress.
_LEAST_PROGRESS = 64 * 1024


def server(app: Any, settings: Settings, port: int) -> Server:
    """A uvicorn server for one service."""
    # What uvicorn would say is said by our own log, or is the caller's doing.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    config = Config(
        app,
        host=settings.host,
        port=port,
        http=type("_Protocol", (_Protocol,), {"settings": settings}),
        ws="none",
        proxy_headers=False,  # nothing here asks who the caller is
        lifespan="on",
        log_config=None,
        server_header=False,
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=max(1, round(settings.drain_seconds)),
    )
    return Server(config)


class _Protocol(HttpToolsProtocol):
    settings: Settings

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._task: asyncio.Task[None] | None = None
        # Bytes since the last message ended, and of those, bytes of a body.
        self._received = self._body = 0
        # `_begun` from the first byte of a message, `_in_message` from the end of its headers.
        self._in_headers, self._begun, self._in_message = True, False, False
        # Varied by a tenth, so that callers do not all come back at once.
        self._ends = self.loop.time() + self.settings.connection_age_seconds * random.uniform(0.9, 1.1)
        # Ends the connection when headers stay unfinished, or the rest of a body that was answered already does.
        self._clock: asyncio.TimerHandle | None = None
        self.idle_since = self.loop.time()
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.settings.max_connections:
            # Whoever keeps a connection and asks nothing makes room for who has just come.
            others: list[_Protocol] = [
                other for other in self.connections if isinstance(other, _Protocol) and other is not self
            ]
            idle = [other for other in others if not other.at_work]
            if not idle:
                self._refuse(errors.Overloaded("Too many connections are open; try again after a pause."))
                return
            oldest = min(idle, key=lambda other: other.idle_since)
            self.connections.discard(oldest)
            oldest.transport.abort()
        self._start_clock()

    @property
    def at_work(self) -> bool:
        """Whether a request is being received or answered."""
        return self._in_message or (self.cycle is not None and not self.cycle.response_complete)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for timer in (self._clock, self._unread):
            if timer:
                timer.cancel()
        if self._task and not self._task.done():
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._clock is None and not self._in_message:
            self._start_clock()
        self._received += len(data)
        if self._in_headers and self._received > _MOST_HEADER_BYTES + len(data):
            self._refuse(
                errors.ParameterInvalid(f"The headers are too long; send at most {_MOST_HEADER_BYTES // 1024} KiB."), 431
            )
            return
        super().data_received(data)
        if self._in_message and self._received - self._body > _MOST_HEADER_BYTES + len(data) + _MOST_FRAMING * self._body:
            self.transport.close()
        answered = self.cycle is not None and self.cycle.response_complete
        if self._in_message and answered and self._body > self.settings.limits.max_bytes * 2:
            self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._received, self._body, self._in_headers, self._begun = 0, 0, True, True

    def on_headers_complete(self) -> None:
        self._stop_clock()
        self._in_headers, self._in_message = False, True
        super().on_headers_complete()
        if self.loop.time() >= self._ends:
            # Says `Connection: close` with the answer. Whoever keeps a connection would never find new replicas.
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._stop_clock()
        self._received, self._in_headers, self._begun, self._in_message = 0, True, False, False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self.idle_since = self.loop.time()
        super().on_response_complete()
        if self._in_message:
            self._start_clock()

    def shutdown(self) -> None:
        """The server stops: an idle connection ends; a request whose headers are on their way is still answered."""
        if not self._begun or self.at_work:
            super().shutdown()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """As uvicorn's, but kept, so that work for a caller who hung up ends."""
        self._task = self.loop.create_task(cycle.run_asgi(app))
        self._task.add_done_callback(self.tasks.discard)
        self.tasks.add(self._task)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reader(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread:
            self._unread.cancel()

    def _watch_reader(self, left: int) -> None:
        """Give up on a caller who does not read its answer."""

        received = self._body

        def look() -> None:
            now = self.transport.get_write_buffer_size()
            # Whoever still sends a batch may read its answers later.
            if left - now < min(_LEAST_PROGRESS, left) and self._body == received:
                self.transport.abort()
            else:
                self._watch_reader(now)

        self._unread = self.loop.call_later(self.settings.idle_seconds, look)

    def _start_clock(self) -> None:
        self._stop_clock()
        self._clock = self.loop.call_later(self.settings.idle_seconds, self.transport.close)

    def _stop_clock(self) -> None:
        if self._clock:
            self._clock.cancel()
            self._clock = None

    def send_400_response(self, msg: str) -> None:
        self._refuse(errors.ParameterInvalid("The bytes are no HTTP/1.1 request; send one."), 400)

    def _refuse(self, error: errors.MaquetteError, status: int | None = None) -> None:
        """Answer and close, outside of any request."""
        request_id = telemetry.request_id(None)
        response = problem(error, request_id, status)
        response.headers.update({"x-request-id": request_id, "connection": "close"})
        lines = [f"HTTP/1.1 {response.status_code} ".encode(), *(name + b": " + value for name, value in response.raw_headers)]
        self.transport.write(b"\r\n".join([*lines, b"", bytes(response.body)]))
        self.transport.close()
