"""Divergences and networks against what is known of them."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from training.embed_latent import data, eye, model
from training.embed_latent.config import CONFIGURATIONS, CURE


def test_kl_is_zero_at_the_prior_and_known_elsewhere() -> None:
    mean = torch.zeros(4, 2)
    assert float(model.gaussian_kl(mean, torch.full((4, 2), math.log(25.0)), 5.0)) == pytest.approx(0, abs=1e-6)
    # One sigma off in both coordinates: 2 * 1/2 nats.
    assert float(model.gaussian_kl(mean + 5, torch.full((4, 2), math.log(25.0)), 5.0)) == pytest.approx(1.0, abs=1e-5)


def test_sliced_wasserstein_of_a_shift_is_half_its_square_in_the_plane() -> None:
    torch.manual_seed(0)
    sample = torch.randn(200, 2)
    distance = model.sliced_wasserstein(sample + torch.tensor([3.0, 4.0]), sample, directions=4000)
    assert float(distance) == pytest.approx(12.5, rel=0.05)


def test_mmd_is_near_zero_for_one_law_and_grows_with_a_shift() -> None:
    torch.manual_seed(0)
    prior = torch.randn(500, 2)
    same, near, far = (float(model.mmd_imq(torch.randn(500, 2) + shift, prior)) for shift in (0, 1, 3))
    assert abs(same) < 0.01 < near < far


def test_the_posterior_is_no_narrower_than_its_floor_and_no_wider_than_the_prior() -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        mean, log_variance = model.Encoder(CURE, 10)(100 * torch.randn(500, 10))
    deviation = torch.exp(0.5 * log_variance)
    assert mean.shape == (500, 2)
    assert float(deviation.min()) >= CURE.noise_floor - 1e-6
    assert float(deviation.max()) <= 1 + 1e-6


@pytest.mark.parametrize("side", [16, 64, 128])
def test_the_decoder_draws_pictures_of_its_side(side: int) -> None:
    with torch.no_grad():
        drawn = model.Decoder(replace(CURE, side=side))(torch.randn(3, 2))
    assert drawn.shape == (3, 3, side, side)
    assert 0 <= float(drawn.min()) <= float(drawn.max()) <= 1


def test_the_papers_encoder_has_the_papers_198_million_weights() -> None:
    paper = CONFIGURATIONS["paper"]
    with torch.device("meta"):
        encoder = model.Encoder(paper, 3 * paper.side**2)
    assert (
        sum(parameter.numel() for parameter in encoder.parameters())
        == 196_608 * 1000 + 1000 + 1000 * 1000 + 1000 + 2 * 1000 + 2
    )


def testdiscriminants_are_fishers_and_ask_no_group_s_size() -> None:
    torch.manual_seed(0)
    means = torch.tensor([[3.0, 0.0, 0.0], [0.0, 3.0, 0.0]])
    labels = torch.tensor([0] * 4000 + [1] * 1000)
    spread = torch.tensor([1.0, 1.0, 2.0])
    x = (means[labels] + spread * torch.randn(5000, 3)).double()
    weight, bias = eye.discriminants(x, labels, 2, 0.0)
    np.testing.assert_allclose(weight[0], [1.5, -1.5, 0], atol=0.1)
    np.testing.assert_allclose(weight.sum(dim=0), 0, atol=1e-9)
    between = (x[labels == 0].mean(dim=0) + x[labels == 1].mean(dim=0)) / 2
    np.testing.assert_allclose(between @ weight.T + bias, 0, atol=1e-9)
    # Shrunk all the way, what varies much counts as what varies little does.
    shrunk, _ = eye.discriminants(x, labels, 2, 1.0)
    np.testing.assert_allclose(shrunk[0], 1.5 * torch.tensor([1, -1, 0]) / 2, atol=0.1)


def test_features_without_labels_do_not_read_them(works: data.Works, tmp_path: Path) -> None:
    config = replace(CURE, views=1, features=8, tuned_features=False)
    views, chosen = eye.Views(tmp_path, works, config), np.arange(0, len(works), 2)
    one = eye.fit(works.labels, 3, chosen, views, config)
    other = eye.fit(works.labels[::-1], 3, chosen, views, config)
    np.testing.assert_array_equal(eye.features(one, views), eye.features(other, views))
    told = eye.fit(works.labels, 3, chosen, views, replace(config, tuned_features=True))
    parts = eye.features(told, views).split([3, 5], dim=2)
    for part, length in zip(parts, (config.apart, 1.0), strict=True):
        np.testing.assert_allclose(part.norm(dim=2), length, rtol=1e-5)
