"""Settings of one service process: read from the environment once, checked at start, frozen after."""

from __future__ import annotations

import ipaddress
import os
import re
import sys
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from services.common.images import Limits
from services.common.keys import SHORTEST, Keys
from services.common.sources import Source
from services.common.sources import read as read_sources

PREFIX = "MAQUETTE_"
_ORIGIN = re.compile(r"https?://[^/\s,*]+")
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
    precision: Literal["auto", "float32", "int8"] = Field(
        "auto", description="which graph of a bundle answers; auto: the faster one on this machine, if it holds an int8 twin"
    )
    mask_model: Path | None = Field(None, description="embed_latent: bundle of the mask model that its parameter `mask` needs")
    host: str = Field("127.0.0.1", description="address both transports listen on (an IPv4 or IPv6 address)")
    http_port: int | None = Field(None, ge=1, le=65535, description="HTTP port; unset: the service's own")
    grpc_port: int | None = Field(None, ge=1, le=65535, description="gRPC port; unset: the service's own")
    threads: int = Field(
        default_factory=lambda: len(os.sched_getaffinity(0)),
        ge=1,
        le=256,
        description="threads for decoding and as many for the model; give it the CPU limit",
    )
    max_batch: int = Field(8, ge=1, le=256, description="photographs in one run of the model")
    max_queue: int = Field(64, ge=1, le=10_000, description="calls at work or waiting; further ones are OVERLOADED")
    max_mebibytes: int = Field(64, ge=1, le=1024, description="size of one encoded photograph, MiB")
    max_megapixels: int = Field(120, ge=1, le=1000, description="width x height of one photograph, by its header")
    mebibytes_in_flight: int = Field(256, ge=1, description="bytes of messages and answers held at once, both transports, MiB")
    megapixels_in_flight: int = Field(
        240, ge=1, description="decoded pixels held at once, in megapixels; deep pixels and cut-outs count for more"
    )
    max_connections: int = Field(512, ge=1, le=65_536, description="HTTP connections at once; further ones are OVERLOADED")
    max_streams: int = Field(
        16,
        ge=1,
        le=1024,
        description=(
            "gRPC streams at once, and a quarter as many HTTP batches; a further stream takes the place of an idle one"
        ),
    )
    stream_window: int = Field(8, ge=1, le=256, description="items of one gRPC stream or HTTP batch at work at once")
    wait_seconds: float = Field(10.0, gt=0, description="longest a call waits for room before it is OVERLOADED")
    idle_seconds: float = Field(10.0, gt=0, description="longest a caller may send nothing, or read nothing, of a message")
    timeout_seconds: float = Field(
        30.0,
        gt=0,
        description="longest a body may take to arrive, and then an answer once it is let in; a nearer deadline wins",
    )
    connection_age_seconds: float = Field(
        300.0,
        ge=1,
        description="age, within a tenth, at which a connection is asked to end, so that its caller finds new replicas",
    )
    connection_grace_seconds: float = Field(
        300.0, ge=1, description="longest that the streams of a gRPC connection may go on beyond its age"
    )
    sources: Annotated[tuple[Source, ...], NoDecode] = Field(
        (),
        description=(
            "hosts that photographs are fetched from by `image_url`, such as images.example.org:8443, separated by commas; "
            "unset: none"
        ),
    )
    max_fetches: int = Field(8, ge=1, le=256, description="photographs fetched from one of the sources at once")
    drain_seconds: float = Field(10.0, ge=0, description="time for calls in flight to finish after SIGTERM")
    api_key: SecretStr | None = Field(
        None, description="when set, callers must send it (x-api-key or Authorization: Bearer); at least 16 characters"
    )
    api_keys_file: Path | None = Field(
        None, description='TOML file of further keys, `name = "key"` a line; read again when it changes; the name is logged'
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="origins whose web pages may ask, such as https://example.org, separated by commas; unset: none"
    )
    tls_certificate: Path | None = Field(None, description="PEM certificate chain for both transports")
    tls_key: Path | None = Field(None, description="PEM private key for both transports")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="least severe line logged")
    log_format: Literal["json", "console"] = Field("json", description="one JSON object a line, or text for people")

    @field_validator("host")
    @classmethod
    def _address(cls, host: str) -> str:
        return str(ipaddress.ip_address(host))

    @field_validator("api_key")
    @classmethod
    def _guessable(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and len(key.get_secret_value()) < SHORTEST:
            raise ValueError(f"should have at least {SHORTEST} characters; leave the variable out to serve without a key")
        return key

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _origins(cls, value: object) -> object:
        origins = tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value
        for origin in origins if isinstance(origins, tuple) else ():
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise ValueError(f"`{origin}` is no origin; one is like https://example.org, without a path")
        return origins

    @field_validator("sources", mode="before")
    @classmethod
    def _hosts(cls, value: object) -> object:
        return read_sources(value) if isinstance(value, str) else value

    @field_validator("tls_certificate", "tls_key")
    @classmethod
    def _readable(cls, path: Path | None) -> Path | None:
        if path is not None and not path.is_file():
            raise ValueError("no such file")
        return path

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if self.api_key is None and f"{PREFIX}API_KEY" in os.environ:
            # `export MAQUETTE_API_KEY=$(a command that failed)` must not open the service.
            raise ValueError(f"{PREFIX}API_KEY: is empty; set a key, or leave the variable out to serve without one")
        _ = self.keys
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError(f"set both {PREFIX}TLS_CERTIFICATE and {PREFIX}TLS_KEY, or neither")
        return self

    @cached_property
    def keys(self) -> Keys:
        """Raises ``ValueError`` for a file of keys that is wrong."""
        return Keys(self.api_key.get_secret_value() if self.api_key else None, self.api_keys_file)

    @cached_property
    def limits(self) -> Limits:
        return Limits(max_bytes=self.max_mebibytes * 2**20, max_pixels=self.max_megapixels * 1_000_000)

    @property
    def lanes(self) -> int:
        """Model runs at once, each on one thread: the setting that gave the highest throughput on two cores."""
        return self.threads

    def ports(self, service: str) -> Ports:
        own = SERVICES[service]
        return Ports(self.http_port or own.http, self.grpc_port or own.grpc)

    @staticmethod
    def unknown_variables() -> list[str]:
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
