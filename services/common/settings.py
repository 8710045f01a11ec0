"""Settings of one service process: read from the environment once, checked at start, frozen after."""

from __future__ import annotations

import ipaddress
import os
import sys
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.common.images import Limits

PREFIX = "MAQUETTE_"
ROOT = Path(__file__).parents[2]


class Ports(NamedTuple):
    http: int
    grpc: int


# Every service with the ports it listens on unless told otherwise.
SERVICES = {
    "classify": Ports(3001, 50051),
    "cluster_assign": Ports(3002, 50052),
    "embed_latent": Ports(3003, 50053),
    "remove_background": Ports(3004, 50054),
}


class SettingsError(Exception):
    """A variable is wrong; the message names it and says what it takes."""


class Settings(BaseSettings):
    """Each field is read from ``MAQUETTE_<FIELD>``; the table in ``services/README.md`` is made from these descriptions."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, env_ignore_empty=True)

    models: Path = Field(ROOT / "exported_models", description="folder of the bundles, one folder a service")
    model_version: str | None = Field(None, description="version to serve; unset: the highest there is")
    mask_model: Path | None = Field(None, description="embed_latent: bundle of the mask model that its parameter `mask` needs")
    host: str = Field("127.0.0.1", description="address both transports listen on (an IPv4 or IPv6 address)")
    http_port: int | None = Field(None, ge=1, le=65535, description="HTTP port; unset: the service's own")
    grpc_port: int | None = Field(None, ge=1, le=65535, description="gRPC port; unset: the service's own")
    workers: int = Field(1, ge=1, le=64, description="worker processes, each with its own copy of the model")
    threads: int = Field(
        default_factory=lambda: len(os.sched_getaffinity(0)),
        ge=1,
        le=256,
        description="threads for decoding and for the model, shared out among the workers; give it the CPU limit",
    )
    max_batch: int = Field(8, ge=1, le=256, description="photographs in one run of the model")
    max_queue: int = Field(64, ge=1, le=10_000, description="calls at work or waiting in a worker; further ones are OVERLOADED")
    max_mebibytes: int = Field(64, ge=1, le=1024, description="size of one encoded photograph, MiB")
    max_megapixels: int = Field(120, ge=1, le=1000, description="width x height of one photograph, by its header")
    mebibytes_in_flight: int = Field(256, ge=1, description="bytes of HTTP bodies a worker holds at once, MiB")
    megapixels_in_flight: int = Field(240, ge=1, description="decoded pixels a worker holds at once, in megapixels")
    stream_window: int = Field(8, ge=1, le=256, description="items of one gRPC stream at work at once")
    timeout_seconds: float = Field(30.0, gt=0, description="longest a photograph may take; a nearer gRPC deadline wins")
    drain_seconds: float = Field(10.0, ge=0, description="time for calls in flight to finish after SIGTERM")
    api_key: SecretStr | None = Field(None, description="when set, callers must send it (x-api-key or Authorization: Bearer)")
    tls_certificate: Path | None = Field(None, description="PEM certificate chain for both transports")
    tls_key: Path | None = Field(None, description="PEM private key for both transports")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="least severe line logged")
    log_format: Literal["json", "console"] = Field("json", description="one JSON object a line, or text for people")

    @field_validator("host")
    @classmethod
    def _address(cls, host: str) -> str:
        return str(ipaddress.ip_address(host))

    @field_validator("tls_certificate", "tls_key")
    @classmethod
    def _readable(cls, path: Path | None) -> Path | None:
        if path is not None and not path.is_file():
            raise ValueError("no such file")
        return path

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError(f"set both {PREFIX}TLS_CERTIFICATE and {PREFIX}TLS_KEY, or neither")
        return self

    @cached_property
    def limits(self) -> Limits:
        return Limits(max_bytes=self.max_mebibytes * 2**20, max_pixels=self.max_megapixels * 1_000_000)

    @property
    def lanes(self) -> int:
        """Model runs at once in one worker, each on one thread: the way two cores answer the most photographs."""
        return max(1, self.threads // self.workers)

    def ports(self, service: str) -> Ports:
        own = SERVICES[service]
        return Ports(self.http_port or own.http, self.grpc_port or own.grpc)

    @staticmethod
    def strangers() -> list[str]:
        """Variables that look like settings and are none: a misspelt limit does not hold, and nobody would know."""
        known = {PREFIX + name.upper() for name in Settings.model_fields}
        return sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)


def url_host(address: str) -> str:
    """An IP address as URLs and gRPC targets write it."""
    return f"[{address}]" if ":" in address else address


def load() -> Settings:
    """Read the environment. Raises :class:`SettingsError` with one line for each wrong variable."""
    try:
        return Settings()
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            variable = f"{PREFIX}{str(problem['loc'][0]).upper()}: " if problem["loc"] else ""
            lines.append(variable + problem["msg"].removeprefix("Value error, "))
        raise SettingsError("; ".join(lines)) from None


def load_or_exit() -> Settings:
    """:func:`load` for a process that is just starting: a wrong variable ends it with one sentence and status 2."""
    try:
        return load()
    except SettingsError as error:
        sys.stderr.write(f"maquette: {error}\n")
        raise SystemExit(2) from None
