"""Figures against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.classify import backbones, head, scores
from training.classify.config import Config

NAMES = ("a", "b", "c")


def test_either_label_counts_as_the_one_answered() -> None:
    answers = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.1, 0.3, 0.6], [0.5, 0.4, 0.1]])
    accepted = np.array([[1, 1, 0], [1, 1, 0], [1, 1, 0], [0, 0, 1]], bool)
    summary = scores.summary(answers, accepted, NAMES)
    assert summary["accuracy"] == 0.5
    # The third is wrong, and counts as b, the likelier of its two.
    assert {name: row["support"] for name, row in summary["types"].items()} == {"a": 1, "b": 2, "c": 1}
    assert summary["types"]["b"]["f1"] == pytest.approx(2 / 3)
    assert summary["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert scores.confusion(answers, accepted).tolist() == [[1, 0, 0], [0, 1, 1], [1, 0, 0]]


def test_temperature_undoes_a_scaling_of_the_logits() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=(4000, 3)) * 2
    drawn = [random.choice(3, p=row) for row in scores.probabilities(logits)]
    accepted = np.eye(3, dtype=bool)[drawn]
    assert scores.temperature(logits * 3, accepted) == pytest.approx(3, rel=0.1)
    before = scores.expected_calibration_error(scores.probabilities(logits * 3), accepted)
    after = scores.expected_calibration_error(scores.probabilities(logits * 3, 3.0), accepted)
    assert before > 0.1 > 0.03 > after


def test_abstention_answers_as_much_as_the_hardest_source_allows() -> None:
    top = np.array([0.95, 0.9, 0.8, 0.7, 0.6])
    answers = np.stack([top, 1 - top], 1)
    accepted = np.array([[1, 0], [1, 0], [1, 0], [0, 1], [0, 1]], bool)
    one = np.array(["museum"] * 5)
    found = scores.abstention(answers, accepted, one, 0.75, {}, 0.9)
    assert (found["abstain_below"], found["precision"], found["coverage"]) == (0.7, 0.75, 0.8)
    assert scores.abstention(answers, ~accepted, one, 0.9, {}, 0.9)["precision"] == pytest.approx(0.4)
    two = np.array(["museum", "park", "park", "park", "park"])
    found = scores.abstention(answers, accepted, two, 0.7, {}, 0.9, least=4)
    assert found["abstain_below"] == 0.8
    assert found["sources"]["park"] == {"precision": 1.0, "coverage": 0.5}
    others = {"walls": np.array([0.1, 0.2, 0.75, 0.85]), "faces": np.array([0.1] * 40)}
    found = scores.abstention(answers, accepted, one, 0.75, others, 0.85)
    assert found["abstain_below"] == pytest.approx(0.75), "three quarters of the walls and all faces are below"
    assert found["others"] == {"walls": 0.75, "faces": 1.0}
    assert scores.abstention(answers, accepted, one, 0.75, others, 0.9)["abstain_below"] == pytest.approx(0.85)


def test_what_shows_no_sculpture_takes_its_share_of_the_answer() -> None:
    logits = np.log([[0.75, 0.25, 0.5, 0.3, 0.2], [0.5, 0.5, 0.05, 0.05, 0.9]])
    answers, weighted = scores.answers(logits, 2)
    assert answers == pytest.approx(np.array([[0.75, 0.25], [0.5, 0.5]]))
    assert weighted.max(1) == pytest.approx([0.6, 0.05])
    assert scores.answers(logits[:, :2], 2)[1] == pytest.approx(answers), "where nothing else was learnt, all is sculpture"


def test_balance_gives_types_and_sources_their_share() -> None:
    accepted = np.eye(2, dtype=bool)[[0] * 9 + [1]]
    sources = ["shop"] * 8 + ["park"] * 2
    alike = head.balance(accepted, sources, Config(class_balance=1.0, source_balance=1.0))
    assert alike[:9].sum() == pytest.approx(alike[9])
    assert alike[:8].sum() == pytest.approx(alike[8])
    assert head.balance(accepted, sources, Config(class_balance=0.0, source_balance=0.0)) == pytest.approx(np.ones(10))


def test_lite0_pads_as_its_weights_were_trained() -> None:
    """The first stride-2 layer must see the corner pixel at its kernel's corner, not at its middle."""
    network = backbones.BACKBONES["efficientnet_lite0"].build()
    assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 1280, 2, 2)
    assert network[0][0].padding == (0, 1, 0, 1)
    assert backbones._SamePad(5).padding == (1, 2, 1, 2)


def test_b0_comes_from_torchvision_or_names_another(monkeypatch: pytest.MonkeyPatch) -> None:
    models = backbones.torchvision().models
    small = models.efficientnet_b0().state_dict()
    weights = models.EfficientNet_B0_Weights
    monkeypatch.setattr(weights, "get_state_dict", lambda self, **options: small)
    network = backbones.BACKBONES["efficientnet_b0"].build()
    assert not network.training
    assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 1280, 2, 2)

    def refuse(self: object, **options: object) -> None:
        raise OSError("no route")

    monkeypatch.setattr(weights, "get_state_dict", refuse)
    with pytest.raises(backbones.WeightsUnavailable, match="efficientnet_lite0"):
        backbones.BACKBONES["efficientnet_b0"].build()
