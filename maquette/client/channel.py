"""From what a user calls the server to an open gRPC channel: address, TLS, keep-alive."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import grpc

from maquette.client.errors import FileFailed, ParameterInvalid
from maquette.client.services import CONTRACTS, Service

_SCHEMES = {"http": False, "grpc": False, "https": True, "grpcs": True}
# A server whose packets vanish says nothing; within 15 s of silence its calls fail as UNAVAILABLE and go elsewhere.
KEEPALIVE = [("grpc.keepalive_time_ms", 10_000), ("grpc.keepalive_timeout_ms", 5_000), ("grpc.http2.max_pings_without_data", 0)]


@dataclass(frozen=True, slots=True)
class Address:
    """Where one service listens."""

    host: str
    port: int
    tls: bool

    @property
    def target(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, server: str, service: Service, *, ca: Path | None = None) -> Address:
        """``HOST``, ``HOST:PORT``, or either after ``grpc://``, ``http://``, ``grpcs://`` or ``https://``.

        Without a port it is the service's own default. TLS is used after the last two, or when ``ca`` is given.
        Raises :class:`ParameterInvalid`.
        """
        scheme, separator, rest = server.strip().rpartition("://")
        try:
            parts = urlsplit(f"//{rest}")
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port, parts = None, None, urlsplit("")
        extra = parts.path not in ("", "/") or parts.query or parts.fragment or parts.username is not None
        if not host or port == 0 or extra or (separator and scheme not in _SCHEMES):
            raise ParameterInvalid(
                "PARAMETER_INVALID", f"{server!r} is no server: write HOST or HOST:PORT, after grpcs:// for TLS."
            )
        if separator and not _SCHEMES[scheme] and ca:
            raise ParameterInvalid("PARAMETER_INVALID", f"A CA file was given, but {scheme}:// asks for no TLS.")
        return cls(host, port or CONTRACTS[service].port, _SCHEMES.get(scheme, False) or ca is not None)


def open_channel(address: Address, ca: Path | None = None) -> grpc.Channel:
    """A channel that connects on first use. Raises :class:`FileFailed` when the CA file cannot be read."""
    options = [
        # All addresses of the name take turns.
        ("grpc.service_config", json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})),
        # Retries are ours (retry.py): gRPC's would stand inside them, and multiply the attempts.
        ("grpc.enable_retries", 0),
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        # Names are asked anew whenever a connection ends, at most so often. With gRPC's own 30 s new replicas are found late.
        ("grpc.dns_min_time_between_resolutions_ms", 5_000),
        ("grpc.initial_reconnect_backoff_ms", 250),
        ("grpc.min_reconnect_backoff_ms", 250),
        ("grpc.max_reconnect_backoff_ms", 3000),
        *KEEPALIVE,
        ("grpc.primary_user_agent", "maquette-client"),
    ]
    if not address.tls:
        return grpc.insecure_channel(address.target, options=options)
    try:
        roots = ca.read_bytes() if ca else None
    except OSError as error:
        raise FileFailed("FILE_UNREADABLE", f"The CA file {ca} cannot be read: {error.strerror}.") from error
    return grpc.secure_channel(address.target, grpc.ssl_channel_credentials(root_certificates=roots), options=options)
