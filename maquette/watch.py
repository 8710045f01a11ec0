"""Photographs as they arrive in folders: each when it is whole, until the user has had enough."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import watchfiles

from maquette import photographs
from maquette.photographs import Photograph

# Seconds that a file has to stay as it is to be taken for whole: cameras and copies write without pauses of this length.
SETTLED = 2.0

_State = tuple[int, int]  # bytes, and time of the last change in nanoseconds


class Arrivals:
    """Iterates over batches of photographs that are new or have changed; the first holds what is there already.

    A file that is still being written is waited for until it has not changed for ``settled`` seconds. The folders are
    also walked in between without being told: network drives do not tell.
    """

    def __init__(self, paths: Sequence[Path], stop: threading.Event, settled: float = SETTLED) -> None:
        self._paths, self._stop, self._settled = paths, stop, settled
        self._given: dict[Path, _State] = {}
        self._waiting: dict[Path, tuple[_State, float]] = {}

    def __iter__(self) -> Iterator[list[Photograph]]:
        yield self._whole(first=True)
        changes = watchfiles.watch(
            *self._paths,
            watch_filter=None,
            debounce=100,
            rust_timeout=max(50, int(self._settled * 500)),
            yield_on_timeout=True,
            stop_event=self._stop,
            raise_interrupt=False,
            ignore_permission_denied=True,
        )
        for _ in changes:
            if self._stop.is_set():
                return
            if found := self._whole():
                yield found

    def again(self, path: Path) -> None:
        """Give this one once more."""
        self._given.pop(path, None)

    def _whole(self, *, first: bool = False) -> list[Photograph]:
        ready = []
        for photograph in photographs.find(self._paths):
            state = _state(photograph.path)
            if state is None or self._given.get(photograph.path) == state:
                continue
            now = time.monotonic()
            known, since = self._waiting.get(photograph.path, (None, now))
            if known != state:
                # What was there before us has been so since its last change; a copy may carry an older date, so not later.
                age = max(0.0, time.time() - state[1] / 1e9) if first else 0.0
                known, since = self._waiting[photograph.path] = (state, now - age)
            if now - since >= self._settled:
                del self._waiting[photograph.path]
                self._given[photograph.path] = state
                ready.append(photograph)
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
