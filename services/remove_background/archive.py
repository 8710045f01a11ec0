"""``POST /v1/masks``: many photographs in one multipart body, their masks in one zip, named as a program wants them.

The zip is sent while it is made. Photographs wait in the form's spool file and a bounded number of them is at work, so
memory does not grow with their count; all of them together keep to the size limit of one request.
"""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import PurePath, PurePosixPath
from typing import Any

from google.protobuf.message import Message
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from protos.maquette.remove_background.v1.mask_names import Tool, collisions, mask_name
from services.common import errors, http, telemetry
from services.common.batching import Budget
from services.remove_background.predictor import Output, Parameters
from services.remove_background.servicer import RemovalRuntime, message

PATH = "/v1/masks"
REPORT = "masks.jsonl"
MOST_FILES = 1000
# Each holds up to MAQUETTE_MAX_MEBIBYTES in its spool file while it is answered.
_AT_WORK = Budget(4, "Too many archives are at work; try again after a pause.")
_TOOLS = ", ".join(Tool)
_BINARY = {"type": "string", "format": "binary"}
OPERATION: dict[str, Any] = {
    "parameters": [
        {"name": "for", "in": "query", "schema": {"type": "string", "enum": list(Tool)}, "description": "program to name for"},
        {"name": "frame", "in": "query", "schema": {"type": "string", "enum": ["sensor", "display"]}},
        {"name": "threshold", "in": "query", "schema": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}},
    ],
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["images"],
                    "properties": {
                        "images": {"type": "array", "items": _BINARY, "description": "files; their names may have sub-folders"}
                    },
                }
            }
        },
    },
    "responses": {
        "200": {
            "description": f"A mask for each photograph, and {REPORT}: one line for each with its report or its error.",
            "content": {"application/zip": {"schema": _BINARY}},
        }
    },
}


async def respond(runtime: RemovalRuntime, request: Request) -> Response:
    """Check everything that concerns the whole request, then stream."""
    call = telemetry.current()
    stack = AsyncExitStack()
    try:
        await stack.enter_async_context(_AT_WORK.hold(1, wait=False))
        runtime.require_ready()
        values = dict(request.query_params)
        tool = _tool(values.pop("for", None))
        if "output" in values:
            raise errors.ParameterInvalid("There is no parameter `output`: the archive holds masks.")
        parameters = runtime.parse(values | {"output": Output.MASK.value})
        try:
            form = await request.form(max_files=MOST_FILES, max_fields=0)
        except HTTPException:
            raise errors.ImageMissing(f"Send multipart with 1 to {MOST_FILES} files in `images`, and nothing else.") from None
        stack.push_async_callback(form.close)
        uploads = [upload for upload in form.getlist("images") if isinstance(upload, UploadFile)]
        if not uploads:
            raise errors.ImageMissing("Send photographs as files in the multipart field `images`.")
        names = _names([upload.filename or "" for upload in uploads], tool)
    except errors.MaquetteError as error:
        call.code = error.code
        await stack.aclose()
        return http.problem(error.code, error.detail, call.request_id)
    except BaseException:
        await stack.aclose()
        raise
    return _Archive(stack, _zip(runtime, uploads, names, parameters))


class _Archive(StreamingResponse):
    """Holds the spool file and its place until it is sent, or the caller has gone."""

    def __init__(self, stack: AsyncExitStack, content: AsyncIterator[bytes]) -> None:
        headers = {"Content-Disposition": 'attachment; filename="masks.zip"'}
        super().__init__(content, media_type="application/zip", headers=headers)
        self._stack = stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._stack:
            await super().__call__(scope, receive, send)


def _tool(name: str | None) -> Tool | None:
    try:
        return Tool(name) if name is not None else None
    except ValueError:
        raise errors.ParameterInvalid(f"Parameter `for` takes one of {_TOOLS}.") from None


def _names(photographs: list[str], tool: Tool | None) -> list[PurePath | errors.MaquetteError]:
    """The name of each mask in the archive, or why that photograph has none."""
    found: list[PurePath | errors.MaquetteError] = [_name(photograph, tool) for photograph in photographs]
    for group in collisions([name if isinstance(name, PurePath) else None for name in found]):
        shared = " and ".join(photographs[index] for index in group)
        for index in group:
            found[index] = errors.ParameterInvalid(f"{shared} would have the same mask {found[index]}; rename one.")
    return found


def _name(photograph: str, tool: Tool | None) -> PurePath | errors.MaquetteError:
    path = PurePosixPath(photograph.replace("\\", "/"))
    if not path.name or path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        return errors.ParameterInvalid(f"`{photograph}` is no relative file name.")
    try:
        return mask_name(path, tool)
    except ValueError as error:
        return errors.ParameterInvalid(str(error))


class _Sink(io.RawIOBase):
    """Where the zip is written; :meth:`take` hands over what came since. It cannot seek, so zipfile does not try to."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        self._pieces.append(bytes(piece))
        return len(piece)

    def take(self) -> bytes:
        taken, self._pieces = b"".join(self._pieces), []
        return taken


async def _zip(
    runtime: RemovalRuntime,
    uploads: list[UploadFile],
    names: list[PurePath | errors.MaquetteError],
    parameters: Parameters,
) -> AsyncIterator[bytes]:
    waiting = deque(zip(uploads, names, strict=True))
    at_work: deque[tuple[str, PurePath | errors.MaquetteError, asyncio.Task[Any]]] = deque()
    records = []
    sink = _Sink()
    try:
        with zipfile.ZipFile(sink, "w") as archive:  # stored: PNGs are compressed
            while waiting or at_work:
                while waiting and len(at_work) < runtime.settings.stream_window:
                    upload, name = waiting.popleft()
                    task = asyncio.create_task(_answer(runtime, upload, name, parameters))
                    at_work.append((upload.filename or "", name, task))
                file, name, task = at_work.popleft()
                answer = await task
                if isinstance(answer, errors.MaquetteError):
                    records.append({"file": file, "error": {"code": answer.code, "detail": answer.detail}})
                    continue
                archive.writestr(str(name), answer.mask)
                answer.ClearField("mask")
                records.append({"file": file, "mask": str(name), **_rest(answer)})
                yield sink.take()
            archive.writestr(REPORT, "".join(json.dumps(record) + "\n" for record in records))
        yield sink.take()
    finally:
        for _, _, task in at_work:
            task.cancel()


async def _answer(
    runtime: RemovalRuntime, upload: UploadFile, name: PurePath | errors.MaquetteError, parameters: Parameters
) -> Any:
    """The proto message, or the error; an error of one photograph leaves the others alone."""
    if isinstance(name, errors.MaquetteError):
        return name
    try:
        async with runtime.slot(wait=True):
            return message(runtime, await runtime.answer(await upload.read(), parameters, wait=True))
    except errors.MaquetteError as error:
        return error
    except Exception:
        telemetry.LOG.error("failed", extra={"request_id": telemetry.current().request_id}, exc_info=True)
        return errors.Internal()


def _rest(answer: Message) -> dict[str, Any]:
    return {name: value for name, value in http.as_dict(answer).items() if name not in ("mask", "cutout")}
