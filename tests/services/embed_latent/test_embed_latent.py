"""``embed_latent`` as its callers see it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from services.common import models
from services.common.models import BundleError
from services.embed_latent.predictor import Predictor
from tests import tiny
from tests.files import encode
from tests.serving import Served, on_both


@pytest.fixture
def served(running: dict[str, Served]) -> Served:
    return running["embed_latent"]


def test_both_transports_agree(served: Served) -> None:
    for seed in range(4):
        for parameters in ({}, {"features": True}, {"features": False}):
            http, grpc = (served.call(transport, tiny.picture(seed), **parameters) for transport in ("http", "grpc"))
            assert http.pop("request_id") != grpc.pop("request_id")
            assert http == grpc


@on_both
def test_the_point_and_its_distance_from_the_prior(served: Served, transport: str) -> None:
    """The tiny graph stretches red and green to 0..5; the prior deviates by 5."""
    answer = served.call(transport, encode(Image.new("RGB", (30, 30), (255, 51, 0))))
    assert answer["latent"] == pytest.approx([5, 1], abs=1e-5)
    assert answer["prior_distance"] == pytest.approx(np.hypot(1, 0.2), abs=1e-5)
    assert answer["embedding_space"] == "tiny-plane"
    assert answer["model_version"] == "0.0.1"


@on_both
def test_features_where_asked_for(served: Served, transport: str) -> None:
    assert served.call(transport, tiny.picture())["features"] == []
    answer = served.call(transport, tiny.picture(), features=True)
    assert len(answer["features"]) == served.get(transport, "/v1/space")["feature_dimensions"] == 3


@on_both
def test_latents_are_float32(served: Served, transport: str) -> None:
    for value in served.call(transport, tiny.picture(3))["latent"]:
        assert np.float32(value) == np.float32(repr(value))
        assert len(repr(value).replace(".", "").lstrip("0")) <= 9


@on_both
def test_unlike_the_training_set(served: Served, transport: str) -> None:
    works = np.random.default_rng(2).random((9, 3), dtype=np.float32)
    seen = set()
    for colour in ((0, 0, 0), (128, 128, 128), (255, 0, 255), (255, 255, 255), (255, 0, 0), (0, 0, 255), (0, 255, 0)):
        answer = served.call(transport, encode(Image.new("RGB", (30, 30), colour)))
        nearest = np.sort(np.linalg.norm(works - np.array(colour, np.float32) / 255, axis=1))[:5]
        assert answer["unlike_training"] is bool(nearest.mean() > 0.8)
        seen.add(answer["unlike_training"])
    assert seen == {True, False}


@on_both
def test_the_space(served: Served, transport: str) -> None:
    space = served.get(transport, "/v1/space")
    assert space["embedding_space"] == "tiny-plane"
    assert (space["dimensions"], space["prior_mean"], space["prior_standard_deviation"]) == (2, [0, 0], [5, 5])
    assert space["groups"] == ["Chupicuaro", "Colima", "Nayarit"]
    assert [point["id"] for point in space["points"]] == [f"figurine{i}.jpg" for i in range(9)]
    works = np.random.default_rng(2).random((9, 3), dtype=np.float32)
    assert [point["latent"] for point in space["points"]] == [pytest.approx(5 * work[:2], abs=1e-5) for work in works]
    assert {point["group"] for point in space["points"]} == set(space["groups"])


def test_a_bundle_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="prior"):
        Predictor(models.load(tiny.classify(tmp_path)))
