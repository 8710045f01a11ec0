"""Services as real processes, and one way to call them over either transport."""

from __future__ import annotations

import base64
import importlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import grpc
import httpx
import psutil
import pytest
from google.protobuf import json_format
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).parents[1]
# The one policy of docs/client.md, for a plain gRPC client.
RETRY = {
    "maxAttempts": 5,
    "initialBackoff": "0.5s",
    "maxBackoff": "5s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED", "CANCELLED"],
}
on_both = pytest.mark.parametrize("transport", ["http", "grpc"])
# What holds work; all of them are zero when nobody asks anything.
_HELD = [f"maquette_{name}" for name in ("at_work", "receiving", "bytes_received", "pixels_in_flight", "queue_length")]
# No assertion hangs on these: they only end a test whose service is stuck.
_PATIENCE = 180.0


@dataclass(frozen=True)
class Kind:
    """How one service is called. ``noun``: its question; ``path``: the path it had in 0.1, an alias until 0.3."""

    name: str
    noun: str
    path: str
    rpc: str
    gets: Mapping[str, str]

    @cached_property
    def pb(self) -> Any:
        return importlib.import_module(f"protos.maquette.{self.name}.v1.{self.name}_pb2")

    @cached_property
    def service(self) -> Any:
        return self.pb.DESCRIPTOR.services_by_name[f"{self.camel}Service"]

    @property
    def camel(self) -> str:
        return "".join(word.title() for word in self.name.split("_"))

    def stub(self, channel: grpc.Channel) -> Any:
        module = importlib.import_module(f"protos.maquette.{self.name}.v1.{self.name}_pb2_grpc")
        return getattr(module, f"{self.camel}ServiceStub")(channel)

    def request(self, image: bytes, **parameters: Any) -> Any:
        """The request of the unary call; parameters are spelled as over HTTP."""
        enums = {"both-as-json": "both"}
        for name in ("output", "frame"):
            if isinstance(parameters.get(name), str):
                word = enums.get(parameters[name], parameters[name])
                parameters[name] = f"{name}_{word}".upper()
        return getattr(self.pb, f"{self.rpc}Request")(image=image, **parameters)

    def item(self, id_: str, image: bytes, **parameters: Any) -> Any:
        """One item of a stream."""
        return getattr(self.pb, f"{self.rpc}StreamRequest")(id=id_, request=self.request(image, **parameters))


KINDS = {
    kind.name: kind
    for kind in (
        Kind("classify", "/v1/classifications", "/v1/classify", "Classify", {"/v1/model": "GetModel"}),
        Kind(
            "cluster_assign",
            "/v1/assignments",
            "/v1/cluster-assign",
            "Assign",
            {"/v1/model": "GetModel", "/v1/clusters": "ListClusters"},
        ),
        Kind("embed_latent", "/v1/embeddings", "/v1/embed-latent", "Embed", {"/v1/model": "GetModel", "/v1/space": "GetSpace"}),
        Kind("remove_background", "/v1/masks", "/v1/remove-background", "RemoveBackground", {"/v1/model": "GetModel"}),
    )
}


class Refused(Exception):
    """An error answer, as either transport carries it. ``status`` is HTTP's number or gRPC's code."""

    def __init__(self, code: str, detail: str, status: Any, request_id: str, retry_after: int | None) -> None:
        super().__init__(f"{code}: {detail}")
        self.code, self.detail, self.status, self.request_id, self.retry_after = code, detail, status, request_id, retry_after

    @classmethod
    def from_http(cls, response: httpx.Response) -> Refused:
        assert response.headers["content-type"] == "application/problem+json", response.text
        body = response.json()
        assert set(body) - {"retry_after"} == {"type", "title", "status", "detail", "code", "request_id"}
        assert body["status"] == response.status_code
        assert response.headers["x-request-id"] == body["request_id"]
        assert body["type"] == "urn:maquette:error:" + body["code"].lower().replace("_", "-")
        retry = response.headers.get("retry-after")
        assert body.get("retry_after") == (int(retry) if retry else None)
        return cls(body["code"], body["detail"], response.status_code, body["request_id"], int(retry) if retry else None)

    @classmethod
    def from_grpc(cls, error: Any) -> Refused:
        status = rpc_status.from_call(error)
        if status is None:  # gRPC's own, not the service's
            return cls("", error.details() or "", error.code(), "", None)
        info, request, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RequestInfo(), error_details_pb2.RetryInfo()
        retry_after = None
        for detail in status.details:
            detail.Unpack(info)
            detail.Unpack(request)
            if detail.Unpack(retry):
                retry_after = retry.retry_delay.seconds
        assert info.domain == "maquette"
        assert dict(error.trailing_metadata())["x-request-id"] == info.metadata["request_id"] == request.request_id
        assert status.message == error.details()
        return cls(info.reason, status.message, error.code(), request.request_id, retry_after)


