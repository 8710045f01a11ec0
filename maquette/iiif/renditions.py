"""The photographs of a manifest as files: each is fetched once, and is there whole or not at all."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePath

import httpx
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from maquette.client.errors import MaquetteError, make
from maquette.folders import atomic
from maquette.folders.photographs import SUFFIXES, Photograph
from maquette.iiif.manifest import Canvas
from protos.maquette.common.v1 import iiif

# A museum's image server is not ours to keep busy.
_AT_ONCE = 4
_PATIENCE = 60.0
_MOST_BYTES = 256 * 2**20
_MOST_INFORMATION = 1024 * 1024


def fetched(canvases: Sequence[Canvas], folder: Path, least: int | None) -> Iterator[Photograph | MaquetteError]:
    """The file of each canvas' photograph, in order, or why there is none; those that are in ``folder`` already stay.

    ``least``: pixels that the shorter side needs, of photographs that have a IIIF Image API; None: all there are.
    """
    with httpx.Client(follow_redirects=True, timeout=_PATIENCE) as client, ThreadPoolExecutor(_AT_ONCE) as pool:

        def fetch(canvas: Canvas) -> Photograph | MaquetteError:
            try:
                return _file(client, canvas, folder, least)
            except MaquetteError as error:
                return error

        try:
            yield from pool.map(fetch, canvases)
        finally:
            pool.shutdown(cancel_futures=True)


def name(canvas: Canvas, least: int | None) -> str:
    """The file's name: of the label what a file system takes, and a digest of the canvas and the size asked for."""
    label = re.sub(r"\W+", "-", canvas.label).strip("-")[:40]
    digest = hashlib.sha256(f"{canvas.id} {canvas.service or canvas.image} {least}".encode()).hexdigest()[:12]
    suffix = ".jpg" if canvas.service else PurePath(httpx.URL(canvas.image).path).suffix.lower()
    return f"{label or 'canvas'}-{digest}{suffix if suffix in SUFFIXES else '.jpg'}"


def _file(client: httpx.Client, canvas: Canvas, folder: Path, least: int | None) -> Photograph:
    if not (canvas.service or canvas.image):
        raise make("IMAGE_MISSING", f"The canvas {canvas.id} has no photograph painted on it.")
    try:
        path = folder / name(canvas, least)
        if not path.exists():
            atomic.write(path, [_bytes(client, _address(client, canvas, least), _MOST_BYTES)])
        return Photograph(path, PurePath(path.name))
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise make("SOURCE_FAILED", f"The photograph of {canvas.id} cannot be fetched: {said}.") from error


def _address(client: httpx.Client, canvas: Canvas, least: int | None) -> str:
    """Of an image server the rendition that suffices."""
    if canvas.service:
        address = canvas.service + iiif.INFORMATION
        return iiif.rendition(address, _bytes(client, address, _MOST_INFORMATION), least)
    return canvas.image


def _bytes(client: httpx.Client, address: str, most: int) -> bytes:
    retrying = Retrying(stop=stop_after_attempt(3), wait=wait_exponential(0.5), retry=retry_if_exception(_passes), reraise=True)
    return retrying(_read, client, address, most)


def _read(client: httpx.Client, address: str, most: int) -> bytes:
    with client.stream("GET", address) as response:
        response.raise_for_status()
        found = bytearray()
        for piece in response.iter_bytes():
            found += piece
            if len(found) > most:
                raise ValueError(f"it is longer than {most // 2**20} MiB")
        if not found:
            raise ValueError("the answer is empty")
        return bytes(found)


def _passes(error: BaseException) -> bool:
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code in (429, 500, 502, 503, 504)
    return isinstance(error, httpx.TransportError)
