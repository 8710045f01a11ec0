"""The batcher keeps order and drops who left; the budget hands out in turn."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable

import numpy as np
import pytest

from services.common import errors
from services.common.batching import Batcher, Tensors


class Model:
    """Doubles the first pixel; ``gate`` closed makes runs wait, so that a queue forms."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.batches: list[list[int]] = []
        self.running, self.most_at_once = 0, 0
        self._lock = threading.Lock()

    def __call__(self, batch: np.ndarray) -> Tensors:
        values = batch[:, 0, 0, 0].astype(int)
        with self._lock:
            self.batches.append(values.tolist())
            self.running += 1
            self.most_at_once = max(self.most_at_once, self.running)
        assert self.gate.wait(30)
        with self._lock:
            self.running -= 1
        if (values == 66).any():
            raise RuntimeError("the graph failed")
        return {"double": 2 * values, "pair": np.stack([values, values], 1)}


def item(value: int) -> np.ndarray:
    return np.full((2, 2, 3), value, np.uint8)


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
async def make(model: Model) -> AsyncIterator[Callable[..., Batcher]]:
    made: list[Batcher] = []

    def batcher(lanes: int = 1, max_batch: int = 8) -> Batcher:
        made.append(Batcher(model, lanes=lanes, max_batch=max_batch))
        return made[-1]

    yield batcher
    model.gate.set()
    for one in made:
        await one.stop()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 - what it waits for happens on a thread
            await asyncio.sleep(0.001)


async def test_each_gets_its_own_answer(make: Callable[..., Batcher]) -> None:
    batcher = make(lanes=2)
    answers = await asyncio.gather(*(batcher.submit(item(value)) for value in range(50)))
    assert [int(answer["double"]) for answer in answers] == [2 * value for value in range(50)]
    assert answers[7]["pair"].tolist() == [7, 7]


async def test_nothing_waits_for_a_batch_to_fill(model: Model, make: Callable[..., Batcher]) -> None:
    await make(max_batch=8).submit(item(1))
    assert model.batches == [[1]]


async def test_what_queued_meanwhile_is_one_batch_in_order(model: Model, make: Callable[..., Batcher]) -> None:
    batcher = make(max_batch=4)
    model.gate.clear()
    tasks = [asyncio.create_task(batcher.submit(item(0)))]
    await until(lambda: model.running == 1)
    tasks += [asyncio.create_task(batcher.submit(item(value))) for value in range(1, 7)]
    await asyncio.sleep(0)
    model.gate.set()
    await asyncio.gather(*tasks)
    assert model.batches == [[0], [1, 2, 3, 4], [5, 6]]


async def test_lanes_share_the_queue_fairly(model: Model, make: Callable[..., Batcher]) -> None:
    batcher = make(lanes=2, max_batch=8)
    model.gate.clear()
    tasks = [asyncio.create_task(batcher.submit(item(value))) for value in range(8)]
    await until(lambda: model.running == 2)
    model.gate.set()
    await asyncio.gather(*tasks)
    assert model.batches[0] == [0, 1, 2, 3]
    assert len(model.batches[1]) == 2
    assert sorted(value for batch in model.batches for value in batch) == list(range(8))
    assert model.most_at_once == 2


async def test_who_left_is_never_run(model: Model, make: Callable[..., Batcher]) -> None:
    batcher = make(max_batch=8)
    model.gate.clear()
    first = asyncio.create_task(batcher.submit(item(0)))
    await until(lambda: model.running == 1)
    others = [asyncio.create_task(batcher.submit(item(value))) for value in (1, 2, 3)]
    await asyncio.sleep(0)
    others[1].cancel()
    await asyncio.gather(others[1], return_exceptions=True)
    model.gate.set()
    answers = await asyncio.gather(first, others[0], others[2])
    assert [int(answer["double"]) for answer in answers] == [0, 2, 6]
    assert model.batches == [[0], [1, 3]]


async def test_a_queue_of_those_who_left_runs_nothing(model: Model, make: Callable[..., Batcher]) -> None:
    batcher = make()
    model.gate.clear()
    first = asyncio.create_task(batcher.submit(item(0)))
    await until(lambda: model.running == 1)
    others = [asyncio.create_task(batcher.submit(item(value))) for value in (1, 2)]
    await asyncio.sleep(0)
    for other in others:
        other.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    model.gate.set()
    await first
    assert int((await batcher.submit(item(9)))["double"]) == 18
    assert model.batches == [[0], [9]]


async def test_leaving_while_the_model_runs_does_not_disturb_the_others(model: Model, make: Callable[..., Batcher]) -> None:
    batcher = make()
    model.gate.clear()
    first = asyncio.create_task(batcher.submit(item(0)))
    await until(lambda: model.running == 1)
    pair = [asyncio.create_task(batcher.submit(item(value))) for value in (1, 2)]
    await asyncio.sleep(0)
    model.gate.set()
    await until(lambda: len(model.batches) == 2)
    pair[0].cancel()
    assert int((await pair[1])["double"]) == 4
    await first


async def test_a_failure_reaches_its_callers_and_the_lane_lives_on(make: Callable[..., Batcher]) -> None:
    batcher = make()
    with pytest.raises(RuntimeError, match="the graph failed"):
        await batcher.submit(item(66))
    assert int((await batcher.submit(item(2)))["double"]) == 4


async def test_items_of_two_sizes_fail_their_batch_and_not_the_lane(model: Model, make: Callable[..., Batcher]) -> None:
    """Cannot happen by way of a manifest; if it did, nobody may be left waiting for ever."""
    batcher = make()
    model.gate.clear()
    first = asyncio.create_task(batcher.submit(item(0)))
    await until(lambda: model.running == 1)
    odd = [asyncio.create_task(batcher.submit(pixels)) for pixels in (item(1), np.zeros((3, 3, 3), np.uint8))]
    await asyncio.sleep(0)
    model.gate.set()
    await first
    async with asyncio.timeout(30):
        results = await asyncio.gather(*odd, return_exceptions=True)
    assert all(isinstance(result, ValueError) for result in results)
    assert int((await batcher.submit(item(5)))["double"]) == 10


async def test_stop_refuses_what_is_queued(model: Model) -> None:
    batcher = Batcher(model, lanes=1, max_batch=1)
    model.gate.clear()
    first = asyncio.create_task(batcher.submit(item(0)))
    await until(lambda: model.running == 1)
    second = asyncio.create_task(batcher.submit(item(1)))
    await asyncio.sleep(0)
    await batcher.stop()
    model.gate.set()
    async with asyncio.timeout(30):
        results = await asyncio.gather(first, second, return_exceptions=True)
    assert all(isinstance(result, errors.NotReady) for result in results)
    assert model.batches == [[0]]
