"""The one micro-batcher that both transports await, and the budget of decoded pixels before it.

Nothing waits for a batch to fill: a free lane takes its share of what is queued at that moment. A caller who goes away
cancels the future it awaits, and a cancelled item is dropped when its turn comes.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from services.common import errors, telemetry

Tensors = dict[str, npt.NDArray[Any]]


@dataclass(slots=True)
class _Item:
    values: npt.NDArray[Any]
    answer: asyncio.Future[Tensors]
    queued_at: float = field(default_factory=time.perf_counter)


class Batcher:
    """Runs ``run`` (array [batch, ...] -> arrays, batch first) on up to ``lanes`` threads at once."""

    def __init__(self, run: Callable[[npt.NDArray[Any]], Tensors], *, lanes: int, max_batch: int) -> None:
        self._run, self._lanes, self._max_batch = run, lanes, max_batch
        self._queue: deque[_Item] = deque()
        self._wake = asyncio.Semaphore(0)
        self._threads = ThreadPoolExecutor(lanes, thread_name_prefix="model")
        self._tasks = [asyncio.create_task(self._work()) for _ in range(lanes)]

    async def submit(self, values: npt.NDArray[Any]) -> Tensors:
        """An array without the batch axis, such as uint8 [h, w, 3] -> the graph's outputs for it, likewise."""
        item = _Item(values, asyncio.get_running_loop().create_future())
        self._queue.append(item)
        telemetry.QUEUE_LENGTH.inc()
        self._wake.release()
        return await item.answer

    async def stop(self) -> None:
        """End the lanes; what is queued or being run is refused with ``NotReady``."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._refuse(self._take(len(self._queue)))
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _refuse(self, items: list[_Item]) -> None:
        for item in items:
            if not item.answer.done():
                item.answer.set_exception(errors.NotReady("The service is shutting down; try again on another replica."))

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.acquire()
            # A fair share: one lane that took everything would leave the others idle.
            batch = self._take(min(self._max_batch, -(-len(self._queue) // self._lanes)))
            if not batch:
                continue
            started = time.perf_counter()
            for item in batch:
                telemetry.QUEUE_SECONDS.observe(started - item.queued_at)
            telemetry.BATCH_SIZE.observe(len(batch))
            try:
                outputs = await loop.run_in_executor(self._threads, self._run, np.stack([item.values for item in batch]))
            except asyncio.CancelledError:
                self._refuse(batch)
                raise
            except Exception as error:
                for item in batch:
                    if not item.answer.done():
                        item.answer.set_exception(error)
                continue
            for index, item in enumerate(batch):
                if not item.answer.done():
                    item.answer.set_result({name: values[index] for name, values in outputs.items()})

    def _take(self, count: int) -> list[_Item]:
        """Up to ``count`` items whose callers still wait."""
        taken: list[_Item] = []
        while self._queue and len(taken) < count:
            item = self._queue.popleft()
            telemetry.QUEUE_LENGTH.dec()
            if not item.answer.done():
                taken.append(item)
        return taken


class Budget:
    """A counted resource, handed out in order of asking. One demand above the total is let through alone."""

    def __init__(self, total: int, sentence: str) -> None:
        self._total, self._sentence = total, sentence
        self._used = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def used(self) -> int:
        return self._used

    def require(self, amount: int) -> None:
        """Raises ``Overloaded`` when ``amount`` is not free at this moment."""
        if self._waiting or self._used + min(amount, self._total) > self._total:
            raise errors.Overloaded(self._sentence)

    @asynccontextmanager
    async def hold(self, amount: int, *, wait: bool) -> AsyncIterator[None]:
        """Hold ``amount`` for the block. When it is not free: wait for it, or raise ``Overloaded``."""
        amount = min(amount, self._total)
        if self._waiting or self._used + amount > self._total:
            if not wait:
                self.require(amount)
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((amount, turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._release(amount)
                else:
                    with suppress(ValueError):
                        self._waiting.remove((amount, turn))
                    self._hand_out()
                raise
        else:
            self._used += amount
        try:
            yield
        finally:
            self._release(amount)

    def _release(self, amount: int) -> None:
        self._used -= amount
        self._hand_out()

    def _hand_out(self) -> None:
        while self._waiting and self._used + self._waiting[0][0] <= self._total:
            amount, turn = self._waiting.popleft()
            if not turn.done():
                self._used += amount
                turn.set_result(None)
