"""Budgets: who is let in, who waits, who is refused, and that all of it comes back."""

from __future__ import annotations

import asyncio

import pytest

from services.common import errors
from services.common.admission import Budget

FULL = "There is no room."


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_refuses_what_does_not_fit_and_takes_back_what_was_held() -> None:
    budget = Budget(100, FULL)
    with await budget.take(75):
        assert budget.used == 75
        with pytest.raises(errors.Overloaded, match="no room"):
            await budget.take(26)
        with await budget.take(10):
            assert budget.used == 85
    assert budget.used == 0


async def test_gives_back_after_an_exception() -> None:
    budget = Budget(8, FULL)
    with pytest.raises(ValueError, match="inside"), await budget.take(1):
        raise ValueError("inside")
    assert budget.used == 0


async def test_a_quarter_is_kept_for_single_small_demands() -> None:
    """Streams that take all they may leave room for one who asks for little."""
    budget = Budget(64, FULL)
    streams = [await budget.take(1, bulk=True) for _ in range(48)]
    with pytest.raises(errors.Overloaded):
        await budget.take(1, bulk=True)
    singles = [await budget.take(1) for _ in range(16)]
    with pytest.raises(errors.Overloaded):
        await budget.take(1)
    for lease in [*streams, *singles]:
        lease.release()
    assert budget.used == 0


async def test_a_large_demand_counts_as_bulk_and_leaves_room_for_small_ones() -> None:
    budget = Budget(64, FULL)
    with await budget.take(1000) as large:
        assert large.amount == 48, "more than there is to share is served alone"
        with pytest.raises(errors.Overloaded):
            await budget.take(9)
        with await budget.take(8):
            pass


async def test_streams_that_wait_do_not_bar_single_calls() -> None:
    budget = Budget(64, FULL)
    held = [await budget.take(48, bulk=True)]
    waiting = [asyncio.create_task(budget.take(1, bulk=True, wait=None)) for _ in range(20)]
    await settle()
    with await budget.take(1):
        pass
    held[0].release()
    for lease in await asyncio.gather(*waiting):
        lease.release()
    assert budget.used == 0


async def test_small_ones_pass_a_large_one_that_waits_but_not_for_ever() -> None:
    budget = Budget(64, FULL)
    first = await budget.take(24, bulk=True)
    large = asyncio.create_task(budget.take(40, bulk=True, wait=None))
    await settle()
    passed = 0
    for _ in range(1000):
        try:
            with await budget.take(4, bulk=True):
                passed += 1
        except errors.Overloaded:
            break
    assert 1 <= passed < 1000, "room is kept for the large one from some time on"
    assert not large.done()
    first.release()
    (await large).release()
    with await budget.take(4, bulk=True):
        assert budget.used == 4
    assert budget.used == 0


async def test_waiting_ends_after_its_time() -> None:
    budget = Budget(8, FULL)
    with await budget.take(6), pytest.raises(errors.Overloaded):
        await budget.take(6, wait=0.01)
    with await budget.take(6, wait=0.01):
        assert budget.used == 6
    assert budget.used == 0


async def test_one_who_leaves_while_waiting_lets_the_next_in() -> None:
    budget = Budget(16, FULL)
    first = await budget.take(2)
    rest = [await budget.take(2) for _ in range(7)]
    gone, next_ = (asyncio.create_task(budget.take(2, wait=None)) for _ in range(2))
    await settle()
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    first.release()
    async with asyncio.timeout(30):
        (await next_).release()
    for lease in rest:
        lease.release()
    assert budget.used == 0


async def test_one_who_leaves_as_the_turn_comes_gives_it_back() -> None:
    budget = Budget(1, FULL)
    first = await budget.take(1)
    waiting = asyncio.create_task(budget.take(1, wait=None))
    await settle()
    first.release()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert budget.used == 0


async def test_a_lease_follows_what_is_held() -> None:
    budget = Budget(64, FULL)
    with await budget.take(8) as lease:
        lease.resize(2)
        assert budget.used == 2
        lease.grow(20)
        assert budget.used == 22
        with pytest.raises(errors.Overloaded):
            lease.grow(50)
        lease.resize(100)  # what is in memory already counts, room or not
        with pytest.raises(errors.Overloaded):
            await budget.take(1)
    assert budget.used == 0


async def test_large_demands_that_wait_do_not_bar_one_who_cannot_say_how_much() -> None:
    """One at a time is let into the quarter, and the next as soon as the first knows."""
    budget = Budget(64, FULL)
    held = await budget.take(48, bulk=True)
    waiting = [asyncio.create_task(budget.take(48, bulk=True, wait=None)) for _ in range(20)]
    await settle()
    first = await budget.guess(48)
    assert first.amount == 8, "half of the quarter"
    second = asyncio.create_task(budget.guess(48, wait=None))
    await settle()
    assert not second.done()
    first.resize(1)
    with pytest.raises(errors.Overloaded):
        await budget.guess(48)
    with await budget.take(6):
        first.resize(0)
        (await second).release()
    for task in waiting:
        held.release()
        held = await task
    held.release()
    assert budget.used == 0


async def test_one_who_cannot_say_how_much_is_large_while_there_is_room() -> None:
    budget = Budget(64, FULL)
    with await budget.guess(24), await budget.guess(24), await budget.guess(24) as third:
        assert (budget.used, third.amount) == (56, 8)
        third.resize(30)
        assert budget.used == 78
    assert budget.used == 0
