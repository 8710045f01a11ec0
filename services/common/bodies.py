"""HTTP request bodies: counted while they arrive, never on disk, the bytes of a file copied once."""

from __future__ import annotations

import asyncio
import base64
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from typing import Any

from pydantic_core import from_json
from starlette.requests import Request

from services.common import errors, images
from services.common.admission import Lease
from services.common.fetching import FIELD as IMAGE_URL
from services.common.forms import FIELD, FILES, ID, MOST_FILES, OVERHEAD, Fields, File, Form, media_type
from services.common.runtime import Runtime


def lease_of(request: Request) -> Lease:
    """The bytes that this request holds, from the first that arrived until its answer is sent."""
    lease: Lease = request.scope["maquette.lease"]
    return lease


def is_form(request: Request) -> bool:
    return media_type(request) == "multipart/form-data"


async def read_raw(request: Request, runtime: Runtime[Any, Any, Any]) -> bytes:
    """The encoded photograph that is the body. Raises ``ImageMissing``, and what :func:`pieces` does."""
    limits, kind = runtime.settings.limits, media_type(request)
    if not kind or kind.startswith("image/") or kind == "application/octet-stream":
        return b"".join([piece async for piece in pieces(request, runtime, images.too_many_bytes(limits), limits.max_bytes)])
    raise errors.ImageMissing(
        "Send the photograph as multipart with a file in `image`, as a raw image/* body, or as JSON with base64 in `image`; or "
        f"its address in `{IMAGE_URL}`."
    )


def is_json(request: Request) -> bool:
    return media_type(request) == "application/json"


async def read_json(request: Request, runtime: Runtime[Any, Any, Any]) -> tuple[bytes, dict[str, Any]]:
    """The photograph of a JSON object, in base64 in `image`, and what else the object has; none where it has an address.

    Raises ``ImageMissing``, ``ImageTooManyBytes``, and what :func:`pieces` does.
    """
    limits = runtime.settings.limits
    most = limits.max_bytes * 4 // 3 + OVERHEAD
    body = b"".join([piece async for piece in pieces(request, runtime, images.too_many_bytes(limits), most)])
    lease = lease_of(request)
    lease.grow(2 * len(body))  # as text and as bytes
    data, values = await runtime.in_thread(_from_json, body)
    del body
    lease.resize(len(data))
    if len(data) > limits.max_bytes:
        raise images.too_many_bytes(limits)
    return data, values


def _from_json(body: bytes) -> tuple[bytes, dict[str, Any]]:
    try:
        values = from_json(body, allow_inf_nan=False)
        data = base64.b64decode(values.pop(FIELD), validate=True) if FIELD in values or IMAGE_URL not in values else b""
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        raise errors.ImageMissing("Send a JSON object with the photograph in base64 as `image`.") from None
    return data, values


async def read_form(request: Request, runtime: Runtime[Any, Any, Any], *, bulk: bool = False) -> tuple[list[File], Fields]:
    """A form that is read whole, at most the limit of one photograph: its files and fields, in any order. The request's own
    lease holds their bytes. Raises as :func:`pieces` does, and ``ImageMissing`` where it is no form of files.
    """
    limits = runtime.settings.limits
    form = Form(request, runtime, ordered=False)
    most = limits.max_bytes + OVERHEAD
    async for piece in pieces(request, runtime, images.too_many_bytes(limits), most, bulk=bulk):
        form.write(piece)
        if len(form.files) > MOST_FILES:
            raise form.malformed
    form.require_whole()
    return list(form.take()), form.fields


class Files:
    """The files of a batch in their order: ``taken``, each of which holds its own bytes, and then ``rest``.

    :meth:`aclose` gives back what has not been handed on, also where nobody ever asked for a file: a generator that has not
    begun could not.
    """

    def __init__(self, taken: Iterable[File], rest: AsyncGenerator[Any, None] | None = None) -> None:
        self._taken, self._rest = deque(taken), rest

    def __aiter__(self) -> Files:
        return self

    async def __anext__(self) -> File:
        if self._taken:
            return self._taken.popleft()
        if self._rest is None:
            raise StopAsyncIteration
        file: File = await anext(self._rest)
        return file

    async def aclose(self) -> None:
        while self._taken:
            self._taken.popleft().lease.release()
        if self._rest is not None:
            await self._rest.aclose()


