"""Write a model bundle: the gate between a trained network and serving.

``write`` checks the graph, opens it the way serving does, writes manifest, golden answer, metrics and card beside it, loads
the whole with :func:`services.common.models.load`, and only then moves it to its place: a bundle appears whole or not at all.
"""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from services.common import images, models
from services.common.models import Dataset, Golden, Input, Label, Manifest
from training.common.graphs import widen_normalisation

__all__ = ["Dataset", "Input", "Label", "ParityError", "parity", "write"]


class ParityError(Exception):
    """The exported graph does not answer as the framework's model does."""


def parity(
    graph: Callable[[np.ndarray], Mapping[str, np.ndarray]],
    framework: Callable[[np.ndarray], Mapping[str, np.ndarray]],
    pictures: Iterable[np.ndarray],
    tolerance: float,
) -> dict[str, float]:
    """Largest absolute difference per output over batches of real pictures (uint8 [n, h, w, 3]).

    Raises :class:`ParityError` above ``tolerance``, and when an output hardly varies over the pictures: an untrained
    network's near-constant answers match anything.
    """
    worst: dict[str, float] = {}
    spread: dict[str, list[np.ndarray]] = {}
    for batch in pictures:
        ours, theirs = graph(batch), framework(batch)
        for name, expected in theirs.items():
            worst[name] = max(worst.get(name, 0.0), float(np.abs(ours[name] - expected).max()))
            spread.setdefault(name, []).append(np.asarray(expected).reshape(len(batch), -1))
    for name, difference in worst.items():
        variation = float(np.concatenate(spread[name]).std(axis=0).max())
        if not difference <= tolerance:
            raise ParityError(f"output {name!r} differs from the framework's by {difference:.3g}, allowed {tolerance:.3g}")
        if not variation > 10 * tolerance:
            raise ParityError(f"output {name!r} hardly varies over these pictures ({variation:.3g}): train the model first")
    return worst


def write(
    destination: Path,
    *,
    graph: Path,
    golden_picture: bytes,
    card: str,
    metrics: Mapping[str, Any],
    headline: Mapping[str, float],
    extra_files: Mapping[str, Path] | None = None,
    saved_model: Path | None = None,
    golden_tolerance: float = 1e-3,
    **facts: Any,
) -> Path:
    """Assemble ``destination`` = ``<root>/<service>/<version>`` and return it.

    ``graph`` is the ONNX file; ``extra_files`` maps bundle file names to files that serving reads (an index, a decoder);
    ``metrics`` is all that was measured (goes to metrics.json), ``headline`` the few numbers of the exported file that
    ``/v1/model`` shows; ``facts`` are the remaining :class:`Manifest` fields (``architecture``, ``input``, ``labels`` ...).
    """
    service, version = destination.parent.name, destination.name
    staging = destination.with_name(f".{version}.partial")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    served = {models.GRAPH: graph, **(extra_files or {})}
    for name, source in served.items():
        shutil.copyfile(source, staging / name)
        if name.endswith(".onnx"):
            _strip_traces(staging / name)
    opset = _check_graph(staging / models.GRAPH)
    manifest = Manifest(
        service=service,
        version=version,
        opset=opset,
        metrics=dict(headline),
        files={name: models.sha256(staging / name) for name in served},
        command=facts.pop("command", None) or command_line(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        **facts,
    )
    _write_json(staging / models.MANIFEST, manifest.model_dump(mode="json"))
    _write_json(staging / "metrics.json", metrics)
    (staging / "MODEL_CARD.md").write_text(card, encoding="utf-8")
    if saved_model is not None:
        shutil.copytree(saved_model, staging / "saved_model")
    session = models.open_session(staging / models.GRAPH, threads=1)
    picture = images.decode(golden_picture, images.Limits(), images.Frame.DISPLAY).pixels
    wanted = manifest.input
    prepared = images.resize(picture, (wanted.height, wanted.width), wanted.resize)
    names = [output.name for output in session.get_outputs()]
    answer = dict(zip(names, session.run(names, {"images": prepared[None]}), strict=True))
    golden = Golden.of(golden_picture, answer, golden_tolerance)
    _write_json(staging / models.GOLDEN, golden.model_dump(mode="json"))
    models.load(staging)
    shutil.rmtree(destination, ignore_errors=True)
    staging.rename(destination)
    return destination


def _strip_traces(path: Path) -> None:
    """Remove what exporters note about where each node came from: folders of the machine it was exported on."""
    model = onnx.load(path)
    if path.name == models.GRAPH:
        widen_normalisation(model)
    for item in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output, model.graph, model):
        item.ClearField("metadata_props")
        item.ClearField("doc_string")
    onnx.save(model, path)


def _check_graph(path: Path) -> int:
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    if [(value.name, _shape(value)[0]) for value in model.graph.input] != [("images", "batch")]:
        raise ValueError("the graph must take one input, images: uint8[batch, height, width, 3]")
    for output in model.graph.output:
        if _shape(output)[0] != "batch":
            raise ValueError(f"output {output.name!r} must keep the batch axis first, named batch")
    return max(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))


def _shape(value: onnx.ValueInfoProto) -> list[int | str]:
    return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]


def command_line() -> str:
    """The command that this process was started by, without the folders of the machine."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    # Of a folder elsewhere on the machine only its name is worth telling.
    arguments = [Path(argument).name if Path(argument).is_absolute() else argument for argument in sys.argv[1:]]
    return shlex.join(["python", "-m", spec.name if spec else Path(sys.argv[0]).name, *arguments])


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
