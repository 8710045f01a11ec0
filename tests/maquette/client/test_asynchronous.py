"""The client for asyncio asks as the other does."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path

import pytest

import maquette
from maquette import AsyncClient, Client
from tests.maquette.conftest import photograph
from tests.maquette.server import VERSION, Server


async def test_questions_side_by_side(server: Server, folder: Path) -> None:
    async with AsyncClient(server.address, key="secret") as client:
        one, other, model = await asyncio.gather(
            client.classify(folder / "a.jpg", top_k=2), client.embed(photograph(0)), client.model("classify")
        )
        assert (one.predictions[0].label, len(one.predictions)) == ("dark", 2)
        assert other.model_version == model.version == VERSION
        with pytest.raises(maquette.ImageRejected):
            await client.classify(b"not an image")
    assert {seen["x-api-key"] for seen in server.seen.metadata} == {"secret"}


async def test_many_in_order_and_no_longer_than_wanted(server: Server) -> None:
    async with AsyncClient(server.address) as client:
        levels = [
            answer.result().predictions[0].label async for answer in client.classify_many([photograph(n) for n in (0, 255)])
        ]
        assert levels == ["dark", "bright"]
        answers = client.classify_many(photograph(0) for _ in range(10_000))
        assert (await anext(answers)).response is not None
        await answers.aclose()  # type: ignore[attr-defined]
    assert len(server.seen.items) < 100


def test_every_question_of_the_client_is_there() -> None:
    questions = {name for name, _ in inspect.getmembers(Client, inspect.isfunction) if not name.startswith("_")}
    assert questions - {"address"} <= set(vars(AsyncClient))
