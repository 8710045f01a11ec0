"""What a process refuses before it serves: a graph that loses its batch axis, a key that is none."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from tests import tiny
from tests.hostile.watch.pod import Pod
from tests.serving import ROOT, free_ports, until


@pytest.fixture(params=["first", "none"])
def without_batch_axis(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Bundles of a graph that answers for one photograph as it should, and for two as for one, or without the axis at all."""
    folder = tiny.classify(tmp_path)
    model = onnx.load(folder / "model.onnx")
    graph = model.graph
    graph.initializer.append(numpy_helper.from_array(np.array([0]), "batch_axis"))
    for output in graph.output:
        name = output.name
        for node in graph.node:
            for place, result in enumerate(node.output):
                if result == name:
                    node.output[place] = f"{name}_of_all"
            for place, argument in enumerate(node.input):
                if argument == name:
                    node.input[place] = f"{name}_of_all"
        arguments = [f"{name}_of_all", "batch_axis"]
        graph.node.append(helper.make_node("ReduceMean", arguments, [name], keepdims=int(request.param == "first")))
        output.type.tensor_type.ClearField("shape")
    onnx.save(model, folder / "model.onnx")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["model.onnx"] = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    if request.param == "none":
        golden = json.loads((folder / "golden.json").read_text())
        for sample in golden["outputs"].values():
            sample["shape"] = sample["shape"][1:]
        (folder / "golden.json").write_text(json.dumps(golden))
    return tmp_path


def test_a_graph_without_a_batch_axis(start: Callable[..., Pod], without_batch_axis: Path) -> None:
    """Row 11. It passes its golden answer and is not served: the first batch of two would end a lane."""
    pod = start("classify", models=without_batch_axis).until_listening()
    until(
        lambda: "did not load" in pod.log or pod.http.get("/readyz").status_code == httpx.codes.OK,
        lambda: f"neither ready nor failed:\n{pod.log}",
        pod.process,
    )
    assert pod.http.get("/readyz").status_code == httpx.codes.SERVICE_UNAVAILABLE
    assert pod.http.get("/livez").status_code == httpx.codes.OK
    assert "did not load" in pod.log


@pytest.mark.parametrize("key", ["", " ", "k", "fifteen letters"])
def test_a_key_that_is_none(key: str, bundles: Path) -> None:
    """`export MAQUETTE_API_KEY=$(a command that failed)` must not open the service: it ends, and says why."""
    http_port, grpc_port = free_ports(2)
    environment = {
        "MAQUETTE_API_KEY": key,
        "MAQUETTE_MODELS": str(bundles),
        "MAQUETTE_HTTP_PORT": str(http_port),
        "MAQUETTE_GRPC_PORT": str(grpc_port),
    }
    for command in ("services.pod", "services"):
        arguments = [sys.executable, "-m", command, "classify"]
        ended = subprocess.run(arguments, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert ended.returncode == 2
        assert "MAQUETTE_API_KEY" in ended.stderr
        assert "Traceback" not in ended.stderr
        assert not key.strip() or f" {key} " not in ended.stderr


def test_a_key_of_sixteen_characters_is_one(start: Callable[..., Pod]) -> None:
    """The other side of the bound."""
    pod = start("classify", api_key="sixteen letters!").until_ready()
    assert pod.http.post(pod.kind.path, content=b"").status_code == httpx.codes.UNAUTHORIZED
