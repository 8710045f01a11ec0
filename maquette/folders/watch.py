"""Photographs as they arrive in folders: each when it is whole, until the user has had enough."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from maquette.client.errors import FileFailed
from maquette.folders import photographs
from maquette.folders.photographs import Found

# Seconds that a file has to stay as it is to be taken for whole: cameras and copies write without pauses of this length.
SETTLED = 2.0

_State = tuple[int, int]  # bytes, and time of the last change in nanoseconds

_log = logging.getLogger("maquette.folders")


class Arrivals:
    """Batches of photographs that are new or have changed; the first batch holds what is there already.

    The folders are walked again and again, twice in ``settled`` seconds: network drives do not tell of changes. A file that is
    still being written is waited for until it has not changed for ``settled`` seconds. A folder that goes away is waited for.
    """

    def __init__(self, paths: Sequence[Path], stop: threading.Event, settled: float = SETTLED) -> None:
        self._paths, self._stop, self._settled = paths, stop, settled
        self._given: dict[Path, _State] = {}
        self._waiting: dict[Path, tuple[_State, float]] = {}
        self._first = True
        self._said = ""

    def wait(self, again: Iterable[Path] = ()) -> Found | None:
        """The next batch; the first one may be empty. None once ``stop`` is set. Those of ``again`` are given once more."""
        for path in again:
            self._given.pop(path, None)
        while not self._stop.is_set():
            if self._first or not self._stop.wait(max(0.05, self._settled / 2)):
                found = self._settled_ones()
                if found.photographs or self._first:
                    self._first = False
                    return found
        return None

    def _settled_ones(self) -> Found:
        try:
            found = photographs.find(self._paths)
        except FileFailed as error:  # a drive that is away for a while; the watch goes on
            if error.detail != self._said:
                _log.warning("%s Still watching.", error.detail)
            self._said = error.detail
            return Found()
        ready = Found(unread=found.unread, links=found.links)
        waiting: dict[Path, tuple[_State, float]] = {}
        for photograph in found.photographs:
            state = _state(photograph.path)
            if state is None or self._given.get(photograph.path) == state:
                continue
            now = time.monotonic()
            known, since = self._waiting.get(photograph.path, (None, now))
            if known != state:
                # What was there before us has been so since its last change; a copy may carry an older date, so not later.
                age = max(0.0, time.time() - state[1] / 1e9) if self._first else 0.0
                since = now - age
            if now - since >= self._settled:
                self._given[photograph.path] = state
                ready.photographs.append(photograph)
            else:
                waiting[photograph.path] = (state, since)
        self._waiting = waiting
        return ready


def _state(path: Path) -> _State | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C (or SIGTERM) sets; the second one interrupts as ever."""
    stop = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def ask(number: int, frame: FrameType | None) -> None:
        stop.set()
        restore()

    for number in before:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        restore()