def in_hand(request: Request, files: Iterable[File]) -> Files:
    """The files of a form that was read whole, each holding its own bytes from here on instead of the request."""
    taken = list(files)
    lease_of(request).resize(0)
    for file in taken:
        file.lease.resize(len(file.data))
    return Files(taken)


def merged(request: Request, given: Iterable[tuple[str, Any]] = ()) -> dict[str, Any]:
    """The parameters of the query and of the body. Raises ``ParameterInvalid`` for one that is given twice and differs."""
    values: dict[str, Any] = {}
    for name, value in (*request.query_params.multi_items(), *given):
        if values.setdefault(name, value) != value:
            raise errors.ParameterInvalid(
                f"Parameter `{name}` is given as `{str(values[name])[:50]}` and as `{str(value)[:50]}`; "
                "send it once, in the query or the body."
            )
    return values


def has_address(request: Request, given: Iterable[tuple[str, Any]]) -> bool:
    return IMAGE_URL in request.query_params or any(name == IMAGE_URL for name, _ in given)


def astray(file: File, wanted: str) -> errors.ImageMissing:
    return errors.ImageMissing(f"The file `{file.name}` is in the field `{file.field}`; send it in `{wanted}`.")


def the_one(files: list[File], batch: str) -> bytes:
    """The photograph of a form of one. Raises ``ImageMissing`` with a sentence that says what was sent instead; ``batch`` is
    the path that takes many.
    """
    if wrong := next((file for file in files if file.field != FIELD), None):
        raise astray(wrong, FIELD)
    if not files:
        raise errors.ImageMissing(f"Send a photograph as a file in the multipart field `{FIELD}`; text is not one.")
    if len(files) > 1:
        raise errors.ImageMissing(
            f"{len(files)} files are in the field `{FIELD}`; send one file, or many in `{FILES}` to {batch}."
        )
    if files[0].error:
        raise files[0].error
    return files[0].data


async def stream(request: Request, runtime: Runtime[Any, Any, Any]) -> AsyncGenerator[File | Fields, None]:
    """The files of a form of any number, each as soon as it is there; before the first, the fields that came before it.

    Each file takes room as it arrives and waits for it at most ``wait_seconds``; one that is too large, or finds no room, comes
    with its error and without its bytes. Raises ``ImageMissing``, ``ParameterInvalid``, ``DeadlineExceeded``, ``NotReady`` and
    ``Overloaded`` for what concerns the whole form.
    """
    settings = runtime.settings
    runtime.require_room()
    form = Form(request, runtime, ordered=True)
    arriving = Lease(runtime.bytes, 0, True)
    # Seconds that the next photograph may take to arrive. Time in which nobody reads it, for want of room, is not counted.
    left, before_files = settings.timeout_seconds, True
    try:
        more = True
        while more:
            asked = asyncio.get_running_loop().time()
            body, more = await _received(request, min(left, settings.idle_seconds))
            left -= asyncio.get_running_loop().time() - asked
            try:
                room = await runtime.bytes.take(len(body), bulk=True, wait=settings.wait_seconds)
            except errors.Overloaded as error:
                form.refuse(error)
            else:
                arriving.resize(arriving.amount + room.amount)
                room.release()
            failure = None
            try:
                form.write(body)
            except errors.MaquetteError as error:
                failure = error  # the files before it are whole
            for file in form.take():
                if before_files:
                    before_files = False
                    yield form.fields
                left = settings.timeout_seconds
                arriving.resize(form.held)
                file.lease.resize(len(file.data))
                yield file
            if failure:
                raise failure
            arriving.resize(form.held)
        form.require_whole()
        if form.ids:
            raise errors.ParameterInvalid(f"There are {len(form.ids)} ids more than files; send one `{ID}` for each file.")
    finally:
        arriving.release()


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
        left = ends - asyncio.get_running_loop().time()
        body, more = await _received(request, min(left, settings.idle_seconds))
        received += len(body)
        if received > most:
            raise too_large
        if declared is None:
            lease.grow(len(body))
        if body:
            yield body
        if not more:
            return


async def _received(request: Request, seconds: float) -> tuple[bytes, bool]:
    """The next bytes of the body, and whether more come. Raises ``DeadlineExceeded``; a caller who left cancels the call."""
    try:
        async with asyncio.timeout(seconds):
            message = await request.receive()
    except TimeoutError:
        raise errors.DeadlineExceeded("The body stopped arriving; send it again, or a smaller one.") from None
    if message["type"] == "http.disconnect":
        raise asyncio.CancelledError
    return message.get("body", b""), message.get("more_body", False)
