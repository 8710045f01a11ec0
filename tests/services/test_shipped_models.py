"""The bundles in exported_models/, as far as they are there: each loads, matches its golden answer and serves the samples."""

from __future__ import annotations

import importlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from services.classify.predictor import Parameters, Predictor, heat
from services.common import images, models, settings, twins
from services.remove_background import predictor as remove_background
from services.remove_background.adapters import learn
from tests.serving import KINDS

BUNDLES = sorted(settings.ROOT.glob(f"exported_models/*/*/{models.MANIFEST}"))
TWINS = sorted(settings.ROOT.glob(f"exported_models/*/*/{twins.FACTS}"))
SAMPLES = sorted((settings.ROOT / "samples").glob("*.jpg"))
MEBIBYTE = 2**20


@pytest.mark.parametrize("folder", [path.parent for path in BUNDLES], ids=lambda path: f"{path.parent.name}-{path.name}")
def test_it_loads_and_answers_the_samples(folder: Path) -> None:
    name = folder.parent.name
    bundle = models.load(folder)  # holds it to its golden answer
    assert (bundle.manifest.service, bundle.manifest.version) == (name, folder.name)
    module = importlib.import_module(f"services.{name}.predictor")
    predictor, parameters = module.Predictor(bundle), module.Parameters()
    predictor.check(parameters)
    answers = []
    for sample in SAMPLES:
        photograph = images.decode(sample.read_bytes(), images.Limits(), images.Frame.DISPLAY)
        outputs = bundle.run(bundle.prepare(photograph.pixels)[None])
        assert all(np.isfinite(output).all() for output in outputs.values()), sample.name
        predictor.answer(photograph, {key: value[0] for key, value in outputs.items()}, parameters)
        answers.append(np.concatenate([output.ravel() for output in outputs.values()]))
    assert np.stack(answers).std(axis=0).max() > 1e-3, "a model that answers everything alike was not trained"


@pytest.mark.parametrize("folder", [path.parent for path in BUNDLES], ids=lambda path: f"{path.parent.name}-{path.name}")
def test_it_is_whole_and_small_enough(folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {"MODEL_CARD.md", "metrics.json", models.GRAPH, models.MANIFEST, models.GOLDEN} <= {path.name for path in files}
    assert sum(path.stat().st_size for path in files) <= 25 * MEBIBYTE
    assert json.loads((folder / "metrics.json").read_text())
    assert folder.parent.name in KINDS


@pytest.mark.parametrize("folder", [path.parent for path in TWINS], ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_twin_is_of_the_graph_it_stands_beside(folder: Path) -> None:
    """Whether its golden answer holds depends on the machine, and whether it is then used: tests/common/test_twin.py."""
    facts = twins.Twin.model_validate_json((folder / twins.FACTS).read_bytes())
    assert facts.made_from == models.sha256(folder / models.GRAPH)
    assert facts.sha256 == models.sha256(folder / twins.GRAPH)
    assert set(facts.outputs) == set(models.load(folder).outputs)


def test_the_shipped_mask_model_learns_from_the_sample_s_mask_and_obeys_a_click() -> None:
    bundle = models.load(models.latest(settings.ROOT / "exported_models", "remove_background"))
    predictor, sample = remove_background.Predictor(bundle), settings.ROOT / "samples" / "statue.jpg"
    photograph = images.decode(sample.read_bytes(), images.Limits(), images.Frame.DISPLAY)
    prepared = bundle.prepare(photograph.pixels)
    truth = (settings.ROOT / "samples" / "statue_mask.png").read_bytes()
    lesson = remove_background.Lesson(frame=images.Frame.DISPLAY, mask=truth)
    adapter = learn([predictor.example(photograph, lesson).views], bundle.manifest)
    assert adapter.ByteSize() < 64 * 1024
    inside = np.asarray(Image.open(io.BytesIO(truth)).resize((320, 320))) > 127
    plain = bundle.run(prepared[None])["probability"][0]
    taught = predictor.guided(photograph, prepared, remove_background.Parameters(adapter=adapter))
    assert ((taught > 0.5) != inside).sum() <= ((plain > 0.5) != inside).sum()
    y, x = np.argwhere(plain > 0.9)[0] * (photograph.height / 320, photograph.width / 320)
    click = {"points": [{"x": x + 1, "y": y + 1, "mark": "background"}]}
    clicked = predictor.guided(photograph, prepared, remove_background.Parameters(hints=click))
    assert clicked[int(y * 320 / photograph.height), int(x * 320 / photograph.width)] < 0.5


def test_all_of_them_are_small_enough() -> None:
    files = [path for path in (settings.ROOT / "exported_models").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 80 * MEBIBYTE


def test_the_explanation_of_the_shipped_classifier_lies_on_the_statue() -> None:
    bundle = models.load(models.latest(settings.ROOT / "exported_models", "classify"))
    photograph = images.decode((settings.ROOT / "samples" / "statue.jpg").read_bytes(), images.Limits(), images.Frame.DISPLAY)
    outputs = bundle.run(bundle.prepare(photograph.pixels)[None])
    glow = heat(outputs["activation"][0], int(outputs["probabilities"][0].argmax()))
    large = np.asarray(Image.fromarray(glow).resize((photograph.width, photograph.height), Image.Resampling.BILINEAR))
    mask = np.asarray(Image.open(settings.ROOT / "samples" / "statue_mask.png")) > 127
    assert large[mask].sum() / large.sum() > 1.5 * mask.mean()


def test_the_shipped_classifier_abstains_from_an_empty_room() -> None:
    bundle = models.load(models.latest(settings.ROOT / "exported_models", "classify"))
    predictor = Predictor(bundle)
    photograph = images.decode((settings.ROOT / "samples" / "room.jpg").read_bytes(), images.Limits(), images.Frame.DISPLAY)
    outputs = {name: value[0] for name, value in bundle.run(bundle.prepare(photograph.pixels)[None]).items()}
    assert predictor.answer(photograph, outputs, Parameters()).abstained
