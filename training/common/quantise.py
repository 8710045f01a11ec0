"""The int8 twin of a bundle: its graph in 8-bit integers, held to what it may cost.

    python -m training.classify.quantise exported_models/classify/0.2.0 --calibrate FOLDER --held FOLDER
    python -m training.remove_background.quantise exported_models/remove_background/0.3.0 --calibrate FOLDER --held FOLDER

Static quantisation (Jacob et al. 2018, section 3) by ``onnxruntime.quantization``: weights per channel, activations by the
mean over real photographs of the least and the greatest value. Each service measures its own answers, in float32 and in int8,
on photographs that were not calibrated with; :func:`write` refuses a twin that loses more than allowed.
"""

from __future__ import annotations

import itertools
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from services.common import models, twins
from training.common import photographs
from training.common.bundle import command_line
from training.common.graphs import widen_normalisation

Pictures = npt.NDArray[np.uint8]
Answers = Callable[[Pictures], models.Tensors]
# A graph -> its metrics on held-out photographs; the greater the better.
Measure = Callable[[Answers], dict[str, float]]
# What else there is stays in float32: normalisation, softmax and means cost little and lose much.
_QUANTISED = ["Add", "Clip", "Concat", "Conv", "Gemm", "MatMul", "Relu", "Resize"]
# Of an output's greatest value: machines round the same integers differently by a step or two, a wrong kernel by far more.
_TOLERANCE = 0.03


class QuantisationError(Exception):
    """The twin loses more than it may; the message says what and how much."""


def pictures(bundle: models.Bundle, folder: Path, count: int, seed: int = 0) -> Pictures:
    """``count`` photographs of a folder, drawn at random, as the graph sees them: uint8 [n, height, width, 3]."""
    found = photographs.find(folder)
    if not found:
        raise QuantisationError(f"{folder}: holds no photographs")
    chosen = np.random.default_rng(seed).permutation(len(found))[:count]
    wanted = bundle.manifest.input
    size = (wanted.height, wanted.width)
    return np.stack([photographs.read(found[i], size, wanted.resize) for i in sorted(chosen)])


def quantise(graph: Path, calibration: Pictures, target: Path, keep: int = 0) -> None:
    """``graph`` -> its int8 twin ``target``. ``keep``: so many convolutions at its start stay in float32."""
    # It recommends what is done here already.
    logging.getLogger().setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as temporary:
        prepared = Path(temporary) / "prepared.onnx"
        model = onnx.load(graph)
        widen_normalisation(model)
        onnx.save(model, prepared)
        quant_pre_process(str(prepared), str(prepared), skip_symbolic_shape=True)
        nodes = onnx.load(prepared).graph.node
        # What comes before the first convolution normalises, and stays in float32 as well.
        seen = list(itertools.accumulate(node.op_type == "Conv" for node in nodes))
        kept = [node.name for node, count in zip(nodes, seen, strict=True) if seen[-1] and count <= keep]
        quantize_static(
            str(prepared),
            str(target),
            _Reader(calibration),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=_QUANTISED,
            extra_options={"CalibMovingAverage": True},
            nodes_to_exclude=kept,
        )


def write(
    bundle: models.Bundle,
    calibration: Pictures,
    measure: Measure,
    limits: Mapping[str, float],
    keep: int = 0,
) -> twins.Twin:
    """Put a twin beside the graph of a bundle. ``measure`` turns a graph's answers into metrics, greater is better.

    ``limits``: how much less than float32's a metric may be. Raises :class:`QuantisationError` where it is more, and leaves the
    bundle as it was.
    """
    with tempfile.TemporaryDirectory() as temporary:
        graph = Path(temporary) / twins.GRAPH
        quantise(bundle.path / models.GRAPH, calibration, graph, keep)
        session = models.open_session(graph, threads=1)

        def answers(batch: Pictures) -> models.Tensors:
            return dict(zip(bundle.outputs, session.run(bundle.outputs, {"images": batch}), strict=True))

        floats, integers = measure(bundle.run), measure(answers)
        lost = {name: floats[name] - integers[name] for name in limits}
        metrics = {f"float32_{name}": value for name, value in floats.items()} | {f"int8_{k}": v for k, v in integers.items()}
        if too_much := [f"{name} {lost[name]:.4f}, allowed {limits[name]:.4f}" for name in limits if lost[name] > limits[name]]:
            raise QuantisationError(f"the twin loses too much: {'; '.join(too_much)} ({metrics})")
        picture = bundle.golden_picture()
        outputs = {name: models.Sample.of(value) for name, value in answers(picture[None]).items()}
        twin = twins.Twin(
            sha256=models.sha256(graph),
            made_from=bundle.manifest.files[models.GRAPH],
            outputs=outputs,
            tolerances={name: _TOLERANCE * max(map(abs, sample.values)) for name, sample in outputs.items()},
            metrics={name: round(float(value), 6) for name, value in metrics.items()},
            embedding_space=bundle.manifest.embedding_space,
            command=command_line(),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        # The facts last: a graph without them is not used.
        (bundle.path / twins.FACTS).unlink(missing_ok=True)
        partial = bundle.path / f".{twins.GRAPH}.partial"
        shutil.copyfile(graph, partial)
        partial.rename(bundle.path / twins.GRAPH)
    facts = bundle.path / f".{twins.FACTS}.partial"
    facts.write_text(twin.model_dump_json(indent=1) + "\n", encoding="utf-8")
    facts.rename(bundle.path / twins.FACTS)
    twins.load(bundle.path, "int8")
    return twin


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, calibration: Pictures) -> None:
        self._batches: Iterator[Pictures] = iter(calibration[:, None])

    def get_next(self) -> dict[str, Pictures] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"images": batch}
