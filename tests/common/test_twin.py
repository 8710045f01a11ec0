"""The int8 twin of a bundle: made by training, used by serving where it may be, and said which of the two answers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from services.common import models, twins
from services.common.models import BundleError
from tests import tiny
from tests.serving import Served
from training.common import quantise

CALIBRATION = np.random.default_rng(0).integers(0, 256, (4, tiny.SIZE, tiny.SIZE, 3), dtype=np.uint8)


def with_twin(folder: Path) -> Path:
    quantise.write(models.load(folder), CALIBRATION, lambda _: {"accuracy": 1.0}, {"accuracy": 0.0})
    return folder


@pytest.fixture(scope="module")
def original(bundles: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of bundles, of which `classify` has a twin."""
    root = tmp_path_factory.mktemp("twins")
    with_twin(Path(shutil.copytree(bundles / "classify" / "0.0.1", root / "classify" / "0.0.1")))
    return root


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original / "classify" / "0.0.1", tmp_path / "0.0.1"))


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_the_twin_answers_nearly_alike_and_only_when_asked(folder: Path) -> None:
    float32, int8 = models.load(folder), twins.load(folder, "int8")
    assert (float32.precision, int8.precision) == ("float32", "int8")
    ours, theirs = float32.run(CALIBRATION), int8.run(CALIBRATION)
    assert np.abs(ours["probabilities"] - theirs["probabilities"]).max() < 0.1
    assert (ours["probabilities"] != theirs["probabilities"]).any()


def test_auto_measures_both_and_takes_the_faster(folder: Path) -> None:
    bundle = twins.load(folder, "auto")
    assert set(bundle.milliseconds) == {"float32", "int8"}
    assert bundle.milliseconds[bundle.precision] == min(bundle.milliseconds.values())


def test_auto_without_a_twin_is_float32_and_int8_is_refused(bundles: Path) -> None:
    folder = bundles / "classify" / "0.0.1"
    assert twins.load(folder, "auto").precision == "float32"
    with pytest.raises(BundleError, match=r"int8\.json"):
        twins.load(folder, "int8")


def _of_another_graph(folder: Path) -> None:
    edit(folder / twins.FACTS, made_from="0" * 64)


def _changed(folder: Path) -> None:
    with (folder / twins.GRAPH).open("ab") as stream:
        stream.write(b"\0")


def _gone(folder: Path) -> None:
    (folder / twins.GRAPH).unlink()


def _answers_otherwise(folder: Path) -> None:
    twin = json.loads((folder / twins.FACTS).read_text())
    twin["outputs"]["probabilities"]["values"][0] += 0.5
    edit(folder / twins.FACTS, **twin)


def _lacks_an_output(folder: Path) -> None:
    shutil.copyfile(folder / models.GRAPH, folder / twins.GRAPH)
    model = tiny.onnx.load(folder / twins.GRAPH)
    del model.graph.output[1:]
    tiny.onnx.save(model, folder / twins.GRAPH)
    edit(folder / twins.FACTS, sha256=models.sha256(folder / twins.GRAPH))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_of_another_graph, "another model.onnx"),
        (_changed, "sha256 is"),
        (_gone, "missing"),
        (_answers_otherwise, "differs from the golden answer"),
        (_lacks_an_output, "has no output activation"),
    ],
)
def test_a_twin_that_does_not_hold_leaves_float32_to_answer(folder: Path, damage: Callable[[Path], None], said: str) -> None:
    damage(folder)
    assert twins.load(folder, "auto").precision == "float32"
    with pytest.raises(BundleError, match=said):
        twins.load(folder, "int8")


def test_which_space_vectors_live_in_does_not_depend_on_the_machine(bundles: Path, tmp_path: Path) -> None:
    folder = with_twin(Path(shutil.copytree(bundles / "embed_latent" / "0.0.1", tmp_path / "0.0.1")))
    own = models.load(folder).manifest.embedding_space
    edit(folder / twins.FACTS, embedding_space=f"{own}/int8")
    assert twins.load(folder, "auto").manifest.embedding_space == own
    assert twins.load(folder, "int8").manifest.embedding_space == f"{own}/int8"


def test_a_twin_that_loses_too_much_is_not_written(bundles: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bundles / "classify" / "0.0.1", tmp_path / "0.0.1"))
    accuracies = iter((0.9, 0.8))
    with pytest.raises(quantise.QuantisationError, match=r"accuracy 0\.1"):
        quantise.write(models.load(folder), CALIBRATION, lambda _: {"accuracy": next(accuracies)}, {"accuracy": 0.05})
    assert not list(folder.glob("*int8*"))


def test_the_service_says_which_of_the_two_answers(serve: Callable[..., Served], original: Path) -> None:
    with_int8 = serve("classify", models=original, precision="int8").until_ready()
    for transport in ("http", "grpc"):
        assert with_int8.get(transport, "/v1/model")["model"]["precision"] == "int8"
        assert with_int8.call(transport, tiny.picture(1))["predictions"]
    assert with_int8.metric("maquette_model", service="classify", version="0.0.1", precision="int8") == 1
    (ready,) = [line for line in with_int8.log_lines if line["event"] == "ready"]
    assert ready["precision"] == "int8"
