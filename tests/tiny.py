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
    """Probabilities from the mean colour; each pixel's share of them as the activation."""
    weights = np.random.default_rng(0).normal(0, 8, (3, len(labels))).astype(np.float32)
    graph = _graph(
        root / "classify.onnx",
        [
            helper.make_node("MatMul", ["means", "weights"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
            helper.make_node("MatMul", ["scaled", "weights"], ["by_pixel"]),
            helper.make_node("Div", ["by_pixel", "pixels"], ["activation"]),
        ],
        {"probabilities": ["batch", len(labels)], "activation": ["batch", SIZE, SIZE, len(labels)]},
        {"weights": weights, "pixels": np.float32(SIZE * SIZE)},
    )
    named = tuple(bundle.Label(id=label, name=label.title()) for label in labels)
    return _write(root, "classify", graph, version, labels=named, details={"abstain_below": 0.4})


def cluster_assign(root: Path, version: str = "0.0.1", space: str = "tiny-space") -> Path:
    """Three centroids in the space of mean colours; q by Student's t."""
    centroids = np.eye(3, dtype=np.float32)
    graph = _graph(
        root / "cluster_assign.onnx",
        [
            helper.make_node("Identity", ["means"], ["embedding"]),
            helper.make_node("Unsqueeze", ["means", "one"], ["wide"]),
            helper.make_node("Sub", ["wide", "centroids"], ["offsets"]),
            helper.make_node("Mul", ["offsets", "offsets"], ["squares"]),
            helper.make_node("ReduceSum", ["squares", "last"], ["distances"], keepdims=0),
            helper.make_node("Add", ["distances", "unit"], ["shifted"]),
            helper.make_node("Reciprocal", ["shifted"], ["similar"]),
            helper.make_node("ReduceSum", ["similar", "one"], ["total"], keepdims=1),
            helper.make_node("Div", ["similar", "total"], ["assignment"]),
        ],
        {"embedding": ["batch", 3], "assignment": ["batch", 3]},
        {"centroids": centroids, "one": np.array([1]), "last": np.array([2]), "unit": np.float32(1)},
    )
    index = root / "index.npz"
    works = np.random.default_rng(1).random((12, 3), dtype=np.float32)
    np.savez(index, ids=np.array([f"work{i}.jpg" for i in range(12)]), embeddings=works, clusters=works.argmax(axis=1))
    clusters = [
        {"id": i, "size": 4, "silhouette": 0.5, "exemplars": [f"work{i}.jpg"], "outliers": [f"work{i + 3}.jpg"]}
        for i in range(3)
    ]
    extra = {"index.npz": index}
    details = {"clusters": clusters, "works": 12}
    return _write(root, "cluster_assign", graph, version, embedding_space=space, extra_files=extra, details=details)


def embed_latent(root: Path, version: str = "0.0.1", space: str = "tiny-plane") -> Path:
    """The plane of the first two mean colours, stretched over the prior."""
    graph = _graph(
        root / "embed_latent.onnx",
        [
            helper.make_node("Identity", ["means"], ["features"]),
            helper.make_node("MatMul", ["means", "stretch"], ["latent"]),
        ],
        {"latent": ["batch", 2], "features": ["batch", 3]},
        {"stretch": np.array([[5, 0], [0, 5], [0, 0]], np.float32)},
    )
    reference = root / "reference.npz"
    works = np.random.default_rng(2).random((9, 3), dtype=np.float32)
    groups = np.array(["Colima", "Nayarit", "Chupicuaro"] * 3)
    np.savez(
        reference, ids=np.array([f"figurine{i}.jpg" for i in range(9)]), groups=groups, latents=5 * works[:, :2], features=works
    )
    details = {
        "prior": {"mean": [0, 0], "covariance": [[25, 0], [0, 25]]},
        "groups": ["Chupicuaro", "Colima", "Nayarit"],
        "unlike_above": 0.8,
        "decoder": {"file": "decoder.onnx", "height": 4, "width": 6},
    }
    extra = {"reference.npz": reference, "decoder.onnx": _decoder(root / "decoder.onnx")}
    return _write(root, "embed_latent", graph, version, embedding_space=space, extra_files=extra, details=details)


def _decoder(path: Path) -> Path:
    """One flat colour, 4 x 6 pixels: red and green are 100 and the latent's two values."""
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["latent", "stretch"], ["offset"]),
            helper.make_node("Add", ["offset", "middle"], ["colour"]),
            helper.make_node("Unsqueeze", ["colour", "axes"], ["pixel"]),
            helper.make_node("Expand", ["pixel", "size"], ["picture"]),
            helper.make_node("Cast", ["picture"], ["images"], to=TensorProto.UINT8),
        ],
        "tiny",
        [helper.make_tensor_value_info("latent", TensorProto.FLOAT, ["batch", 2])],
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", 4, 6, 3])],
        [
            numpy_helper.from_array(value, name)
            for name, value in {
                "stretch": np.array([[1, 0, 0], [0, 1, 0]], np.float32),
                "middle": np.array([100, 100, 7], np.float32),
                "axes": np.array([1, 2]),
                "size": np.array([1, 4, 6, 1]),
            }.items()
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


def remove_background(root: Path, version: str = "0.0.1", *, hints: bool = True, **details: float) -> Path:
    """Dark pixels are object: probability = 1 - brightness. Its features are the colours; without ``hints`` it has none."""
    graph = _graph(
        root / "remove_background.onnx",
        [
            helper.make_node("ReduceMean", ["scaled", "channel"], ["brightness"], keepdims=0),
            helper.make_node("Sub", ["unit", "brightness"], ["probability"]),
        ],
        {"probability": ["batch", SIZE, SIZE]},
        {"channel": np.array([3]), "unit": np.float32(1)},
    )
    columns = _graph(
        root / "hypercolumns.onnx",
        [
            helper.make_node("ReduceMean", ["scaled", "channel"], ["brightness"], keepdims=0),
            helper.make_node("Sub", ["unit", "brightness"], ["probability"]),
            helper.make_node("Transpose", ["scaled"], ["hypercolumns"], perm=[0, 3, 1, 2]),
        ],
        {"probability": ["batch", SIZE, SIZE], "hypercolumns": ["batch", 3, SIZE, SIZE]},
        {"channel": np.array([3]), "unit": np.float32(1)},
    )
    extra = {"hypercolumns.onnx": columns} if hints else {}
    return _write(root, "remove_background", graph, version, extra_files=extra, details={"threshold": 0.5, **details})


def everything(root: Path) -> Path:
    """One bundle for each service under ``root``."""
    for make in (classify, cluster_assign, embed_latent, remove_background):
        make(root)
    return root


def faulty(root: Path) -> Path:
    """A classifier with a bug: its graph cannot reshape what it sees in an all-white picture."""
    graph = _graph(
        root / "faulty.onnx",
        [
            helper.make_node("Cast", ["images"], ["images_as_ints"], to=TensorProto.INT32),
            helper.make_node("ReduceMin", ["images_as_ints"], ["darkest"], keepdims=0),
            helper.make_node("Div", ["darkest", "white"], ["is_white"]),
            helper.make_node("Cast", ["is_white"], ["extra"], to=TensorProto.INT64),
            helper.make_node("Add", ["extra", "three"], ["columns"]),
            helper.make_node("Concat", ["rows", "columns"], ["shape"], axis=0),
            helper.make_node("Reshape", ["means", "shape"], ["reshaped"]),
            helper.make_node("Softmax", ["reshaped"], ["probabilities"], axis=1),
        ],
        {"probabilities": ["batch", 3]},
        {"white": np.int32(255), "three": np.array([3]), "rows": np.array([-1])},
    )
    labels = tuple(bundle.Label(id=label, name=label.title()) for label in ("red", "green", "blue"))
    return _write(root, "classify", graph, "0.0.1", labels=labels, details={"abstain_below": 0.4})
