"""Many photographs in one request: each is answered as it arrives, the answers are sent in order while the rest is at work.

Over HTTP a caller may send everything first and read then. So answers wait in memory, up to the bytes of one photograph, and
only then is reading held back: who reads while sending may send without end.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any

from google.protobuf.message import Message
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from services.common import bodies, errors, forms, http, telemetry
from services.common.admission import Lease
from services.common.in_order import in_order
from services.common.runtime import Runtime

LINES = "application/x-ndjson"
# A photograph's place in the request, the photograph, its answer or its error. The last is None where the batch breaks off.
Row = tuple[int, forms.File | None, Message | errors.MaquetteError]
Rows = AsyncGenerator[Row, None]
Writer = Callable[[Rows], AsyncGenerator[bytes, None]]


async def rows(
    runtime: Runtime[Any, Any, Any],
    files: bodies.Files,
    answer: Callable[[forms.File], Awaitable[Message]],
) -> Rows:
    """Each file's row, in order, a bounded number at work. What ends the batch before its time is the last row's error.

    A file's bytes are let go of when it is answered, and the room of its answer when the next row is asked for.
    """
    held: deque[Lease] = deque()

    async def arriving() -> AsyncIterator[forms.File]:
        async for file in files:
            held.append(file.lease)
            yield file

    async def one(file: forms.File) -> Message:
        size = 0
        try:
            if file.error:
                raise file.error
            if file.field != forms.FILES:
                raise bodies.astray(file, forms.FILES)
            async with runtime.place(bulk=True):
                message = await answer(file)
            if file.id is not None:
                message.id = file.id  # type: ignore[attr-defined]
            size = message.ByteSize()
            return message
        finally:
            file.data = b""
            file.lease.resize(size)

    index = 0
    try:
        async with aclosing(in_order(arriving(), one, runtime.settings.stream_window)) as outcomes:
            async for file, outcome in outcomes:
                yield index, file, outcome
                index += 1
                held.popleft().release()
    except errors.MaquetteError as error:
        telemetry.current().code = error.code
        yield index, None, error
    finally:
        await files.aclose()
        for lease in held:
            lease.release()


async def lines(answers: Rows) -> AsyncGenerator[bytes, None]:
    """A JSON object a line."""
    async with aclosing(answers):
        async for row in answers:
            yield json.dumps(as_line(*row)).encode() + b"\n"


async def array(answers: Rows) -> AsyncGenerator[bytes, None]:
    """The same lines as one JSON array, for programs that parse an answer as a whole."""
    before = b"[\n"
    async with aclosing(answers):
        async for row in answers:
            yield before + json.dumps(as_line(*row)).encode()
            before = b",\n"
    yield b"\n]\n"


def as_line(index: int, file: forms.File | None, outcome: Message | errors.MaquetteError) -> dict[str, Any]:
    """A row under the names of the document: the file's place, name and id, and the fields of its answer, or its error."""
    line: dict[str, Any] = {"index": index, "file": file.name} if file else {}
    if file and file.id is not None:
        line["id"] = file.id
    if isinstance(outcome, errors.MaquetteError):
        return line | {"error": http.problem_body(outcome, telemetry.current().request_id)}
    return line | http.as_dict(outcome)


class Streamed(Response):
    """Sends ``content`` while it is made and while the request still arrives, which Starlette's own does not.

    ``place`` is released at the end.
    """

    def __init__(
        self,
        runtime: Runtime[Any, Any, Any],
        content: AsyncGenerator[bytes, None],
        media_type: str,
        place: asyncio.Semaphore,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status_code, self.background, self.media_type = 200, None, media_type
        self.init_headers(headers)
        self._runtime, self._content, self._place = runtime, content, place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        waiting: asyncio.Queue[bytes | None] = asyncio.Queue()
        lease, room = Lease(self._runtime.bytes, 0, True), asyncio.Event()
        most = self._runtime.settings.limits.max_bytes

        async def collect() -> None:
            try:
                async with aclosing(self._content) as content:
                    async for piece in content:
                        lease.resize(lease.amount + len(piece))
                        waiting.put_nowait(piece)
                        while lease.amount > most:
                            room.clear()
                            await room.wait()
            finally:
                waiting.put_nowait(None)

        collecting = asyncio.create_task(collect())
        try:
            await asyncio.sleep(0)  # it has begun: only then does its end give back what the photographs hold
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            while (piece := await waiting.get()) is not None:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                lease.resize(lease.amount - len(piece))
                room.set()
            await collecting
            await send({"type": "http.response.body", "body": b""})
        finally:
            collecting.cancel()
            try:
                await asyncio.gather(collecting, return_exceptions=True)
            finally:  # a caller who hangs up cancels that too
                lease.release()
                self._place.release()
