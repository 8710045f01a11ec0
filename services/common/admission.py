"""What one process has to give, counted: bytes of messages, decoded pixels, calls. Both transports take from the same.

A quarter of each is kept for single calls that need little. Streams, batches and large demands share the other three
quarters, so that nobody who asks for much, or often, keeps out who asks for one photograph. Who cannot say how much it needs
is one of the large while there is room for them; else one such caller at a time is let into the quarter.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from services.common import errors

# A demand above this share of the total is a large one.
_LARGE = 1 / 8
_KEPT = 1 / 4
# A large demand is passed over by this many smaller ones that fit; then room is kept until it fits itself.
_PASSES = 32


class Budget:
    """``total`` of something. ``sentence`` tells a caller who is refused what to do; ``gauge`` shows how much is in use."""

    def __init__(self, total: int, sentence: str, *, gauge: Any = None) -> None:
        self._total, self._shared = total, total - int(total * _KEPT)
        self._sentence, self._gauge = sentence, gauge
        self._used = {True: 0, False: 0}
        self._queues: dict[bool, deque[_Demand]] = {False: deque(), True: deque()}
        # Those who cannot say how much they need, and how many of them hold room of the quarter.
        self._unknown: deque[_Demand] = deque()
        self._guesses = 0

    @property
    def used(self) -> int:
        return sum(self._used.values())

    async def take(self, amount: int, *, bulk: bool = False, wait: float | None = 0.0) -> Lease:
        """A lease of ``amount``, or of all there is to have where it is more than that: such a demand is served alone.

        ``bulk``: for a stream or a batch. ``wait``: seconds to wait for room, None without end. Raises ``Overloaded``.
        """
        bulk = bulk or amount > self._total * _LARGE
        amount = min(amount, self._shared if bulk else self._total)
        return await self._granted(_Demand(Lease(self, amount, bulk)), self._queues[bulk], wait)

    async def guess(self, most: int, *, wait: float | None = 0.0) -> Lease:
        """For who needs at most ``most`` and says later how much (:meth:`Lease.resize`). Raises ``Overloaded``."""
        return await self._granted(_Demand(Lease(self, min(most, self._shared), bulk=True)), self._unknown, wait)

    async def _granted(self, demand: _Demand, queue: deque[_Demand], wait: float | None) -> Lease:
        queue.append(demand)
        self._hand_out()
        if not demand.granted.done():
            try:
                if wait == 0:
                    raise TimeoutError
                async with asyncio.timeout(wait):
                    await demand.granted
            except TimeoutError:
                if not demand.granted.done() or demand.granted.cancelled():
                    raise errors.Overloaded(self._sentence) from None
            except asyncio.CancelledError:
                if demand.granted.done() and not demand.granted.cancelled():
                    demand.lease.release()
                raise
            finally:
                if demand in queue:
                    queue.remove(demand)
                    self._hand_out()
        return demand.lease

    def require(self, amount: int) -> None:
        """Raises ``Overloaded`` when ``amount`` is not free at this moment: for whoever takes it later."""
        if self.used + amount > self._total:
            raise errors.Overloaded(self._sentence)

    def _fits(self, amount: int, bulk: bool) -> bool:
        if self.used + amount > self._total:
            return False
        if bulk:
            return self._used[True] + amount <= self._shared
        due = any(demand.passed >= _PASSES for demand in self._queues[True])
        return not due or self._used[False] + amount <= self._total - self._shared

    def _change(self, amount: int, bulk: bool) -> None:
        self._used[bulk] += amount
        if self._gauge is not None:
            self._gauge.inc(amount)

    def _hand_out(self) -> None:
        while self._unknown and self._fits_as_guess(self._unknown[0].lease):
            self._grant(self._unknown.popleft())
        for bulk, queue in self._queues.items():
            passed_over: list[_Demand] = []
            for demand in list(queue):
                if self._fits(demand.lease.amount, bulk):
                    queue.remove(demand)
                    if self._grant(demand):
                        for other in passed_over:
                            other.passed += 1
                elif not bulk or demand.passed >= _PASSES:
                    break
                else:
                    passed_over.append(demand)

    def _grant(self, demand: _Demand) -> bool:
        if demand.granted.done():  # its caller has gone
            return False
        self._guesses += demand.lease.guessed
        self._change(demand.lease.amount, demand.lease.bulk)
        demand.granted.set_result(None)
        return True

    def _fits_as_guess(self, lease: Lease) -> bool:
        """Whether there is room among the large, or in the quarter: for one at a time, in half of it, so that it need not wait
        until nobody small is there.
        """
        waiting = self._queues[True]
        if not (waiting and waiting[0].passed >= _PASSES) and self._fits(lease.amount, bulk=True):
            return True
        amount = min(lease.amount, (self._total - self._shared) // 2)
        if self._guesses or not self._fits(amount, bulk=False):
            return False
        lease.amount, lease.bulk, lease.guessed = amount, False, True
        return True


class Lease:
    """What was taken, until :meth:`release`, or the end of the block, gives it back. Released by who holds the thing itself."""

    def __init__(self, budget: Budget, amount: int, bulk: bool) -> None:
        self._budget, self.amount, self.bulk = budget, amount, bulk
        self.guessed = False

    def resize(self, amount: int) -> None:
        """Hold ``amount`` from now on, whether there is room or not: for what is in memory already."""
        change, self.amount = amount - self.amount, amount
        guessed, self.guessed = self.guessed, False
        self._budget._guesses -= guessed
        self._budget._change(change, self.bulk)
        if change < 0 or guessed:
            self._budget._hand_out()

    def grow(self, amount: int) -> None:
        """Hold ``amount`` more. Raises ``Overloaded`` when there is no room."""
        if not self._budget._fits(amount, self.bulk):
            raise errors.Overloaded(self._budget._sentence)
        self.resize(self.amount + amount)

    def release(self) -> None:
        self.resize(0)

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()


@dataclass(eq=False, slots=True)
class _Demand:
    lease: Lease
    granted: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    passed: int = 0
