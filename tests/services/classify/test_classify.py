"""``classify`` as its callers see it."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from services.classify import explanation
from services.classify.predictor import Parameters, Predictor, Reason, heat
from services.common import images, models
from services.common.errors import ParameterInvalid
from services.common.models import BundleError
from tests import tiny
from tests.files import encode
from tests.serving import Refused, Served, as_dict, on_both


@pytest.fixture
def served(running: dict[str, Served]) -> Served:
    return running["classify"]


def test_both_transports_agree(served: Served) -> None:
    for seed in range(4):
        for parameters in ({}, {"top_k": 1}, {"top_k": 3}):
            http, grpc = (served.call(transport, tiny.picture(seed), **parameters) for transport in ("http", "grpc"))
            assert http.pop("request_id") != grpc.pop("request_id")
            assert http == grpc


@on_both
def test_probabilities_sum_to_one_best_first(served: Served, transport: str) -> None:
    predictions = served.call(transport, tiny.picture(2), top_k=3)["predictions"]
    probabilities = [prediction["probability"] for prediction in predictions]
    assert sum(probabilities) == pytest.approx(1, abs=1e-6)
    assert probabilities == sorted(probabilities, reverse=True)
    assert {prediction["label"] for prediction in predictions} == {"red", "green", "blue"}


@on_both
@pytest.mark.parametrize("top_k", [1, 2, 3])
def test_top_k_is_the_head_of_all(served: Served, transport: str, top_k: int) -> None:
    every = served.call(transport, tiny.picture(3), top_k=3)["predictions"]
    assert served.call(transport, tiny.picture(3), top_k=top_k)["predictions"] == every[:top_k]


@on_both
def test_the_answer_is_the_graph_s(served: Served, transport: str, bundles: object) -> None:
    """Computed here from the mean colour, as the tiny graph does."""
    colour = np.array([200, 100, 50])
    weights = np.random.default_rng(0).normal(0, 8, (3, 3)).astype(np.float32)
    logits = colour / 255 @ weights
    expected = np.exp(logits) / np.exp(logits).sum()
    picture = encode(Image.new("RGB", (50, 70), tuple(int(part) for part in colour)))
    answer = {p["label"]: p["probability"] for p in served.call(transport, picture, top_k=3)["predictions"]}
    assert [answer[label] for label in ("red", "green", "blue")] == pytest.approx(expected, abs=1e-5)


@on_both
def test_every_answer_says_who_answered(served: Served, transport: str) -> None:
    answer = served.call(transport, tiny.picture(), headers={"x-request-id": "a.b:c-d_1"})
    assert answer["model_version"] == "0.0.1"
    assert answer["request_id"] == "a.b:c-d_1"


@on_both
def test_a_second_page_is_said(served: Served, transport: str) -> None:
    first, second = Image.new("RGB", (40, 40), "red"), Image.new("RGB", (40, 40), "blue")
    answer = served.call(transport, encode(first, "TIFF", save_all=True, append_images=[second]))
    assert answer["notes"] == ["the file holds several pages; the first was used"]
    assert answer["predictions"] == served.call(transport, encode(first))["predictions"]


@on_both
@pytest.mark.parametrize("format_", ["PNG", "TIFF", "WEBP"])
def test_formats_of_the_same_pixels_have_one_answer(served: Served, transport: str, format_: str) -> None:
    options = {"lossless": True} if format_ == "WEBP" else {}
    expected = served.call(transport, tiny.picture(5))
    answer = served.call(transport, tiny.picture(5, format_=format_, **options))
    assert answer["predictions"] == expected["predictions"]


def explained(answer: dict[str, Any]) -> np.ndarray:
    """How coloured each pixel of the explanation is; the photograph itself is grey there."""
    image = Image.open(io.BytesIO(base64.b64decode(answer["explanation"])))
    assert image.format == "PNG"
    return np.ptp(np.asarray(image.convert("RGB")).astype(int), axis=2)


def spot(width: int = 160, height: int = 96) -> np.ndarray:
    """Black, which speaks for no type, and one block of a colour in the lower right."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[height // 2 : height * 7 // 8, width // 2 : width * 7 // 8] = (230, 60, 20)
    return pixels


