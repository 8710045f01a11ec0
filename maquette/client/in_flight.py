"""The items of a bulk call that were read and are not yet answered, shared by two threads.

gRPC's sending thread takes items to send (:meth:`Window.sends`); the caller's thread takes them off as answers come.
Nothing else is held, so memory is bounded by the number and the bytes of the items in flight.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from maquette.client.images import Loaded


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """The ``index``-th image of the call."""

    index: int
    loaded: Loaded
    read_at: float = field(default_factory=time.monotonic)


class Window:
    """At most ``in_flight`` unanswered items and, but for a single larger one, ``max_bytes`` of them."""

    def __init__(self, source: Iterator[Loaded], in_flight: int, max_bytes: int) -> None:
        self._source = source
        self._in_flight = in_flight
        self._max_bytes = max_bytes
        self._changed = threading.Condition()
        self._pending: deque[Item] = (
            deque()
        )  # in order; items that failed on this side stand among them, to be answered in turn
        self._unsent: deque[Item] = deque()  # those of _pending that the present stream has yet to send
        self._sendable = 0
        self._bytes = 0
        self._read = 0
        self._reading = False
        self._exhausted = False
        self._failure: BaseException | None = None
        self._stream = 0  # 0: closed
        self._awaiting = False
        self._due_since, self._limit = time.monotonic(), 0.0

    def begin(self) -> int:
        """A new stream takes over: everything unanswered is to be sent again. Returns its number for :meth:`sends`."""
        with self._changed:
            self._stream += 1
            self._unsent = deque(item for item in self._pending if not item.loaded.error)
            self._changed.notify_all()
            return self._stream

    def close(self) -> None:
        """No more is sent; threads that wait here return."""
        with self._changed:
            self._stream = 0
            self._changed.notify_all()

    def sends(self, stream: int) -> Iterator[Item]:
        """Items for the stream of that number, waiting for room; ends when all are sent or another stream took over."""
        while (item := self._take(stream)) is not None:
            yield item

    def oldest(self) -> Item | None:
        """The item whose answer comes next, or None when no item is out."""
        with self._changed:
            return self._pending[0] if self._pending else None

    def answered(self) -> None:
        """The oldest item has its answer."""
        with self._changed:
            item = self._pending.popleft()
            if not item.loaded.error:
                self._sendable -= 1
                self._bytes -= len(item.loaded.data)
            if self._unsent and self._unsent[0] is item:
                self._unsent.popleft()
            self._changed.notify_all()

    @property
    def finished(self) -> bool:
        """Everything was read and answered. Raises what reading the source raised, once what came before is answered."""
        with self._changed:
            if self._pending or self._reading or not self._exhausted:
                return False
            if self._failure is not None:
                raise self._failure
            return True

    @property
    def all_sent(self) -> bool:
        """The source has ended and no item that was sent is without an answer."""
        with self._changed:
            return self._exhausted and not self._reading and not self._sendable

    def waiting_since(self) -> float:
        """The ``time.monotonic()`` at which the oldest unanswered item was read; now, when there is none."""
        with self._changed:
            return self._pending[0].read_at if self._pending else time.monotonic()

    @contextmanager
    def awaiting(self, seconds: float) -> Iterator[None]:
        """While the caller's thread waits for an answer, ``seconds`` at most; only then does :meth:`wait_stalled` count."""
        with self._changed:
            self._awaiting, self._due_since, self._limit = True, time.monotonic(), seconds
            self._changed.notify_all()
        try:
            yield
        finally:
            self._awaiting = False

    def wait_stalled(self, stream: int) -> bool:
        """Block until an awaited answer has been due for too long (True), or the stream is over (False)."""
        with self._changed:
            while self._stream == stream:
                waiting = self._awaiting and self._sendable
                left = self._due_since + self._limit - time.monotonic() if waiting else None
                if left is not None and left <= 0:
                    return True
                self._changed.wait(left)
        return False

    def _take(self, stream: int) -> Item | None:
        while True:
            with self._changed:
                while True:
                    if self._stream != stream:
                        return None
                    if self._unsent:
                        return self._unsent.popleft()
                    if self._exhausted and not self._reading:
                        return None
                    full = self._sendable >= self._in_flight or self._bytes >= self._max_bytes
                    if not self._reading and not full:
                        break
                    self._changed.wait()
                self._reading = True
            self._read_one()  # outside the lock: a slow disk must not keep answers from being taken off

    def _read_one(self) -> None:
        loaded, failure = None, None
        try:
            loaded = next(self._source, None)
        except BaseException as error:  # the caller's iterable; raised again in the caller's thread
            failure = error
        with self._changed:
            self._reading = False
            if loaded is None:
                self._exhausted, self._failure = True, failure
            else:
                item = Item(self._read, loaded)
                self._read += 1
                self._pending.append(item)
                if not loaded.error:
                    if not self._sendable:
                        self._due_since = time.monotonic()
                    self._unsent.append(item)
                    self._sendable += 1
                    self._bytes += len(loaded.data)
            self._changed.notify_all()
