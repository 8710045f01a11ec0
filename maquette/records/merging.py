"""Answers that are there already and answers asked for now, in the order of the photographs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from maquette.folders.photographs import Photograph
from maquette.records.records import Record

# Gives a record for each photograph, in order. It may take photographs from another thread, ahead of the records.
Ask = Callable[[Iterator[Photograph]], Iterator[Record]]


def merged(
    found: Iterable[Photograph],
    ask: Ask,
    known: Callable[[Photograph], str | None],
    reuse: Callable[[str, Photograph], Record],
) -> Iterator[Record]:
    """A record for each photograph, in order: ``reuse(key, photograph)`` where ``known`` gives a key, else what ``ask`` gives.

    ``known`` is called once for a photograph, when its turn comes; of those ahead, from the thread that ``ask`` takes them in.
    """
    rest = iter(found)
    for photograph in rest:
        if (key := known(photograph)) is None:
            rest = chain([photograph], rest)
            break
        yield reuse(key, photograph)
    planned: deque[tuple[Photograph, str | None]] = deque()

    def to_ask() -> Iterator[Photograph]:
        for photograph in rest:
            key = known(photograph)
            planned.append((photograph, key))
            if key is None:
                yield photograph

    def reused() -> Iterator[Record]:
        while planned and (key := planned[0][1]) is not None:
            yield reuse(key, planned.popleft()[0])

    for record in ask(to_ask()):
        yield from reused()
        planned.popleft()
        yield record
    yield from reused()
