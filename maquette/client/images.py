"""One image read on this side, to be sent."""

from __future__ import annotations

import hashlib
import os
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from maquette.client.errors import FileFailed, MaquetteError, make

# A protobuf message ends at 2 GiB; the rest of the request needs a little.
MAX_BYTES = 2**31 - 2**16

Image = bytes | str | os.PathLike[str] | BinaryIO


@dataclass(frozen=True, slots=True)
class Loaded:
    """An image to be sent: its bytes and their lower-case hex sha256, or why there are none."""

    path: Path | None
    data: bytes
    sha256: str
    error: MaquetteError | None = None


def load(image: Image) -> Loaded:
    """Read and hash one image: bytes as they are, a file object from where it stands to its end.

    A file that cannot be read is an error of that item, not an exception.
    """
    if isinstance(image, bytes):
        return Loaded(None, image, hashlib.sha256(image).hexdigest())
    path = Path(image) if isinstance(image, (str, os.PathLike)) else None
    try:
        with nullcontext(cast(BinaryIO, image)) if path is None else path.open("rb") as stream:
            size = 0 if path is None else os.fstat(stream.fileno()).st_size
            data: Any = stream.read(MAX_BYTES + 1) if size <= MAX_BYTES else b""
    except OSError as error:
        return Loaded(path, b"", "", FileFailed("FILE_UNREADABLE", f"The file cannot be read: {error.strerror or error}."))
    if not isinstance(data, bytes):
        return Loaded(path, b"", "", make("PARAMETER_INVALID", "The file object gives text; open it in binary mode, 'rb'."))
    if max(size, len(data)) > MAX_BYTES:
        detail = f"The file has {max(size, len(data)) / 2**30:.1f} GiB; no request can carry that."
        return Loaded(path, b"", "", make("IMAGE_TOO_MANY_BYTES", detail))
    return Loaded(path, data, hashlib.sha256(data).hexdigest())
