"""A second look at what is small: the tiny model, which takes what is dark for the object, sees 32 x 32 pixels."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from services.common import images, models
from services.remove_background.predictor import Parameters, Predictor
from tests import tiny
from tests.files import encode
from tests.serving import Served, on_both


@pytest.fixture
def served(running: dict[str, Served]) -> Served:
    return running["remove_background"]


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return Predictor(models.load(tiny.remove_background(tmp_path_factory.mktemp("models"))))


def comb() -> np.ndarray:
    """1600 x 1200 with a dark comb: teeth as wide as a third of what the model takes for one pixel of it all."""
    pixels = np.full((1200, 1600, 3), 245, np.uint8)
    pixels[500:580, 700:1000] = 10
    for left in range(700, 1000, 40):
        pixels[580:680, left : left + 20] = 10
    return pixels


def overlap(mask: np.ndarray, truth: np.ndarray) -> float:
    """Intersection over union."""
    return np.count_nonzero(mask & truth) / np.count_nonzero(mask | truth)


def once(predictor: Predictor, pixels: np.ndarray) -> dict[str, np.ndarray]:
    seen = images.resize(pixels, (tiny.SIZE, tiny.SIZE), images.ResizeRule.SQUASH)
    return {"probability": 1 - seen.mean(-1, dtype=np.float32) / 255}


def photograph(pixels: np.ndarray) -> images.Decoded:
    return images.Decoded(pixels, pixels.shape[1], pixels.shape[0], "PNG", 1)


@on_both
def test_small_parts_of_a_small_object_are_found(served: Served, predictor: Predictor, transport: str) -> None:
    pixels = comb()
    truth = pixels[..., 0] < 128
    answer = predictor.answer(photograph(pixels), once(predictor, pixels), Parameters())
    first = np.asarray(Image.open(io.BytesIO(answer.mask))) > 0
    # A cutout needs every pixel; for a mask alone the photograph is shrunk, and these teeth are lost.
    served_answer = served.call(transport, encode(Image.fromarray(pixels)), output="both-as-json")
    mask = np.asarray(Image.open(io.BytesIO(base64.b64decode(served_answer["mask"])))) > 0
    assert overlap(mask, truth) > overlap(first, truth) + 0.05
    assert overlap(mask, truth) > 0.9
    report = served_answer["report"]
    assert report["coverage"] == pytest.approx(truth.mean(), rel=0.1)
    assert report["components"] == 1
    assert not any(report["edges"].values())


@on_both
def test_all_objects_are_in_what_is_looked_at_again(served: Served, transport: str) -> None:
    pixels = np.full((1200, 1600, 3), 245, np.uint8)
    pixels[300:450, 200:400] = pixels[500:650, 700:900] = 10
    answer = served.call(transport, encode(Image.fromarray(pixels)), output="both-as-json")
    mask, cutout = (np.asarray(Image.open(io.BytesIO(base64.b64decode(answer[name])))) for name in ("mask", "cutout"))
    assert overlap(mask > 0, pixels[..., 0] < 128) > 0.95
    assert np.array_equal(cutout[..., 3], mask)
    assert answer["report"]["components"] == 2


@pytest.mark.parametrize(
    ("size", "block"),
    [((40, 40), (10, 20)), ((1200, 1600), (50, 1150)), ((1200, 1600), (0, 0))],
    ids=["as small as the model's own", "the object fills it", "nothing there"],
)
def test_one_look_is_enough(predictor: Predictor, size: tuple[int, int], block: tuple[int, int]) -> None:
    pixels = np.full((*size, 3), 245, np.uint8)
    pixels[block[0] : block[1], block[0] : block[1]] = 10
    assert predictor.second_view(photograph(pixels), once(predictor, pixels), Parameters()) is None


def test_an_object_at_the_frame_is_looked_at_up_to_the_frame(predictor: Predictor) -> None:
    pixels = np.full((1200, 1600, 3), 245, np.uint8)
    pixels[900:, 1400:] = 10
    outputs = once(predictor, pixels)
    nearer = predictor.second_view(photograph(pixels), outputs, Parameters())
    assert nearer is not None
    assert nearer.shape == (tiny.SIZE, tiny.SIZE, 3)
    assert (nearer[-1, -1] < 20).all()
    assert (nearer[0] > 230).all()
    assert (nearer[:, 0] > 230).all()
    answer = predictor.answer(
        photograph(pixels), outputs | {"second_probability": once(predictor, nearer)["probability"]}, Parameters()
    )
    mask = np.asarray(Image.open(io.BytesIO(answer.mask))) > 0
    assert overlap(mask, pixels[..., 0] < 128) > 0.97
    assert answer.report.edges == (False, True, True, False)
