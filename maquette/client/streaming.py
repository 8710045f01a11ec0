"""Many photographs over one bidirectional stream at a time: in order, many in flight, resumed when the stream breaks.

A stream that breaks because the service is away, draining, full or silent is opened anew, and the items that have no answer
yet are sent again; when no answer comes until the budget of ``retry.py`` is spent, the call ends with that error. A stream that
breaks otherwise may have broken on its oldest item. That item is then asked alone by the unary method and gets its answer or
its error, and a new stream goes on with the next item. Asking again is safe: no method of the services changes anything.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import grpc

from maquette.client import errors
from maquette.client.in_flight import Item, Window
from maquette.client.retry import AWAY, Budget

R = TypeVar("R")

_AGAIN = (*AWAY, errors.DeadlineExceeded)


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
    """What the stream needs of the service: ``open`` begins a stream, ``alone`` asks the unary method, with retries.

    ``budget`` is the time that the next answer may take.
    """

    open: Callable[[Iterator[Item]], Any]
    alone: Callable[[bytes], Any]
    translate: Callable[[grpc.RpcError], errors.MaquetteError]
    request_id: str
    budget: Budget


def answers(window: Window, calls: Calls) -> Iterator[Answer[Any]]:
    """Yield the answer to every item in order.

    Raises :class:`MaquetteError` when the service stays away, refuses the key or is another one.
    """
    stream: _Stream | None = None
    calls.budget.restart()
    try:
        while not window.finished:
            # What a broken stream has waited for its next answer counts: the budget began when that was asked for.
            stream, message = calls.budget.retrying(*_AGAIN)(_open, window, calls)
            while message is not None:
                yield from _unreadable(window)
                yield _answer(window, calls, message)
                calls.budget.restart()
                message = stream.next()
            yield from _unreadable(window)
            stream.close()
            if stream.broken is not None and not isinstance(stream.broken, _AGAIN):
                yield _ask_alone(window, calls, stream.broken)
                calls.budget.restart()
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
        self._seconds = 0.0
        self._stalled = False
        self._call = calls.open(window.sends(self._number))
        threading.Thread(target=self._watch, name="maquette-watch", daemon=True).start()

    def next(self) -> Any:
        """The next message, or None when the stream is over; ``broken`` then says why, unless it just ended."""
        try:
            self._seconds = self._calls.budget.attempt
            with self._window.awaiting(self._seconds):
                message = next(self._call, None)
        except grpc.RpcError as error:
            if self._stalled:
                detail = f"No answer came for {self._seconds:.3g} s."
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
        if self._window.wait_stalled(self._number):
            self._stalled = True
            self._call.cancel()


def _open(window: Window, calls: Calls) -> tuple[_Stream, Any]:
    """A stream and its first message, or None where it ended without one."""
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
    """The oldest item by the unary method; ``reason`` is raised when it is not the item's own."""
    item = window.oldest()
    if item is None or isinstance(reason, errors.Unauthenticated) or reason.code == "UNSUPPORTED":
        raise reason
    try:
        return _take_off(window, item, response=calls.alone(item.loaded.data))
    except (errors.Unauthenticated, errors.Unavailable):
        raise
    except errors.MaquetteError as error:
        return _take_off(window, item, error=error)


def _unreadable(window: Window) -> Iterator[Answer[Any]]:
    """The errors of the items that could not be read and whose turn it is."""
    while (item := window.oldest()) is not None and item.loaded.error is not None:
        yield _take_off(window, item, error=item.loaded.error)


def _take_off(window: Window, item: Item, response: Any = None, error: errors.MaquetteError | None = None) -> Answer[Any]:
    window.answered()
    return Answer(item.index, item.loaded.path, item.loaded.sha256, response, error)
