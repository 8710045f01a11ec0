"""``classify`` as its callers see it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from services.classify.predictor import Parameters, Predictor
from services.common import images, models
from services.common.models import BundleError
from tests import tiny
from tests.files import encode
from tests.serving import Served, on_both


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

    def test_a_bundle_without_labels_is_refused(self, tmp_path: object) -> None:
        bundle = models.load(tiny.remove_background(tmp_path))  # type: ignore[arg-type]
        with pytest.raises(BundleError):
            Predictor(bundle)
