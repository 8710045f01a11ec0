"""Multipart forms, parsed while they arrive: files are handed on one by one, each copied once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
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
# What multipart or JSON wraps around the photograph, and the other fields. The longest of them is an adapter of the mask model.
OVERHEAD = 512 * 1024
_MOST_FIELDS, _LONGEST_FIELD, _LONGEST_HEADER = 32, 192 * 1024, 16 * 1024


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


def media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


class Form:
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
        if media_type(request) != "multipart/form-data" or not boundary:
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
        if self._after > OVERHEAD:
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
        if len(self._header) + len(self._value) > _LONGEST_HEADER:
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