@on_both
def test_an_explanation_glows_where_the_answer_comes_from(served: Served, transport: str) -> None:
    colour = explained(served.call(transport, encode(Image.fromarray(spot())), explain=True))
    inside = spot()[..., 0] > 0
    assert colour.shape == inside.shape
    assert np.median(colour[inside]) > 50
    assert (colour[~inside] > 0).mean() < 0.1, "but for a seam as wide as the model's pixels are"


@pytest.mark.parametrize("orientation", [3, 6])
def test_an_explanation_is_upright(served: Served, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(spot()).transpose({3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90}[orientation])
    colour = explained(served.call("grpc", encode(stored, "JPEG", exif=exif), explain=True))
    rows, columns = np.nonzero(colour > 50)
    assert colour.shape == (96, 160)
    assert rows.min() > 40
    assert columns.min() > 70


@on_both
@pytest.mark.parametrize(("size", "expected"), [((1, 1), (1, 1)), ((3001, 7), (512, 1)), ((900, 1800), (256, 512))])
def test_an_explanation_is_small(served: Served, transport: str, size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert explained(served.call(transport, tiny.picture(1, size), explain=True)).shape == expected[::-1]


@on_both
def test_an_explanation_comes_on_request_and_changes_nothing_else(served: Served, transport: str) -> None:
    plain, with_it = (served.call(transport, tiny.picture(2), **asked) for asked in ({}, {"explain": True}))
    assert "explanation" not in plain
    assert with_it.pop("explanation")
    assert plain["predictions"] == with_it["predictions"]


def test_explanations_in_a_stream_are_those_of_single_calls(served: Served) -> None:
    pictures = [tiny.picture(seed) for seed in range(6)]
    items = (served.kind.item(str(i), picture, explain=i % 2 == 0) for i, picture in enumerate(pictures))
    answers = [as_dict(answer.response) for answer in served.stub.ClassifyStream(items, timeout=90)]
    for number, (picture, answer) in enumerate(zip(pictures, answers, strict=True)):
        alone = served.call("grpc", picture, explain=number % 2 == 0)
        assert answer.get("explanation") == alone.get("explanation")


@pytest.mark.parametrize("wrong", ["maybe", 7])
def test_explain_takes_yes_or_no(served: Served, wrong: object) -> None:
    """Over gRPC nothing but a bool can be sent."""
    with pytest.raises(Refused, match="`explain`") as refused:
        served.call("http", tiny.picture(), explain=wrong)
    assert refused.value.code == "PARAMETER_INVALID"


class TestOverlay:
    """A photograph twice as wide as high, and heat in one of 4 x 4 places."""

    @pytest.mark.parametrize(
        ("rule", "place", "box"),
        [
            ("squash", (1, 0), (25, 50, 0, 50)),
            ("letterbox", (1, 0), (0, 50, 0, 50)),
            ("center-crop", (1, 0), (25, 50, 50, 75)),
        ],
    )
    @pytest.mark.parametrize("turned", [False, True])
    def test_heat_lies_where_the_model_saw_it(
        self, rule: str, place: tuple[int, int], box: tuple[int, int, int, int], turned: bool
    ) -> None:
        heat, inside = np.zeros((4, 4), np.float32), np.zeros((100, 200), bool)
        heat[place] = 1
        inside[box[0] : box[1], box[2] : box[3]] = True
        if turned:
            heat, inside = heat.T, inside.T
        png = explanation.overlay(np.full((*inside.shape, 3), 128, np.uint8), heat, images.ResizeRule(rule))
        colour = np.ptp(np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(float), axis=2)
        rows, columns = np.nonzero(colour == colour.max())
        assert inside[rows, columns].all()
        assert colour[inside].mean() > 8 * colour[~inside].mean()

    def test_a_map_that_says_little_is_faint(self) -> None:
        faint, strong = (
            heat(np.stack([np.full((2, 2), value), np.zeros((2, 2))], 2).astype(np.float32), 0) for value in (0.01, 5.0)
        )
        assert faint.max() < 0.05
        assert strong.max() == 1


@on_both
def test_confidence_is_the_caller_s_to_choose(served: Served, transport: str) -> None:
    own = served.call(transport, tiny.picture())
    assert (own["abstained"], own["confidence"]) == (False, pytest.approx(0.4))
    assert "abstention_reason" not in own
    strict = served.call(transport, tiny.picture(), confidence=1)
    assert (strict["abstained"], strict["abstention_reason"]) == (True, "ABSTENTION_REASON_UNSURE_OF_TYPE")
    assert strict["confidence"] == 1
    with pytest.raises(Refused, match="`confidence`"):
        served.call(transport, tiny.picture(), confidence=1.5)


class TestPredictor:
    def load(self, root: object, **facts: object) -> Predictor:
        return Predictor(models.load(tiny.classify(root, **facts)))  # type: ignore[arg-type]

    def answer(self, predictor: Predictor, probabilities: list[float], top_k: int | None = None) -> object:
        photograph = images.Decoded(np.zeros((4, 4, 3), np.uint8), 4, 4, "PNG", 1)
        return predictor.answer(photograph, {"probabilities": np.array(probabilities, np.float32)}, Parameters(top_k=top_k))

    def test_three_by_default_and_ties_in_the_order_of_labels(self, tmp_path: object) -> None:
        predictor = self.load(tmp_path, labels=("a", "b", "c", "d"))
        answer = self.answer(predictor, [0.25, 0.25, 0.25, 0.25])
        assert [prediction.label.id for prediction in answer.predictions] == ["a", "b", "c"]
        assert len(self.answer(predictor, [0.25] * 4, 4).predictions) == 4

    def test_fewer_labels_than_the_default(self, tmp_path: object) -> None:
        assert len(self.answer(self.load(tmp_path, labels=("a", "b")), [0.3, 0.7]).predictions) == 2

    @pytest.mark.parametrize(("best", "abstained"), [(0.39, True), (0.41, False)])
    def test_abstains_below_the_manifest_s_threshold(self, tmp_path: object, best: float, abstained: bool) -> None:
        answer = self.answer(self.load(tmp_path, labels=("a", "b")), [best, 0.2])
        assert answer.abstained is abstained

    @pytest.mark.parametrize(("sculpture", "reason"), [(0.7, Reason.UNSURE_OF_TYPE), (0.2, Reason.NO_SCULPTURE)])
    def test_says_why_it_abstains(self, tmp_path: object, sculpture: float, reason: Reason) -> None:
        predictor = self.load(tmp_path, labels=("a", "b"))
        photograph = images.Decoded(np.zeros((4, 4, 3), np.uint8), 4, 4, "PNG", 1)
        outputs = {"probabilities": np.array([0.5, 0.3], np.float32), "sculpture": np.float32(sculpture)}
        assert predictor.answer(photograph, outputs, Parameters()).reason is reason
        sure = predictor.answer(photograph, outputs, Parameters(confidence=0.05))
        assert (sure.reason, sure.confidence) == (None, 0.05)

    @pytest.mark.parametrize(("sculpture", "abstained"), [(0.9, False), (0.5, True)])
    def test_abstains_where_there_is_hardly_a_sculpture(self, tmp_path: object, sculpture: float, abstained: bool) -> None:
        predictor = self.load(tmp_path, labels=("a", "b"))
        photograph = images.Decoded(np.zeros((4, 4, 3), np.uint8), 4, 4, "PNG", 1)
        outputs = {"probabilities": np.array([0.7, 0.3], np.float32), "sculpture": np.float32(sculpture)}
        answer = predictor.answer(photograph, outputs, Parameters())
        assert answer.abstained is abstained
        assert answer.predictions[0].probability == pytest.approx(0.7)

    def test_a_model_that_cannot_explain_says_so(self, tmp_path: object) -> None:
        predictor = Predictor(models.load(tiny.faulty(tmp_path)))  # type: ignore[arg-type]
        predictor.check(Parameters())
        with pytest.raises(ParameterInvalid, match="explain"):
            predictor.check(Parameters(explain=True))

    def test_a_bundle_without_labels_is_refused(self, tmp_path: object) -> None:
        bundle = models.load(tiny.remove_background(tmp_path))  # type: ignore[arg-type]
        with pytest.raises(BundleError):
            Predictor(bundle)
