"""Many photographs over one bidirectional stream at a time: in order, many in flight, resumed when the stream breaks.

A stream that breaks because the service is away, draining or full is opened anew, and the items whose answers had not
come are sent again; when none comes for as long as the client's patience lasts, that ends the call. A stream that breaks
otherwise may have broken on its oldest item, so that one is asked alone: it gets its answer or its error, and a new stream
goes on behind it. Asking again is safe, since no method of the services changes anything.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import grpc
import tenacity

from maquette import errors
from maquette.window import Item, Window

R = TypeVar("R")

_AGAIN = (errors.Unavailable, errors.Overloaded, errors.DeadlineExceeded)


def _retrying(patience: float, *kinds: type[errors.MaquetteError]) -> tenacity.Retrying:
    """Again after about 0.5, 1, 2, 4, 5, 5 ... s, as long as these waits make no more than ``patience`` seconds."""
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(kinds),
        stop=lambda state: state.idle_for + state.upcoming_sleep > patience,
        wait=tenacity.wait_exponential(multiplier=0.5, max=5) + tenacity.wait_random(0, 0.5),
        reraise=True,
    )


@dataclass(frozen=True, slots=True)
class Answer(Generic[R]):
    """The answer to the ``index``-th image of a bulk call: exactly one of ``response`` and ``error`` is set.

    ``path`` is None for an image given as bytes; ``sha256`` is of the bytes sent, empty when the file could not be read.
    """

    index: int
    path: Path | None
    sha256: str
    response: R | None = None
    error: errors.MaquetteError | None = None

    def result(self) -> R:
        """The response, or the error raised."""
        if self.response is None:
            raise self.error or errors.make("INTERNAL", "The service sent an empty answer.")
        return self.response


@dataclass(frozen=True)
class Calls:
    """What the stream needs of the service.

    ``timeout`` is in seconds, for the next answer; ``patience`` too, for a service that is away.
    """

    open: Callable[[Iterator[Item]], Any]
    alone: Callable[[bytes], Any]
    translate: Callable[[grpc.RpcError], errors.MaquetteError]
    request_id: str
    timeout: float
    patience: float


def answers(window: Window, calls: Calls) -> Iterator[Answer[Any]]:
    """Yield the answer to every item in order.

    Raises :class:`MaquetteError` when the service stays away, refuses the key or is another one.
    """
    stream: _Stream | None = None
    try:
        while not window.finished:
            stream, message = _retrying(calls.patience, *_AGAIN)(_open, window, calls)
            while message is not None:
                yield from _failed_here(window)
                yield _answer(window, calls, message)
                message = stream.next()
            yield from _failed_here(window)
            stream.close()
            if stream.broken is not None and not isinstance(stream.broken, _AGAIN):
                yield _ask_alone(window, calls, stream.broken)
    finally:
        window.close()
        if stream is not None:
            stream.close()


class _Stream:
    """One call of the streaming method, cancelled when an answer is due for longer than the timeout."""

    def __init__(self, window: Window, calls: Calls) -> None:
        self.broken: errors.MaquetteError | None = None
        self._window, self._calls = window, calls
        self._number = window.begin()
        self._stalled = False
        self._call = calls.open(window.sends(self._number))
        threading.Thread(target=self._watch, name="maquette-watch", daemon=True).start()

    def next(self) -> Any:
        """The next message, or None when the stream is over; ``broken`` then says why, unless it just ended."""
        try:
            with self._window.awaiting():
                message = next(self._call, None)
        except grpc.RpcError as error:
            if self._stalled:
                detail = f"No answer came for {self._calls.timeout:g} s."
                self.broken = errors.make("DEADLINE_EXCEEDED", detail, self._calls.request_id)
            else:
                self.broken = self._calls.translate(error)
            return None
        if message is not None and message.error.code == "NOT_READY":
            # The service is draining: it waits for this stream to end, and will not answer what is left of it.
            self.broken = errors.make("NOT_READY", message.error.detail, self._calls.request_id)
            return None
        return message

    def close(self) -> None:
        self._call.cancel()

    def _watch(self) -> None:
        if self._window.wait_stalled(self._number, self._calls.timeout):
            self._stalled = True
            self._call.cancel()


def _open(window: Window, calls: Calls) -> tuple[_Stream, Any]:
    """A stream and its first message; once that has come the attempts count anew."""
    stream = _Stream(window, calls)
    try:
        message = stream.next()
        if isinstance(stream.broken, _AGAIN):
            raise stream.broken
        if message is None and stream.broken is None and not window.all_sent:
            raise errors.make("UNREACHABLE", "The service closes the stream without an answer.", calls.request_id)
    except BaseException:
        stream.close()
        raise
    return stream, message


def _answer(window: Window, calls: Calls, message: Any) -> Answer[Any]:
    item = window.oldest()
    if item is None or message.id != str(item.index):
        raise errors.make("INTERNAL", "The service answered out of order.", calls.request_id)
    outcome = message.WhichOneof("outcome")
    if outcome == "error" and message.error.code == "OVERLOADED":
        return _ask_alone(window, calls, errors.make(message.error.code, message.error.detail, calls.request_id))
    if outcome == "error":
        return _take_off(window, item, error=errors.make(message.error.code, message.error.detail, calls.request_id))
    if outcome is None:
        return _take_off(window, item, error=errors.make("INTERNAL", "The service sent an empty answer.", calls.request_id))
    return _take_off(window, item, response=message.response)


def _ask_alone(window: Window, calls: Calls, reason: errors.MaquetteError) -> Answer[Any]:
    """The oldest item by the unary method, which gRPC retries; ``reason`` is raised when it is not the item's own."""
    item = window.oldest()
    if item is None or isinstance(reason, errors.Unauthenticated) or reason.code == "UNSUPPORTED":
        raise reason
    try:
        # An item that took too long when it was asked alone will do so again.
        retrying = _retrying(calls.patience, errors.Unavailable, errors.Overloaded)
        return _take_off(window, item, response=retrying(calls.alone, item.loaded.data))
    except (errors.Unauthenticated, errors.Unavailable):
        raise
    except errors.MaquetteError as error:
        return _take_off(window, item, error=error)


def _failed_here(window: Window) -> Iterator[Answer[Any]]:
    """The errors of the items that could not be read and whose turn it is."""
    while (item := window.oldest()) is not None and item.loaded.error is not None:
        yield _take_off(window, item, error=item.loaded.error)


def _take_off(window: Window, item: Item, response: Any = None, error: errors.MaquetteError | None = None) -> Answer[Any]:
    window.answered()
    return Answer(item.index, item.loaded.path, item.loaded.sha256, response, error)
