"""The one micro-batcher that both transports await.

Nothing waits for a batch to fill: a free lane takes its share of what is queued at that moment. A caller who goes away
cancels the future it awaits, and a cancelled item is dropped when its turn comes.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from services.common import errors, telemetry
from services.common.models import Tensors


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
                answers = [{name: values[index] for name, values in outputs.items()} for index in range(len(batch))]
            except asyncio.CancelledError:
                self._refuse(batch)
                raise
            except Exception as error:
                for item in batch:
                    if not item.answer.done():
                        item.answer.set_exception(error)
                continue
            for item, answer in zip(batch, answers, strict=True):
                if not item.answer.done():
                    item.answer.set_result(answer)

    def _take(self, count: int) -> list[_Item]:
        """Up to ``count`` items whose callers still wait."""
        taken: list[_Item] = []
        while self._queue and len(taken) < count:
            item = self._queue.popleft()
            telemetry.QUEUE_LENGTH.dec()
            if not item.answer.done():
                taken.append(item)
        return taken
