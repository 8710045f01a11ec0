"""Give a mask model's bundle the graph that hints and adapters need: python -m training.remove_background.hypercolumns BUNDLE

``hypercolumns.onnx`` answers what ``model.onnx`` does and, beside it, ``hypercolumns`` float32 [batch, channels, side, side]:
the network's features at nine levels of encoder and decoder, brought to a grid of a quarter of the input's side (Hariharan et
al. 2015, section 3). ONNX Runtime computes every output of a graph, asked for or not, so this is a graph of its own, opened
when the first hint comes. It holds no weights: they are external data at their places in ``model.onnx``, which stays as it is.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import onnx
import typer
from onnx import TensorProto, external_data_helper, helper, numpy_helper

from services.common import models
from services.remove_background.predictor import FEATURES, FEATURES_FILE
from training.common import runs

# Smaller tensors are copied into the new graph.
_SMALL = 1024


def write(graph: Path) -> Path:
    """``hypercolumns.onnx`` beside the U-Net ``graph``. Raises ``ValueError`` for another network."""
    model = onnx.load(graph)
    _add_output(model)
    data = graph.read_bytes()
    for tensor in model.graph.initializer:
        if len(raw := tensor.raw_data) >= _SMALL:
            place = data.find(raw)
            if place < 0:
                raise ValueError(f"{graph}: the bytes of {tensor.name} are not found in it")
            external_data_helper.set_external_data(tensor, graph.name, offset=place, length=len(raw))
            tensor.ClearField("raw_data")
    written = graph.with_name(FEATURES_FILE)
    written.write_bytes(model.SerializeToString())
    _check(graph, written)
    return written


def _add_output(model: onnx.ModelProto) -> None:
    nodes = model.graph.node
    made_by = {name: node for node in nodes for name in node.output}
    inferred = onnx.shape_inference.infer_shapes(model).graph.value_info
    shapes = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in inferred}
    # Each level of the decoder joins what comes from below, doubled in size, and what the encoder had there.
    joins = [node for node in nodes if node.op_type == "Concat" and made_by.get(node.input[0], node).op_type == "Resize"]
    if not joins:
        raise ValueError("the graph is no U-Net whose levels are joined by Resize and Concat")
    levels = [name for node in joins for name in (made_by[node.input[0]].input[0], node.input[1])]
    convolution = next(node for node in nodes if joins[-1].output[0] in node.input)
    levels.append(next(node for node in nodes if convolution.output[0] in node.input).output[0])
    grid = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value // 4
    model.graph.initializer.append(numpy_helper.from_array(np.array([], np.float32), "hypercolumns_roi"))
    columns = []
    for index, level in enumerate(levels):
        side, name = shapes[level][2], f"hypercolumns_{index}"
        if side > grid:
            step = [side // grid] * 2
            nodes.append(helper.make_node("AveragePool", [level], [name], kernel_shape=step, strides=step))
        elif side < grid:
            scales = np.array([1, 1, grid / side, grid / side], np.float32)
            model.graph.initializer.append(numpy_helper.from_array(scales, f"{name}_scales"))
            nodes.append(helper.make_node("Resize", [level, "hypercolumns_roi", f"{name}_scales"], [name], mode="linear"))
        columns.append(name if side != grid else level)
    nodes.append(helper.make_node("Concat", columns, [FEATURES], axis=1))
    channels = sum(shapes[level][1] for level in levels)
    shape = ["batch", channels, grid, grid]
    model.graph.output.append(helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, shape))
    onnx.checker.check_model(model)


def _check(graph: Path, written: Path) -> None:
    """The mask of both graphs is the same to the last bit."""
    ours, theirs = (models.open_session(path, threads=1) for path in (graph, written))
    _, height, width, _ = ours.get_inputs()[0].shape
    noise = np.random.default_rng(0).integers(0, 256, (2, height, width, 3), np.uint8)
    masks = [session.run(["probability"], {"images": noise})[0] for session in (ours, theirs)]
    if not np.array_equal(*masks):
        raise ValueError(f"{written}: answers another mask than {graph.name}")


def add(bundle: Path) -> Path:
    """Write the graph into a bundle that is there, and its digest into the manifest."""
    manifest = models.Manifest.model_validate_json((bundle / models.MANIFEST).read_bytes())
    written = write(bundle / models.GRAPH)
    listed = manifest.model_copy(update={"files": manifest.files | {FEATURES_FILE: models.sha256(written)}})
    runs.write_json(bundle / models.MANIFEST, json.loads(listed.model_dump_json()))
    models.load(bundle)
    return written


def main(bundle: Annotated[Path, typer.Argument(exists=True, file_okay=False, help=".../remove_background/<version>")]) -> None:
    """Give a bundle that is there the graph that hints and adapters need."""
    written = add(bundle)
    typer.echo(f"{written}: {written.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    typer.run(main)
