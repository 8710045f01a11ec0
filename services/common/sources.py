"""From where photographs may be fetched: what ``MAQUETTE_SOURCES`` lists, and the one address that a connection goes to.

A host is named by the operator, never by a caller. Its name is looked up for every connection, every address that it has is
judged, and the connection goes to one of the addresses that were judged: a name that changes its mind between the two has
nothing to change (DNS rebinding).
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import httpcore
import httpx

from services.common import errors

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9_]([a-z0-9._-]*[a-z0-9])?|[0-9a-f:]+:[0-9a-f:.]*")
_WANTED = (
    "should list hosts such as images.example.org, images.example.org:8443, http://10.1.2.3 or http://iiif.lan=10.1.0.0/16"
)
# Of a name's addresses, those that are tried.
_MOST_ADDRESSES = 16


@dataclass(frozen=True, slots=True)
class Source:
    """A host from which photographs may be fetched: over this scheme and port, and nothing else.

    ``network``: addresses inside it are reached although they are private; None where only public ones are. A host that is
    itself an address has itself for a network.
    """

    scheme: str
    host: str
    port: int
    network: Network | None = None

    @classmethod
    def read(cls, entry: str) -> Source:
        """``[http[s]://]HOST[:PORT][=ADDRESS or NETWORK]``. Raises ``ValueError`` with a sentence for the operator."""
        name, equals, network = entry.partition("=")
        try:
            url = httpx.URL(name if "://" in name else f"https://{name}")
            if url.scheme not in _PORTS or url.path not in ("", "/") or name.endswith("/") or url.userinfo or url.query:
                raise ValueError
            if not _HOST.fullmatch(host_of(url)) or url.fragment or not 0 < (url.port or 1) < 65_536:
                raise ValueError
            within = ipaddress.ip_network(network) if equals else _as_network(host_of(url))
        except (httpx.InvalidURL, ValueError):
            raise ValueError(f"`{entry}` is no source; it {_WANTED}") from None
        return cls(url.scheme, host_of(url), url.port or _PORTS[url.scheme], within)

    def permits(self, address: Address) -> bool:
        """Whether a connection may go there."""
        plain = getattr(address, "ipv4_mapped", None) or address
        if self.network is not None:
            return plain.version == self.network.version and plain in self.network
        return is_public(plain)


def is_public(address: Address) -> bool:
    """Whether it is an address of the open internet: not private, loopback, link-local, multicast or reserved, and no IPv6
    address that leads to an IPv4 one (mapped, 6to4, Teredo, NAT64).
    """
    if isinstance(address, ipaddress.IPv6Address) and (address.sixtofour or address.teredo or address.is_site_local):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


def read(entries: str | Iterable[str]) -> tuple[Source, ...]:
    """Entries separated by commas -> sources. Raises ``ValueError``."""
    parts = entries.split(",") if isinstance(entries, str) else entries
    found: dict[tuple[str, str, int], Source] = {}
    for source in (Source.read(part.strip()) for part in parts):
        if found.setdefault((source.scheme, source.host, source.port), source) is not source:
            raise ValueError(f"`{source.host}` is listed twice; it {_WANTED}, each once")
    return tuple(found.values())


def find(sources: Sequence[Source], url: httpx.URL) -> Source:
    """The source that ``url`` is of. Raises ``SourceNotAllowed``."""
    if url.scheme not in _PORTS or not url.host:
        raise errors.SourceNotAllowed("The address is no https:// or http:// address; send one, or the bytes.")
    if url.userinfo:
        raise errors.SourceNotAllowed("The address holds a user name; send it without.")
    asked = (url.scheme, host_of(url), url.port or _PORTS[url.scheme])
    for source in sources:
        if asked == (source.scheme, source.host, source.port):
            return source
    raise errors.SourceNotAllowed(
        f"The service does not fetch from {url.scheme}://{url.netloc.decode()[:100]}; send the bytes, "
        "or have the host listed in MAQUETTE_SOURCES."
    )


class Backend(httpcore.AsyncNetworkBackend):
    """Connections of one source, each to an address that was looked up and judged for it."""

    def __init__(self, source: Source) -> None:
        self._source, self._plain = source, httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (httpcore's)
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.AsyncNetworkStream:
        """Raises ``SourceNotAllowed`` where the name has an address that is not for callers, and what httpcore does."""
        failure: Exception = httpcore.ConnectError("the name has no address")
        for address in judged(self._source, await _looked_up(host, port, timeout))[:_MOST_ADDRESSES]:
            try:
                return await self._plain.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


def judged(source: Source, addresses: Sequence[Address]) -> Sequence[Address]:
    """The same addresses. Raises ``SourceNotAllowed`` where one of them is not for callers, whatever the others are."""
    if not all(source.permits(address) for address in addresses):
        raise errors.SourceNotAllowed(
            f"{source.host} leads to an address inside a network, where this service fetches nothing; send the bytes."
        )
    return addresses


async def _looked_up(host: str, port: int, seconds: float | None) -> list[Address]:
    try:
        async with asyncio.timeout(seconds):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError:
        raise httpcore.ConnectTimeout from None
    except (OSError, UnicodeError):
        raise httpcore.ConnectError("the name is not known") from None
    # A zone (fe80::1%eth0) belongs to an address that nobody may reach, and only `ip_address` must not stumble over it.
    return list(dict.fromkeys(ipaddress.ip_address(str(entry[4][0])) for entry in found))


def host_of(url: httpx.URL) -> str:
    """Its host as it is looked up: in lower case, names of other scripts in Punycode, IPv6 without brackets."""
    return url.raw_host.decode("ascii")


def _as_network(host: str) -> Network | None:
    try:
        return ipaddress.ip_network(host)
    except ValueError:
        return None
