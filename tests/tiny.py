"""Tiny real bundles, made in a second: every graph has the service's true inputs and outputs and answers from the pixels."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from training.common import bundle

SIZE = 32


def picture(seed: int = 0, size: tuple[int, int] = (96, 64), format_: str = "PNG", **options: Any) -> bytes:
    """A smooth coloured picture, (width, height), encoded."""
    noise = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).save(stream, format_, **options)
    return stream.getvalue()


def _graph(path: Path, nodes: list[Any], outputs: dict[str, list[Any]], weights: dict[str, np.ndarray]) -> Path:
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", SIZE, SIZE, 3])
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("Div", ["floats", "full"], ["scaled"]),
            helper.make_node("ReduceMean", ["scaled", "space"], ["means"], keepdims=0),
            *nodes,
        ],
        "tiny",
        [images],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [
            numpy_helper.from_array(value, name)
            for name, value in {"full": np.float32(255), "space": np.array([1, 2]), **weights}.items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, path)
    return path


def _write(root: Path, service: str, graph: Path, version: str, **facts: Any) -> Path:
    return bundle.write(
        root / service / version,
        graph=graph,
        golden_picture=picture(7),
        card="# A tiny model for tests\n",
        metrics={"accuracy": 0.5},
        headline={"accuracy": 0.5},
        architecture="mean colour",
        licence="Apache-2.0",
        input=bundle.Input(height=SIZE, width=SIZE, resize="squash"),
        training_data=(bundle.Dataset(name="none", items=0, licence="none"),),
        intended_use="tests",
        not_for="anything else",
        seed=0,
        **facts,
    )


def classify(root: Path, version: str = "0.0.1", labels: tuple[str, ...] = ("red", "green", "blue")) -> Path:
    """Probabilities from the mean colour."""
    weights = np.random.default_rng(0).normal(0, 8, (3, len(labels))).astype(np.float32)
    graph = _graph(
        root / "classify.onnx",
        [
            helper.make_node("MatMul", ["means", "weights"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ],
        {"probabilities": ["batch", len(labels)]},
        {"weights": weights},
    )
    named = tuple(bundle.Label(id=label, name=label.title()) for label in labels)
    return _write(root, "classify", graph, version, labels=named, details={"abstain_below": 0.4})
