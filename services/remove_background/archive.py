"""``POST /v1/masks``: many photographs in one multipart body, their masks in one zip, named as a program wants them.

The zip is sent while it is made.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import PurePath, PurePosixPath
from typing import Any

from google.protobuf.message import Message
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response

from protos.maquette.remove_background.v1 import remove_background_pb2 as pb
from protos.maquette.remove_background.v1.mask_names import Tool, collisions, mask_name
from services.common import errors, http, uploads
from services.remove_background.predictor import Output, Parameters
from services.remove_background.servicer import RemovalRuntime, message

PATH = "/v1/masks"
REPORT = "masks.jsonl"
_TOOLS = ", ".join(Tool)
OPERATION: dict[str, Any] = {
    "parameters": [
        {"name": "for", "in": "query", "schema": {"type": "string", "enum": list(Tool)}, "description": "program to name for"},
        {"name": "frame", "in": "query", "schema": {"type": "string", "enum": ["sensor", "display"]}},
        {"name": "threshold", "in": "query", "schema": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}},
    ],
    "requestBody": uploads.BODY,
    "responses": {
        "200": {
            "description": f"A mask for each photograph, and {REPORT}: one line for each with its report or its error.",
            "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
}


async def respond(runtime: RemovalRuntime, request: Request) -> Response:
    """Check everything that concerns the whole request, then stream. Raises any of the domain errors."""
    values = dict(request.query_params)
    tool = _tool(values.pop("for", None))
    if "output" in values:
        raise errors.ParameterInvalid("There is no parameter `output`: the archive holds masks.")
    parameters = runtime.parse(values | {"output": Output.MASK.value})

    def begin(files: list[UploadFile]) -> tuple[AsyncIterator[bytes], str, dict[str, str]]:
        names = _names([file.filename or "" for file in files], tool)
        content = _zip(runtime, list(zip(files, names, strict=True)), parameters)
        return content, "application/zip", {"Content-Disposition": 'attachment; filename="masks.zip"'}

    return await uploads.respond(runtime, request, begin)


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


Name = PurePath | errors.MaquetteError


async def _zip(runtime: RemovalRuntime, files: list[tuple[UploadFile, Name]], parameters: Parameters) -> AsyncIterator[bytes]:
    async def answer(item: tuple[UploadFile, Name]) -> pb.RemoveBackgroundResponse:
        file, name = item
        if isinstance(name, errors.MaquetteError):
            raise name
        async with runtime.slot(wait=True):
            return message(runtime, await runtime.answer(await file.read(), parameters, wait=True))

    records = []
    sink = _Sink()
    with zipfile.ZipFile(sink, "w") as archive:  # stored: PNGs are compressed
        async with aclosing(uploads.in_order(files, answer, runtime.settings.stream_window)) as answers:
            async for (file, name), outcome in answers:
                record: dict[str, Any] = {"file": file.filename or ""}
                if isinstance(outcome, errors.MaquetteError):
                    records.append(record | {"error": {"code": outcome.code, "detail": outcome.detail}})
                    continue
                archive.writestr(str(name), outcome.mask)
                outcome.ClearField("mask")
                records.append(record | {"mask": str(name), **_rest(outcome)})
                yield sink.take()
        archive.writestr(REPORT, "".join(json.dumps(record) + "\n" for record in records))
    yield sink.take()


def _rest(answer: Message) -> dict[str, Any]:
    return {name: value for name, value in http.as_dict(answer).items() if name not in ("mask", "cutout")}
