"""Photographs by address: fetched from the hosts of ``MAQUETTE_SOURCES``, with the bounds that a body has.

Every hop of a redirect is held to the list, and every connection to the addresses that its source permits (``sources.py``).
Bytes are taken from the budget of the process before they are read. A source answers so many at once: a slow one holds up who
asks of it, and nobody else.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpcore
import httpx

from protos.maquette.common.v1 import iiif
from services.common import errors, images, sources, telemetry
from services.common.admission import Budget, Lease
from services.common.settings import Settings

FIELD = "image_url"
LONGEST = 4096
_MOST_HOPS = 5
_MOST_INFORMATION = 256 * 1024
_REDIRECTS = (301, 302, 303, 307, 308)
_JSON = ("application/json", "application/ld+json")
_KEPT_SECONDS = 5.0
# Pieces of fewer bytes than this, beyond so many, are work for the event loop and no photograph.
_CRUMB, _CRUMBS = 256, 1000
_AGENT = (b"user-agent", b"maquette")


@dataclass
class _Answer:
    """The bytes that ``url`` answered, which the lease counts."""

    url: httpx.URL
    media_type: str
    data: bytes
    lease: Lease


class Fetcher:
    """What one process fetches. ``room`` are its bytes, for both transports."""

    def __init__(self, settings: Settings, room: Budget) -> None:
        self._settings, self._room, self._sources = settings, room, settings.sources
        self._places: dict[sources.Source, Budget] = {}
        self._pools: dict[sources.Source, httpcore.AsyncConnectionPool] = {}
        if self._sources:
            trusted = httpx.create_ssl_context()
            for source in self._sources:
                self._places[source] = Budget(
                    settings.max_fetches, f"Too many photographs are being fetched from {source.host}; try again after a pause."
                )
                self._pools[source] = httpcore.AsyncConnectionPool(
                    trusted, max_connections=None, keepalive_expiry=_KEPT_SECONDS, network_backend=sources.Backend(source)
                )

    async def stop(self) -> None:
        for pool in self._pools.values():
            await pool.aclose()

    async def photograph(self, address: str, least: int | None, *, bulk: bool) -> tuple[bytes, Lease]:
        """The encoded photograph at ``address``, and the lease of its bytes, which the caller gives back.

        ``least``: pixels that its shorter side needs, of an image server that makes renditions; None: all there are.
        ``bulk``: for an item of a stream. Raises ``ParameterInvalid``, ``SourceNotAllowed``, ``SourceFailed``,
        ``SourceTimeout``, ``ImageTooManyBytes`` and ``Overloaded``.
        """
        if not self._sources:
            raise errors.SourceNotAllowed(
                "This service fetches no photographs (MAQUETTE_SOURCES lists no host); send the bytes."
            )
        url = _parsed(address)
        places, settings = self._places[sources.find(self._sources, url)], self._settings
        with await places.take(1, bulk=bulk, wait=settings.wait_seconds), telemetry.RECEIVING.track_inprogress():
            try:
                async with asyncio.timeout(settings.timeout_seconds):
                    answer = await self._found(url, least, bulk)
            except (TimeoutError, httpcore.TimeoutException):
                raise errors.SourceTimeout(
                    "The source did not send the photograph in time; try again, or send the bytes."
                ) from None
            except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol):
                raise errors.SourceFailed(
                    "The source could not be reached or broke off; look whether the address opens, or send the bytes."
                ) from None
        return answer.data, answer.lease

    async def _found(self, url: httpx.URL, least: int | None, bulk: bool) -> _Answer:
        """The photograph itself, of an image server the rendition that suffices."""
        whole = iiif.whole(_path(url)) if least is not None else None
        if whole:
            information, last = whole
            with suppress(errors.SourceFailed):  # no image server after all, or one that makes no smaller ones
                return await self._rendition(await self._answer(_at(url, information), bulk), least, bulk, last)
        answer = await self._answer(url, bulk)
        return await self._rendition(answer, least, bulk) if answer.media_type in _JSON else answer

    async def _rendition(self, information: _Answer, least: int | None, bulk: bool, last: str = iiif.LAST) -> _Answer:
        with information.lease:
            try:
                path = iiif.rendition(_path(information.url), information.data, least, last)
            except ValueError:
                raise errors.SourceFailed(
                    "The address leads to no photograph and no info.json of the IIIF Image API 2 or 3; send a photograph's."
                ) from None
        photograph = await self._answer(_at(information.url, path), bulk)
        if photograph.media_type in _JSON:
            photograph.lease.release()
            raise errors.SourceFailed("The image server answered JSON for a photograph; send the bytes.")
        return photograph

    async def _answer(self, url: httpx.URL, bulk: bool) -> _Answer:
        """What the address answers with 200, after redirects within the list."""
        for _ in range(_MOST_HOPS):
            pool, answer = self._pools[sources.find(self._sources, url)], None
            try:
                async with self._asked(pool, url) as response:
                    if response.status not in _REDIRECTS:
                        answer = await self._read(url, response, bulk)
                    location = _header(response, b"location")
            except BaseException:  # also where it is cancelled while it lets go of the connection
                if answer:
                    answer.lease.release()
                raise
            if answer:
                return answer
            try:
                url = url.join(location)
            except (httpx.InvalidURL, ValueError):
                raise errors.SourceFailed("The source redirects to what is no address; send the bytes.") from None
        raise errors.SourceFailed(f"The source redirects more than {_MOST_HOPS} times; send the address it leads to.")

    def _asked(self, pool: httpcore.AsyncConnectionPool, url: httpx.URL) -> Any:
        idle = self._settings.idle_seconds
        return pool.stream(
            "GET",
            httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=[(b"host", url.netloc), (b"accept", b"image/*, */*;q=0.1"), (b"accept-encoding", b"identity"), _AGENT],
            extensions={"timeout": {"connect": idle, "read": idle, "write": idle, "pool": idle}},
        )

    async def _read(self, url: httpx.URL, response: httpcore.Response, bulk: bool) -> _Answer:
        if response.status != 200:
            raise errors.SourceFailed(
                f"The source answered {response.status}; look whether the address opens, or send the bytes."
            )
        if _header(response, b"content-encoding") not in ("", "identity"):
            raise errors.SourceFailed("The source compresses the file once more (Content-Encoding); send the bytes.")
        media_type = _header(response, b"content-type").partition(";")[0].strip().lower()
        limits = self._settings.limits
        too_large: errors.MaquetteError = images.too_many_bytes(limits)
        most = limits.max_bytes
        if media_type in _JSON:
            most, too_large = _MOST_INFORMATION, errors.SourceFailed("The source's info.json is too long; send the bytes.")
        length = _header(response, b"content-length")
        declared = int(length) if length.isdecimal() and len(length) < 20 else None
        if declared is not None and declared > most:
            raise too_large
        lease = await self._room.take(declared or 0, bulk=bulk or declared is None, wait=self._settings.wait_seconds)
        try:
            pieces, received = [], 0
            async for piece in response.aiter_stream():
                received += len(piece)
                if received > most:
                    raise too_large
                if declared is None:
                    lease.grow(len(piece))
                pieces.append(piece)
                if len(pieces) > _CRUMBS + received // _CRUMB:
                    raise errors.SourceFailed("The source sends the file in crumbs, each of which costs time; send the bytes.")
            if not received:
                raise errors.SourceFailed("The source answered nothing; look whether the address opens, or send the bytes.")
            return _Answer(url, media_type, b"".join(pieces), lease)
        except BaseException:
            lease.release()
            raise


def _parsed(address: str) -> httpx.URL:
    if len(address) > LONGEST:
        raise errors.ParameterInvalid(f"Parameter `{FIELD}` should have at most {LONGEST} characters.")
    try:
        return httpx.URL(address).copy_with(fragment=None)
    except (httpx.InvalidURL, ValueError):
        raise errors.ParameterInvalid(f"Parameter `{FIELD}` should be an address, such as https://example.org/a.jpg.") from None


def _path(url: httpx.URL) -> str:
    return url.raw_path.decode("ascii")


def _at(url: httpx.URL, path: str) -> httpx.URL:
    return url.copy_with(raw_path=path.encode("ascii"))


def _header(response: httpcore.Response, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in response.headers if key.lower() == name), "")
