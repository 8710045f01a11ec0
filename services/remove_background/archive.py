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
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from protos.maquette.remove_background.v1 import remove_background_pb2 as pb
from protos.maquette.remove_background.v1.mask_names import Tool, collisions, mask_name
from services.common import bodies, errors, http
from services.remove_background.predictor import Output, Parameters
from services.remove_background.runtime import RemovalRuntime
from services.remove_background.servicer import message

PATH = "/v1/masks"
REPORT = "masks.jsonl"
Name = PurePath | errors.MaquetteError
_TOOLS = ", ".join(Tool)
OPERATION: dict[str, Any] = {
    "parameters": [
        {"name": "for", "in": "query", "schema": {"type": "string", "enum": list(Tool)}, "description": "program to name for"},
        {"name": "frame", "in": "query", "schema": {"type": "string", "enum": ["sensor", "display"]}},
        {"name": "threshold", "in": "query", "schema": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}},
    ],
    "requestBody": bodies.BATCH,
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
    files = await bodies.read_batch(request, runtime)
    names = _names([file.name for file in files], tool)
    headers = {"Content-Disposition": 'attachment; filename="masks.zip"'}
    content = _zip(runtime, request, files, names, parameters)
    return StreamingResponse(content, media_type="application/zip", headers=headers)


def _tool(name: str | None) -> Tool | None:
    try:
        return Tool(name) if name is not None else None
    except ValueError:
        raise errors.ParameterInvalid(f"Parameter `for` takes one of {_TOOLS}.") from None


def _names(photographs: list[str], tool: Tool | None) -> list[Name]:
    """The name of each mask in the archive, or why that photograph has none."""
    found = [_name(photograph, tool) for photograph in photographs]
    # The report is in the archive too.
    for group in collisions([name if isinstance(name, PurePath) else None for name in found] + [PurePath(REPORT)]):
        if len(photographs) in group:
            group.remove(len(photographs))
            refused = errors.ParameterInvalid(f"{REPORT} is the archive's report; rename the photograph.")
            found = [refused if index in group else name for index, name in enumerate(found)]
            continue
        first, second, *others = (photographs[index] for index in group)
        shared = f"`{first}` and `{second}`" + (f" and {len(others)} more" if others else "")
        refused = errors.ParameterInvalid(f"{shared} would have masks at the same place, {found[group[0]]}; rename one.")
        for index in group:
            found[index] = refused
    return found


def _name(photograph: str, tool: Tool | None) -> Name:
    path = PurePosixPath(photograph.replace("\\", "/"))
    harmful = not photograph.isprintable() or path.is_absolute() or ".." in path.parts
    if not path.name or harmful or ":" in path.parts[0]:
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
    runtime: RemovalRuntime, request: Request, files: list[bodies.File], names: list[Name], parameters: Parameters
) -> AsyncIterator[bytes]:
    async def answer(index: int) -> pb.RemoveBackgroundResponse:
        if isinstance(refused := names[index], errors.MaquetteError):
            raise refused
        return message(runtime, await runtime.answer(files[index].data, parameters, bulk=True))

    records = []
    sink = _Sink()
    with zipfile.ZipFile(sink, "w") as archive:  # stored: PNGs are compressed
        async with aclosing(http.batch(runtime, request, files, answer)) as answers:
            async for index, outcome in answers:
                record: dict[str, Any] = {"file": files[index].name}
                if isinstance(outcome, errors.MaquetteError):
                    records.append(record | {"error": {"code": outcome.code, "detail": outcome.detail}})
                    continue
                name = str(names[index])
                archive.writestr(name, outcome.mask)
                outcome.ClearField("mask")
                records.append(record | {"mask": name, **_rest(outcome)})
                yield sink.take()
        archive.writestr(REPORT, "".join(json.dumps(record) + "\n" for record in records))
    yield sink.take()


def _rest(answer: Message) -> dict[str, Any]:
    return {name: value for name, value in http.as_dict(answer).items() if name not in ("mask", "cutout")}