class Served:
    """One service running as ``python -m services NAME``."""

    def __init__(
        self, name: str, home: Path, environment: Mapping[str, str], authority: Any = None, folder: Path = ROOT
    ) -> None:
        """``authority`` is the trustme CA that signed the server's certificate, where it has one."""
        self.kind = KINDS[name]
        self._authority = authority
        self.http_port, self.grpc_port = free_ports(2)
        self.host = environment.get("MAQUETTE_HOST", "127.0.0.1")
        self._log = home / f"{name}-{self.http_port}.log"
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("MAQUETTE_")}
        ports = {"MAQUETTE_HTTP_PORT": str(self.http_port), "MAQUETTE_GRPC_PORT": str(self.grpc_port)}
        settings = {"MAQUETTE_LOG_FORMAT": "json", "MAQUETTE_THREADS": "2", **ports, **environment}
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services", name],
                cwd=folder,
                env=inherited | settings,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @cached_property
    def http(self) -> httpx.Client:
        context: Any = True
        if self._authority:
            context = ssl.create_default_context()
            self._authority.configure_trust(context)
        scheme = "https" if self._authority else "http"
        return httpx.Client(base_url=f"{scheme}://{self.host}:{self.http_port}", timeout=_PATIENCE, verify=context)

    @cached_property
    def channel(self) -> grpc.Channel:
        address = f"{self.host}:{self.grpc_port}"
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        if self._authority:
            credentials = grpc.ssl_channel_credentials(self._authority.cert_pem.bytes())
            return grpc.secure_channel(address, credentials, options)
        return grpc.insecure_channel(address, options)

    @property
    def stub(self) -> Any:
        return self.kind.stub(self.channel)

    def call(
        self,
        transport: str,
        image: bytes,
        *,
        headers: Mapping[str, str] | None = None,
        **parameters: Any,
    ) -> dict[str, Any]:
        """The answer as a dict of the proto's field names (bytes in base64). Raises :class:`Refused`."""
        if transport == "http":
            response = self.http.post(
                self.kind.noun, content=image, params=parameters, headers={"content-type": "image/png", **(headers or {})}
            )
            return read(response)
        try:
            request = self.kind.request(image, **parameters)
            method = getattr(self.stub, self.kind.rpc)
            return as_dict(method(request, timeout=_PATIENCE, metadata=tuple((headers or {}).items())))
        except grpc.RpcError as error:
            raise Refused.from_grpc(error) from None

    def get(self, transport: str, path: str) -> dict[str, Any]:
        """The answer to one of the kind's GET questions."""
        if transport == "http":
            return read(self.http.get(path))
        rpc = self.kind.gets[path]
        try:
            return as_dict(getattr(self.stub, rpc)(getattr(self.kind.pb, f"{rpc}Request")(), timeout=_PATIENCE))
        except grpc.RpcError as error:
            raise Refused.from_grpc(error) from None

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples of one metric that have these labels."""
        families = text_string_to_metric_families(self.http.get("/metrics").text)
        samples = [sample for family in families for sample in family.samples if sample.name == name]
        return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())

    def held(self) -> dict[str, float]:
        """Every gauge of work that is not zero."""
        return {name: value for name in _HELD if (value := self.metric(name))}

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def log_lines(self) -> list[dict[str, Any]]:
        """The service's own lines."""
        return [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]

    def until_ready(self) -> Served:
        until(lambda: self._status("/readyz") == httpx.codes.OK, lambda: f"not ready:\n{self.log}", self.process)
        return self

    def until_listening(self) -> Served:
        until(lambda: self._status("/livez") == httpx.codes.OK, lambda: f"not listening:\n{self.log}", self.process)
        return self

    def _status(self, path: str) -> int:
        try:
            return self.http.get(path).status_code
        except httpx.TransportError:
            return 0

    def terminate(self) -> None:
        """Ask it to drain, without waiting."""
        self.process.send_signal(signal.SIGTERM)

    def stop(self) -> str:
        """Drain, wait for the end and answer what it logged; the exit status is ``process.returncode``."""
        if self.process.poll() is None:
            self.terminate()
        self.process.wait(_PATIENCE)
        self.close()
        return self.log

    def close(self) -> None:
        """Let go of the clients."""
        self.http.close()
        self.channel.close()

    def resident(self) -> int:
        """Resident memory of the whole process tree, bytes."""
        return sum(process.memory_info().rss for process in self._tree())

    def peak(self) -> int:
        """The most that the processes have ever held resident, bytes; where the system does not tell, what they hold."""
        return sum(_peak(process) for process in self._tree())

    def _tree(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


def _peak(process: psutil.Process) -> int:
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        return int(process.memory_info().rss)
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def read(response: httpx.Response) -> dict[str, Any]:
    """An HTTP answer as a dict of the proto's fields; a picture takes its field's place. Raises :class:`Refused`."""
    if response.status_code != httpx.codes.OK:
        raise Refused.from_http(response)
    if response.headers["content-type"] == "image/png":
        answer = json.loads(response.headers["x-maquette-answer"])
        field = "mask" if response.request.url.params.get("output", "mask") == "mask" else "cutout"
        return {**answer, field: base64.b64encode(response.content).decode()}
    assert response.headers["content-type"] == "application/json"
    return dict(response.json())


def as_dict(message: Any) -> dict[str, Any]:
    return json_format.MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def alike(one: Any, other: Any) -> bool:
    """Equal but for the last digits of numbers."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(alike, one, other))
    return bool(one == pytest.approx(other, abs=1e-5)) if isinstance(one, float) else bool(one == other)


def until(true: Callable[[], Any], otherwise: Callable[[], str], process: subprocess.Popen[bytes] | None = None) -> None:
    """Wait for a condition; fail when it does not come, or when ``process`` ends before."""
    deadline = time.monotonic() + _PATIENCE
    while not true():
        if time.monotonic() > deadline or (process is not None and process.poll() is not None):
            pytest.fail(otherwise())
        time.sleep(0.02)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


@contextmanager
def holding_upload(served: Served, image: bytes, key: str = "") -> Iterator[socket.socket]:
    """:func:`holding_uploads` of one."""
    with holding_uploads(served, image, 1, key) as (upload,):
        yield upload


@contextmanager
def holding_uploads(served: Served, image: bytes, count: int, key: str = "") -> Iterator[list[socket.socket]]:
    """HTTP calls that have sent all but the last byte of their photograph: they are let in, and not yet at work.

    What others hold at that moment may be given back meanwhile; calls that are being received are all like these.
    """
    wanted = served.metric("maquette_receiving") + count

    def are_let_in() -> bool:
        received = served.metric("maquette_bytes_received")
        return served.metric("maquette_receiving") >= wanted and received >= wanted * (len(image) - 1)

    headers = ("Host: test", "Content-Type: image/png", f"Content-Length: {len(image)}", f"X-API-Key: {key}")
    head = "\r\n".join((f"POST {served.kind.path} HTTP/1.1", *headers, "", ""))
    with ExitStack() as stack:
        address = (served.host, served.http_port)
        uploads = [stack.enter_context(socket.create_connection(address)) for _ in range(count)]
        for upload in uploads:
            upload.sendall(head.encode() + image[:-1])
        until(are_let_in, lambda: "the calls were not let in")
        yield uploads
