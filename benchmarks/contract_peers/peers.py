"""How each server is started and asked: ours, rembg's, LitServe, MLServer and KServe, all with their default limits."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from services.common import models, settings
from tests.serving import free_ports

ROOT = Path(__file__).parents[2]
START_SECONDS = 180
# In the peer's own environment: ModelInfer with one BYTES tensor, then what came back.
_GRPC = """
import base64, importlib, sys, grpc
pb, stubs = (importlib.import_module(name) for name in sys.argv[1:3])
channel = grpc.insecure_channel(f"127.0.0.1:{sys.argv[3]}")
tensor = pb.ModelInferRequest.InferInputTensor(name="image", datatype="BYTES", shape=[1])
tensor.contents.bytes_contents.append(base64.b64encode(bytes.fromhex(sys.argv[4])))
try:
    stubs.GRPCInferenceServiceStub(channel).ModelInfer(pb.ModelInferRequest(model_name="classify", inputs=[tensor]), timeout=30)
    print("OK")
except grpc.RpcError as error:
    said = "".join(", " + key for key, _ in error.trailing_metadata() or () if "status-details" in key)
    print(error.code().name + (said or ", no code"))
"""


@dataclass
class Peer:
    """A running server: ``form`` is the path that takes an image as ``part`` of a form, ``tensor`` one that takes base64."""

    name: str
    version: str
    http: httpx.Client
    process: psutil.Process
    ready: str
    started: list[str] = field(default_factory=list)
    form: str = ""
    part: str = "image"
    tensor: str = ""
    batch: str = ""
    batch_part: str = ""
    always: dict[str, str] = field(default_factory=dict)  # of every form
    facts: str = ""
    address: str = ""  # a GET with an address in it, where there is one
    grpc: tuple[Path, str, str, int] | None = None

    def ask(self, *images: bytes | None, **parameters: str) -> httpx.Response:
        """One request with these images; parameters as the server takes them."""
        if self.tensor:
            data = [base64.b64encode(image).decode() for image in images if image is not None]
            one = {"name": "image", "shape": [len(data)], "datatype": "BYTES", "data": data}
            return self.http.post(self.tensor, json={"inputs": [one], "parameters": parameters})
        path = self.batch if len(images) > 1 else self.form
        name = self.batch_part if len(images) > 1 and self.batch_part else self.part
        files = [(name, (f"{place}.jpg", image, "image/jpeg")) for place, image in enumerate(images) if image is not None]
        return self.http.post(path, files=files, data=self.always | parameters)

    def grpc_answer(self, image: bytes) -> str:
        if self.grpc is None:
            return "no gRPC"
        python, pb, stubs, port = self.grpc
        words = [str(python), "-c", _GRPC, pb, stubs, str(port), image.hex()]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        return (done.stdout or done.stderr).strip()[-300:]


@contextmanager
def running(name: str, words: list[object], port: int, ready: str, version: str, **facts: Any) -> Iterator[Peer]:
    """Start it, note how its readiness answers until it is 200, and end it."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MODEL": str(_graph()), **facts.pop("environment", {})}
    folder = facts.pop("folder", ROOT)
    process = subprocess.Popen(
        list(map(str, words)),
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", timeout=120, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
        ) as http:
            peer = Peer(name, version, http, psutil.Process(process.pid), ready, **facts)
            deadline = time.monotonic() + START_SECONDS
            while peer.started[-1:] != ["200"] and time.monotonic() < deadline and process.poll() is None:
                try:
                    status = str(http.get(ready).status_code)
                except httpx.TransportError:
                    status = "nobody"
                if peer.started[-1:] != [status]:
                    peer.started.append(status)
                time.sleep(0.1)
            yield peer
    finally:
        for one in [*psutil.Process(process.pid).children(recursive=True), process]:
            one.terminate()
        process.wait(30)


def _graph() -> Path:
    return models.latest(settings.load().models, "classify") / "model.onnx"


def ours(service: str, noun: str, contract: Any) -> tuple[Any, Any, int]:
    http_port, grpc_port = free_ports(2)
    variables = {"MAQUETTE_HTTP_PORT": str(http_port), "MAQUETTE_GRPC_PORT": str(grpc_port)}
    made = running(
        f"Maquette {service}",
        [sys.executable, "-m", "services.pod", service],
        http_port,
        "/readyz",
        _version(Path(sys.executable), "maquette-serving"),
        environment=variables,
        form=f"/v1/{noun}",
        batch=f"/v1/{noun}/batch",
        batch_part="images",
        facts="/v1/model",
    )
    return made, contract, grpc_port


def rembg(python: Path, weights: Path) -> Any:
    """``weights`` is a graph with the input and output of U2-Net: its own cannot be had from PyPI."""
    (port,) = free_ports(1)
    words = [python.parent / "rembg", "s", "--host", "127.0.0.1", "--port", port, "--log_level", "error"]
    path = "/api/remove?extras=" + json.dumps({"model_path": str(weights)})
    model = {"model": "u2net_custom"}
    version, fetches = _version(python, "rembg"), "/api/remove?url="
    return running(
        "rembg s",
        words,
        port,
        "/api",
        version,
        form=path,
        batch=path,
        part="file",
        always=model,
        address=fetches,
        environment={"HOME": str(weights.parents[1])},  # it reads models from .rembg there alone
    )


def litserve() -> Any:
    (port,) = free_ports(1)
    words = [sys.executable, "-m", "benchmarks.contract_peers.litserve_app", port]
    return running(
        "LitServe",
        words,
        port,
        "/health",
        _version(Path(sys.executable), "litserve"),
        form="/predict",
        batch="/predict",
        facts="/info",
    )


def mlserver(python: Path, folder: Path) -> Any:
    http_port, grpc_port, metrics = free_ports(3)
    server = {
        "host": "127.0.0.1",
        "http_port": http_port,
        "grpc_port": grpc_port,
        "metrics_port": metrics,
        "parallel_workers": 0,
    }
    model = {
        "name": "classify",
        "implementation": "benchmarks.contract_peers.mlserver_app.Classify",
        "parameters": {"version": "0.2.0"},
    }
    (folder / "settings.json").write_text(json.dumps(server))
    (folder / "model-settings.json").write_text(json.dumps(model))
    return running(
        "MLServer",
        [python.parent / "mlserver", "start", folder],
        http_port,
        "/v2/health/ready",
        _version(python, "mlserver"),
        tensor="/v2/models/classify/infer",
        facts="/v2/models/classify",
        grpc=(python, "mlserver.grpc.dataplane_pb2", "mlserver.grpc.dataplane_pb2_grpc", grpc_port),
    )


def kserve(python: Path) -> Any:
    http_port, grpc_port = free_ports(2)
    words = [python, "-m", "benchmarks.contract_peers.kserve_app", "--http_port", http_port, "--grpc_port", grpc_port]
    return running(
        "KServe",
        words,
        http_port,
        "/v2/health/ready",
        _version(python, "kserve"),
        tensor="/v2/models/classify/infer",
        facts="/v2/models/classify",
        grpc=(python, "kserve.protocol.grpc.grpc_predict_v2_pb2", "kserve.protocol.grpc.grpc_predict_v2_pb2_grpc", grpc_port),
    )


def _version(python: Path, package: str) -> str:
    script = f"from importlib.metadata import version; print(version('{package}'))"
    return subprocess.run([str(python), "-c", script], capture_output=True, text=True, check=True).stdout.strip()
