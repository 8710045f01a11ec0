"""Many items answered in their order, a bounded number at work: streams over gRPC, batches over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import TypeVar

from services.common import errors, telemetry

# Characters of a caller's own id of an item.
LONGEST_ID = 256

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


async def in_order(
    items: AsyncIterator[Item], answer: Callable[[Item], Awaitable[Outcome]], window: int
) -> AsyncGenerator[tuple[Item, Outcome | errors.MaquetteError], None]:
    """Each item with its answer or its error, in order. At most ``window`` items are read and not yet handed on."""

    async def outcome(item: Item) -> Outcome | errors.MaquetteError:
        try:
            return await answer(item)
        except errors.MaquetteError as error:
            # Its frames would hold the photograph for as long as the answer waits for its turn.
            error.__traceback__ = error.__context__ = error.__cause__ = None
            return error
        except Exception:
            telemetry.failed()
            return errors.Internal()

    at_work: asyncio.Queue[tuple[Item, asyncio.Task[Outcome | errors.MaquetteError]] | None] = asyncio.Queue()
    room = asyncio.Semaphore(window)

    async def read() -> None:
        try:
            while True:
                await room.acquire()
                item = await anext(items)
                at_work.put_nowait((item, asyncio.create_task(outcome(item))))
        except StopAsyncIteration:
            pass
        finally:
            at_work.put_nowait(None)

    reader = asyncio.create_task(read())
    task: asyncio.Task[Outcome | errors.MaquetteError] | None = None
    try:
        while (head := await at_work.get()) is not None:
            item, task = head
            yield item, await task
            room.release()
        await reader
    finally:
        left = [reader, *([task] if task else [])]
        while not at_work.empty():
            if (head := at_work.get_nowait()) is not None:
                left.append(head[1])
        for each in left:
            each.cancel()
        # What they hold is given back only when they have ended.
        await asyncio.gather(*left, return_exceptions=True)
