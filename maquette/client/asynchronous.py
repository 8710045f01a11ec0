"""The client for asyncio: every method is made from that of :class:`Client`, and runs in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import wraps
from itertools import islice
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from maquette.client.client import Client

P = ParamSpec("P")
R = TypeVar("R")


def _awaited(method: Callable[Concatenate[Client, P], R]) -> Callable[Concatenate[AsyncClient, P], Awaitable[R]]:
    @wraps(method)
    async def call(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await asyncio.to_thread(method, self.client, *args, **kwargs)

    return call


def _iterated(method: Callable[Concatenate[Client, P], Iterator[R]]) -> Callable[Concatenate[AsyncClient, P], AsyncIterator[R]]:
    @wraps(method)
    async def call(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[R]:
        answers: Any = method(self.client, *args, **kwargs)
        try:
            while found := await asyncio.to_thread(lambda: list(islice(answers, 1))):
                yield found[0]
        finally:
            answers.close()

    return call


class AsyncClient:
    """:class:`Client` with the same arguments, for ``async with``; answers are awaited, the ``*_many`` methods ``async for``.

    ``client`` is the client it asks through.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.client = Client(*args, **kwargs)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    close = _awaited(Client.close)
    classify = _awaited(Client.classify)
    assign = _awaited(Client.assign)
    embed = _awaited(Client.embed)
    adapt = _awaited(Client.adapt)
    remove_background = _awaited(Client.remove_background)
    model = _awaited(Client.model)
    clusters = _awaited(Client.clusters)
    space = _awaited(Client.space)
    decode = _awaited(Client.decode)
    classify_many = _iterated(Client.classify_many)
    assign_many = _iterated(Client.assign_many)
    embed_many = _iterated(Client.embed_many)
    remove_background_many = _iterated(Client.remove_background_many)
