"""HTTP request bodies: counted while they arrive, never on disk, the bytes of a file copied once."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from services.common import errors, images
from services.common.admission import Lease
from services.common.runtime import Runtime

FIELD, FILES = "image", "images"
MOST_FILES = 1000
# What multipart wraps around the photograph, and the other fields.
_FORM_OVERHEAD = 512 * 1024
# The longest field is an adapter of the mask model as JSON.
_MOST_FIELDS, _LONGEST_FIELD = 32, 192 * 1024
_BINARY = {"type": "string", "format": "binary"}
BATCH: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": [FILES],
                "properties": {
                    FILES: {"type": "array", "items": _BINARY, "description": "files; their names may have sub-folders"}
                },
            }
        }
    },
}


@dataclass
class File:
    """A file of a form: the field, the name its sender gave it, and its bytes."""

    field: str
    name: str
    data: bytes


def lease_of(request: Request) -> Lease:
    """The bytes that this request holds, from the first that arrived until its answer is sent."""
    lease: Lease = request.scope["maquette.lease"]
    return lease


async def read_photograph(request: Request, runtime: Runtime[Any, Any, Any]) -> tuple[bytes, dict[str, Any]]:
    """The encoded photograph and the parameters (query string, then form fields).

    Raises ``ImageMissing``, ``ImageTooManyBytes``, ``ParameterInvalid``, ``Overloaded``, ``DeadlineExceeded``.
    """
    values: dict[str, Any] = dict(request.query_params)
    limits = runtime.settings.limits
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == "multipart/form-data":
        malformed = errors.ImageMissing("The multipart body is malformed; send one file in the field `image`.")
        files, fields = await _form(request, runtime, malformed, most_files=1, bulk=False)
        photographs = [file for file in files if file.field == FIELD]
        if not photographs:
            raise errors.ImageMissing("Send a photograph as a file in the multipart field `image`; text is not one.")
        data = photographs[0].data
        values |= fields
    elif media_type == "application/json":
        data, fields = await _json(request, runtime)
        values |= fields
    elif not media_type or media_type.startswith("image/") or media_type == "application/octet-stream":
        data = b"".join([piece async for piece in pieces(request, runtime, images.too_many_bytes(limits), limits.max_bytes)])
    else:
        raise errors.ImageMissing(
            "Send the photograph as multipart with a file in `image`, as a raw image/* body, or as JSON with base64 in `image`."
        )
    if len(data) > limits.max_bytes:
        raise images.too_many_bytes(limits)
    return data, values


async def _json(request: Request, runtime: Runtime[Any, Any, Any]) -> tuple[bytes, dict[str, Any]]:
    limits = runtime.settings.limits
    most = limits.max_bytes * 4 // 3 + _FORM_OVERHEAD
    body = b"".join([piece async for piece in pieces(request, runtime, images.too_many_bytes(limits), most)])
    lease = lease_of(request)
    lease.grow(2 * len(body))  # as text and as bytes
    data, values = await runtime.in_thread(_parsed, body)
    del body
    lease.resize(len(data))
    return data, values


def _parsed(body: bytes) -> tuple[bytes, dict[str, Any]]:
    try:
        values = from_json(body, allow_inf_nan=False)
        data = base64.b64decode(values.pop(FIELD), validate=True)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        raise errors.ImageMissing("Send a JSON object with the photograph in base64 as `image`.") from None
    return data, values


async def read_batch(
    request: Request, runtime: Runtime[Any, Any, Any], fields: tuple[str, ...] = (FILES,), most: int = MOST_FILES
) -> list[File]:
    """The files of a form of many, in these fields. Raises as :func:`read_photograph` does."""
    named = "` and `".join(fields)
    malformed = errors.ImageMissing(f"Send multipart with 1 to {most} files in `{named}`, and nothing else.")
    files, others = await _form(request, runtime, malformed, most_files=most, bulk=True)
    if not files:
        raise errors.ImageMissing(f"Send photographs as files in the multipart field `{FILES}`.")
    if others or any(file.field not in fields for file in files):
        raise malformed
    return files


async def pieces(
    request: Request, runtime: Runtime[Any, Any, Any], too_large: errors.MaquetteError, most: int, *, bulk: bool = False
) -> AsyncIterator[bytes]:
    """The body as it arrives, counted against the bytes of the process, before it is read where its length is known.

    Raises ``too_large`` above ``most`` bytes, ``Overloaded`` where there is no room, ``DeadlineExceeded`` when it stops
    arriving.
    """
    settings = runtime.settings
    runtime.require_room()
    length = request.headers.get("content-length")
    declared = int(length) if length and length.isdecimal() and len(length) < 20 else None
    if declared is not None and declared > most:
        raise too_large
    # A body of unknown length may become a large one.
    bulk = bulk or declared is None
    lease = await runtime.bytes.take(declared or 0, bulk=bulk, wait=settings.wait_seconds)
    request.scope["maquette.lease"] = lease
    received, ends = 0, asyncio.get_running_loop().time() + settings.timeout_seconds
    while True:
        try:
            idle_at = asyncio.get_running_loop().time() + settings.idle_seconds
            async with asyncio.timeout_at(min(ends, idle_at)):
                message = await request.receive()
        except TimeoutError:
            raise errors.DeadlineExceeded("The body stopped arriving; send it again, or a smaller one.") from None
        if message["type"] == "http.disconnect":
            raise asyncio.CancelledError
        body = message.get("body", b"")
        received += len(body)
        if received > most:
            raise too_large
        if declared is None:
            lease.grow(len(body))
        if body:
            yield body
        if not message.get("more_body"):
            return


async def _form(
    request: Request, runtime: Runtime[Any, Any, Any], malformed: errors.ImageMissing, *, most_files: int, bulk: bool
) -> tuple[list[File], dict[str, str]]:
    limits = runtime.settings.limits
    boundary = parse_options_header(request.headers.get("content-type"))[1].get(b"boundary")
    if not boundary:
        raise malformed
    form = _Form(most_files)
    try:
        parser = MultipartParser(boundary, form.callbacks())
        body = pieces(request, runtime, images.too_many_bytes(limits), limits.max_bytes + _FORM_OVERHEAD, bulk=bulk)
        async for piece in body:
            parser.write(piece)
    except (FormParserError, ValueError):
        raise malformed from None
    if not form.whole:
        raise malformed
    return form.files, form.fields


class _Form:
    """Collects the files and fields of a form while it is parsed. Raises ``FormParserError`` for more than there may be."""

    def __init__(self, most_files: int) -> None:
        self.files: list[File] = []
        self.fields: dict[str, str] = {}
        self.whole = False
        self._most_files = most_files
        self._header = self._value = b""
        self._options: dict[bytes, bytes] = {}
        self._content: list[bytes] = []
        self._size = 0

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._name,
            "on_header_value": self._named,
            "on_header_end": self._header_ends,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._all,
        }

    def _begin(self) -> None:
        self._options, self._content, self._size = {}, [], 0

    def _name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _named(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_ends(self) -> None:
        if self._header.lower() == b"content-disposition":
            _, self._options = parse_options_header(self._value)
        self._header = self._value = b""

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._content.append(data[start:end])
        self._size += end - start
        if b"filename" not in self._options and self._size > _LONGEST_FIELD:
            raise FormParserError("a field is too long")

    def _end(self) -> None:
        content, self._content = b"".join(self._content), []
        name = self._options.get(b"name", b"").decode(errors="replace")
        if b"filename" in self._options:
            self.files.append(File(name, self._options[b"filename"].decode(errors="replace"), content))
        else:
            self.fields[name] = content.decode(errors="replace")
        if len(self.files) > self._most_files or len(self.fields) > _MOST_FIELDS:
            raise FormParserError("there are too many parts")

    def _all(self) -> None:
        self.whole = True
