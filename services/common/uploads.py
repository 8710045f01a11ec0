"""Many photographs in one multipart body, answered in order while the answer is sent.

They wait in the form's spool file and a bounded number of them is at work, so memory does not grow with their count; all of
them together keep to the size limit of one request.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, TypeVar

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from services.common import errors, telemetry
from services.common.batching import Budget
from services.common.runtime import Runtime

FIELD = "images"
MOST = 1000
# Each holds up to MAQUETTE_MAX_MEBIBYTES in its spool file while it is answered.
_AT_WORK = Budget(4, "Too many batches are at work; try again after a pause.")
_BINARY = {"type": "string", "format": "binary"}
BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": [FIELD],
                "properties": {
                    FIELD: {"type": "array", "items": _BINARY, "description": "files; their names may have sub-folders"}
                },
            }
        }
    },
}

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


async def respond(
    runtime: Runtime[Any, Any, Any],
    request: Request,
    begin: Callable[[list[UploadFile]], tuple[AsyncIterator[bytes], str, dict[str, str]]],
) -> Response:
    """Read the files, then stream ``begin(files)``: content, media type and headers. Raises any of the domain errors."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(_AT_WORK.hold(1, wait=False))
        runtime.require_ready()
        try:
            # A batch that is never sent to its end would hold its place for ever.
            async with runtime.in_time():
                form = await request.form(max_files=MOST, max_fields=0)
        except HTTPException:
            raise errors.ImageMissing(f"Send multipart with 1 to {MOST} files in `{FIELD}`, and nothing else.") from None
        stack.push_async_callback(form.close)
        uploads = [upload for upload in form.getlist(FIELD) if isinstance(upload, UploadFile)]
        if not uploads:
            raise errors.ImageMissing(f"Send photographs as files in the multipart field `{FIELD}`.")
        content, media_type, headers = begin(uploads)
        return _Held(stack.pop_all(), content, media_type, headers)


class _Held(StreamingResponse):
    """Holds the spool file and its place until it is sent, or the caller has gone."""

    def __init__(self, stack: AsyncExitStack, content: AsyncIterator[bytes], media_type: str, headers: dict[str, str]) -> None:
        super().__init__(content, media_type=media_type, headers=headers)
        self._stack = stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._stack:
            await super().__call__(scope, receive, send)


async def in_order(
    items: Sequence[Item], answer: Callable[[Item], Awaitable[Outcome]], window: int
) -> AsyncGenerator[tuple[Item, Outcome | errors.MaquetteError], None]:
    """Each item with its answer or its error, in order, at most ``window`` at work."""

    async def outcome(item: Item) -> Outcome | errors.MaquetteError:
        try:
            return await answer(item)
        except errors.MaquetteError as error:
            return error
        except Exception:
            telemetry.LOG.error("failed", extra={"request_id": telemetry.current().request_id}, exc_info=True)
            return errors.Internal()

    waiting = deque(items)
    at_work: deque[tuple[Item, asyncio.Task[Outcome | errors.MaquetteError]]] = deque()
    try:
        while waiting or at_work:
            while waiting and len(at_work) < window:
                item = waiting.popleft()
                at_work.append((item, asyncio.create_task(outcome(item))))
            item, task = at_work[0]
            result = await task
            at_work.popleft()
            yield item, result
    finally:
        for _, task in at_work:
            task.cancel()
