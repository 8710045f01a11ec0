"""HTTP request bodies: counted while they arrive, never on disk, the bytes of a file copied once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from services.common import errors, images
from services.common.admission import Lease
from services.common.in_order import LONGEST_ID
from services.common.runtime import Runtime

FIELD, FILES, ID = "image", "images", "id"
# Files of a form that is read whole, and ids of a batch that may come before their files.
MOST_FILES = 1000
# What multipart wraps around the photograph, and the other fields.
_FORM_OVERHEAD = 64 * 1024
_MOST_FIELDS, _LONGEST_FIELD = 32, 16 * 1024


# Names and values of a form's text fields, in order.
Fields = Sequence[tuple[str, str]]


@dataclass
class File:
    """A file of a form: its field, the name its sender gave it, its bytes, or why they were not kept.

    ``lease`` is what it holds of the process's bytes; who answers it gives that back.
    """

    field: str
    name: str
    data: bytes
    lease: Lease
    id: str | None = None
    error: errors.MaquetteError | None = None


def lease_of(request: Request) -> Lease:
    """The bytes that this request holds, from the first that arrived until its answer is sent."""
    lease: Lease = request.scope["maquette.lease"]
    return lease


def is_form(request: Request) -> bool:
    return _media_type(request) == "multipart/form-data"


async def read_raw(request: Request, runtime: Runtime[Any, Any, Any]) -> bytes:
    """The encoded photograph that is the body. Raises ``ImageMissing``, and what :func:`pieces` does."""
    limits, media_type = runtime.settings.limits, _media_type(request)
    if not media_type or media_type.startswith("image/") or media_type == "application/octet-stream":
        return b"".join([piece async for piece in pieces(request, runtime, images.too_many_bytes(limits), limits.max_bytes)])
    raise errors.ImageMissing("Send the photograph as multipart with a file in `image`, or as a raw image/* body.")


async def read_form(request: Request, runtime: Runtime[Any, Any, Any], *, bulk: bool = False) -> tuple[list[File], Fields]:
    """A form that is read whole, at most the limit of one photograph: its files and fields, in any order. The request's own
    lease holds their bytes. Raises as :func:`pieces` does, and ``ImageMissing`` where it is no form of files.
    """
    limits = runtime.settings.limits
    form = _Form(request, runtime, ordered=False)
    most = limits.max_bytes + _FORM_OVERHEAD
    async for piece in pieces(request, runtime, images.too_many_bytes(limits), most, bulk=bulk):
        form.write(piece)
        if len(form.files) > MOST_FILES:
            raise form.malformed
    form.require_whole()
    return list(form.take()), form.fields


async def in_hand(request: Request, files: Iterable[File]) -> AsyncGenerator[File, None]:
    """The files of a form that was read whole, each holding its own bytes from here on instead of the request."""
    lease_of(request).resize(0)
    for file in files:
        file.lease.resize(len(file.data))
    for file in files:
        yield file


def merged(request: Request, fields: Fields = ()) -> dict[str, str]:
    """The parameters of the query and of the form. Raises ``ParameterInvalid`` for one that is given twice and differs."""
    values: dict[str, str] = {}
    for name, value in (*request.query_params.multi_items(), *fields):
        if values.setdefault(name, value) != value:
            raise errors.ParameterInvalid(
                f"Parameter `{name}` is given as `{values[name][:50]}` and as `{value[:50]}`; "
                "send it once, in the query or the form."
            )
    return values


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
    form = _Form(request, runtime, ordered=True)
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
            form.write(body)
            for file in form.take():
                if before_files:
                    before_files = False
                    yield form.fields
                left = settings.timeout_seconds
                arriving.resize(form.held)
                file.lease.resize(len(file.data))
                yield file
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


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


class _Form:
    """A form while it is parsed. ``files`` are those that are whole, until :meth:`take`; ``held`` the bytes of the next one."""

    malformed = errors.ImageMissing(
        f"The body is no whole multipart form; send one file in the field `{FIELD}`, or many in `{FILES}`."
    )

    def __init__(self, request: Request, runtime: Runtime[Any, Any, Any], *, ordered: bool) -> None:
        self.files: deque[File] = deque()
        self.fields: list[tuple[str, str]] = []
        self.ids: deque[str] = deque()
        self.held = 0
        self._runtime, self._ordered = runtime, ordered
        self._whole = self._files = self._nameless = False
        self._after = 0
        self._header = self._value = b""
        self._options: dict[bytes, bytes] = {}
        self._content: list[bytes] = []
        self._error: errors.MaquetteError | None = None
        boundary = parse_options_header(request.headers.get("content-type"))[1].get(b"boundary")
        if _media_type(request) != "multipart/form-data" or not boundary:
            raise self.malformed
        try:
            self._parser = MultipartParser(boundary, self._callbacks())
        except (FormParserError, ValueError):
            raise self.malformed from None

    def write(self, data: bytes) -> None:
        """Raises ``ImageMissing`` for what is no form, ``ParameterInvalid`` for an `id` that is none."""
        self._after += len(data) if self._whole else 0
        try:
            self._parser.write(data)
        except (FormParserError, ValueError):
            raise self.malformed from None
        if self._after > _FORM_OVERHEAD:
            raise self.malformed

    def take(self) -> Iterator[File]:
        """The files that are whole by now."""
        while self.files:
            yield self.files.popleft()

    def refuse(self, error: errors.MaquetteError) -> None:
        """Keep no bytes of the file that is arriving; it comes with the error."""
        self._error, self._content, self.held = error, [], 0

    def require_whole(self) -> None:
        if not self._whole:
            raise self.malformed

    def _callbacks(self) -> Any:
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
        self._options, self._content, self.held = {}, [], 0

    def _name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]
        self._bounded()

    def _named(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._bounded()

    def _bounded(self) -> None:
        if len(self._header) + len(self._value) > _LONGEST_FIELD:
            raise FormParserError("a header is too long")

    def _header_ends(self) -> None:
        if self._header.lower() == b"content-disposition":
            _, self._options = parse_options_header(self._value)
        self._header = self._value = b""

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._error:
            return
        self._content.append(data[start:end])
        self.held += end - start
        limits = self._runtime.settings.limits
        if b"filename" not in self._options:
            if self.held > _LONGEST_FIELD:
                raise FormParserError("a field is too long")
        elif self.held > limits.max_bytes:
            self.refuse(images.too_many_bytes(limits))

    def _end(self) -> None:
        content, self._content = b"".join(self._content), []
        name = self._options.get(b"name", b"").decode(errors="replace")
        if b"filename" in self._options:
            file_name = self._options[b"filename"].decode(errors="replace")
            id_ = self.ids.popleft() if self.ids else None
            self.files.append(File(name, file_name, content, Lease(self._runtime.bytes, 0, True), id_, self._error))
            self._files, self._nameless = True, self._nameless or id_ is None
            self._error, self.held = None, 0
            return
        value, self.held = content.decode(errors="replace"), 0
        if name == ID and self._ordered:
            self._another_id(value)
            return
        if self._files and self._ordered:
            raise errors.ParameterInvalid(f"The field `{name}` comes after a file; send it before the first one.")
        self.fields.append((name, value))
        if len(self.fields) > _MOST_FIELDS:
            raise FormParserError("there are too many fields")

    def _another_id(self, value: str) -> None:
        if len(value) > LONGEST_ID:
            raise errors.ParameterInvalid(f"Parameter `{ID}` should have at most {LONGEST_ID} characters.")
        if self._nameless:
            raise errors.ParameterInvalid(f"An `{ID}` comes after a file without one; send each `{ID}` before its file.")
        if len(self.ids) == MOST_FILES:
            raise errors.ParameterInvalid(f"At most {MOST_FILES} of the `{ID}` may come before their files.")
        self.ids.append(value)

    def _all(self) -> None:
        self._whole = True
