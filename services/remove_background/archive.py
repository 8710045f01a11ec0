"""``POST /v1/masks/archive``: many photographs in one multipart body, their masks in one zip, named as a program wants them.

The zip is sent while it is made. Until the next minor version `/v1/masks` answers a form of many files in this way too.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import PurePath, PurePosixPath
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from protos.maquette.remove_background.v1 import remove_background_pb2 as pb
from protos.maquette.remove_background.v1.mask_names import Tool, collisions, mask_name
from services.common import bodies, errors, forms
from services.common.batches import Rows, Streamed, as_line, rows
from services.common.http import wants
from services.common.images import Frame
from services.common.parameters import parse
from services.remove_background.adapters import AdapterParameter
from services.remove_background.predictor import Output, Parameters
from services.remove_background.runtime import RemovalRuntime
from services.remove_background.servicer import message

ZIP, BYTES, REPORT = "application/zip", "application/octet-stream", "masks.jsonl"
Name = PurePath | errors.MaquetteError


class ArchiveParameters(BaseModel):
    """What a caller may choose: a program's names, and how masks are made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tool: Tool | None = Field(None, alias="for", description="program to name for")
    frame: Frame = Field(Frame.SENSOR, description=Parameters.model_fields["frame"].description)
    threshold: float | None = Field(None, gt=0, lt=1, description=Parameters.model_fields["threshold"].description)
    adapter: AdapterParameter = Field(None, description=Parameters.model_fields["adapter"].description)


async def read(runtime: RemovalRuntime, request: Request) -> Response:
    """Check everything that concerns the whole request, then stream. Raises any of the domain errors."""
    _parsed(runtime, bodies.merged(request))
    files, fields = await bodies.read_form(request, runtime, bulk=True)
    if not files:
        raise errors.ImageMissing(f"Send photographs as files in the multipart field `{forms.FILES}`.")
    return await respond(runtime, request, files, fields)


async def respond(runtime: RemovalRuntime, request: Request, files: list[forms.File], fields: forms.Fields) -> Response:
    """The archive of files that were read whole: whether two masks would have one name is known only then."""
    tool, parameters = _parsed(runtime, bodies.merged(request, fields))
    if wrong := next((file for file in files if file.field != forms.FILES), None):
        raise bodies.astray(wrong, forms.FILES)
    for file, name in zip(files, _names([file.name for file in files], tool), strict=True):
        file.error = name if isinstance(name, errors.MaquetteError) else file.error
    masks = {file.name: _name(file.name, tool) for file in files if not file.error}
    place = await runtime.batch_place()

    async def answer(file: forms.File) -> pb.RemoveBackgroundResponse:
        return message(runtime, await runtime.answer(file.data, parameters, bulk=True))

    content = _zip(rows(runtime, bodies.in_hand(request, files), answer), masks)
    headers = {"Content-Disposition": 'attachment; filename="masks.zip"'}
    return Streamed(runtime, content, BYTES if wants(request, BYTES) else ZIP, place, headers)


def _parsed(runtime: RemovalRuntime, values: dict[str, str]) -> tuple[Tool | None, Parameters]:
    asked = parse(ArchiveParameters, values)
    return asked.tool, runtime.parse(
        {"output": Output.MASK, "frame": asked.frame, "threshold": asked.threshold, "adapter": asked.adapter}
    )


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


async def _zip(answers: Rows, masks: Mapping[str, Name]) -> AsyncGenerator[bytes, None]:
    records = []
    sink = _Sink()
    with zipfile.ZipFile(sink, "w") as archive:  # stored: PNGs are compressed
        async with aclosing(answers):
            async for index, file, outcome in answers:
                assert file
                if isinstance(outcome, pb.RemoveBackgroundResponse):
                    name = str(masks[file.name])
                    archive.writestr(name, outcome.mask)
                    outcome.ClearField("mask")
                    records.append({"file": file.name, "mask": name, **as_line(index, file, outcome)})
                    yield sink.take()
                else:
                    records.append(as_line(index, file, outcome))
        archive.writestr(REPORT, "".join(json.dumps(record) + "\n" for record in records))
    yield sink.take()
