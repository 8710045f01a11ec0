"""Every measure against an answer known beforehand."""

from __future__ import annotations

import numpy as np
import pytest

from training.embed_latent import measures


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def test_mmd_of_one_law_is_near_zero_and_its_p_is_uniform(rng: np.random.Generator) -> None:
    values, ps = zip(
        *(measures.mmd(rng.normal(0, 5, (60, 2)), rng.normal(0, 5, (60, 2)), permutations=99, rng=rng) for _ in range(200)),
        strict=True,
    )
    assert abs(np.mean(values)) < 0.002  # unbiased: the mean over draws is 0
    # Under the null p <= 0.1 happens in one draw of ten; 200 draws put three deviations at 0.036.. 0.164.
    assert 0.036 < np.mean(np.array(ps) <= 0.1) < 0.164


def test_mmd_matches_its_definition_written_out(rng: np.random.Generator) -> None:
    x, y = rng.normal(0, 1, (7, 2)), rng.normal(1, 1, (5, 2))
    every = np.concatenate([x, y])
    squares = [float(((a - b) ** 2).sum()) for i, a in enumerate(every) for b in every[i + 1 :]]
    median = np.median(squares)

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.mean([np.exp(-((a - b) ** 2).sum() / (2 * s * s * median)) for s in (0.5, 1, 2)]))

    xx = np.mean([kernel(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j])
    yy = np.mean([kernel(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j])
    xy = np.mean([kernel(a, b) for a in x for b in y])
    assert measures.mmd(x, y, permutations=9, rng=rng)[0] == pytest.approx(xx + yy - 2 * xy)


@pytest.mark.parametrize("other", [(3.0, 5.0), (0.0, 2.0)], ids=["moved", "narrower"])
def test_mmd_sees_a_moved_and_a_narrower_sample(other: tuple[float, float], rng: np.random.Generator) -> None:
    value, p = measures.mmd(rng.normal(*other, (150, 2)), rng.normal(0, 5, (150, 2)), permutations=199, rng=rng)
    assert value > 0.01
    assert p == pytest.approx(1 / 200)


def test_energy_distance_of_two_points_masses_is_twice_their_gap() -> None:
    assert measures.energy_distance(np.zeros((4, 2)), np.full((9, 2), [3.0, 4.0])) == pytest.approx(10.0)


def test_energy_distance_does_not_depend_on_group_size(rng: np.random.Generator) -> None:
    def mean(n: int) -> float:
        draws = [measures.energy_distance(rng.normal(0, 1, (n, 2)), rng.normal([1, 0], 1, (300, 2))) for _ in range(150)]
        return float(np.mean(draws))

    assert mean(8) == pytest.approx(mean(300), abs=0.06)


def test_ks_radius_and_angle_of_the_prior_itself_are_small(rng: np.random.Generator) -> None:
    points = rng.normal(0, 5, (20_000, 2))
    assert measures.ks_radius(points, 5.0) < 0.0115  # the 1 % critical value, 1.63 / sqrt(n)
    assert measures.ks_angle(points) < 0.0115


def test_ks_radius_of_a_circle_is_the_larger_side_of_its_step() -> None:
    angle = np.linspace(-np.pi, np.pi, 400, endpoint=False)
    circle = 5.0 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    inside = 1 - np.exp(-0.5)
    assert measures.ks_radius(circle, 5.0) == pytest.approx(max(inside, 1 - inside), abs=1e-6)
    assert measures.ks_angle(circle) < 0.01


def test_ks_angle_of_a_half_plane_is_a_half(rng: np.random.Generator) -> None:
    points = rng.normal(0, 5, (5000, 2))
    points[:, 1] = np.abs(points[:, 1])
    assert measures.ks_angle(points) == pytest.approx(0.5, abs=0.02)


def test_share_within_counts_the_radius() -> None:
    assert measures.share_within(np.array([[0, 0], [14.9, 0], [0, 15.1], [11, 11]]), 5.0) == 0.5


def test_share_within_of_the_prior_is_the_known_989(rng: np.random.Generator) -> None:
    assert measures.share_within(rng.normal(0, 5, (100_000, 2)), 5.0) == pytest.approx(1 - np.exp(-4.5), abs=0.0015)


def test_effective_rank_is_one_on_a_line_two_when_round_and_zero_in_a_point(rng: np.random.Generator) -> None:
    line = rng.normal(0, 5, (500, 1)) @ np.array([[1.0, 2.0]])
    assert measures.effective_rank(line) == pytest.approx(1.0, abs=1e-6)
    assert measures.effective_rank(rng.normal(0, 5, (5000, 2))) == pytest.approx(2.0, abs=0.01)
    assert measures.effective_rank(np.ones((10, 2))) == 0.0


def test_neighbour_spacing_tells_spread_from_collapse(rng: np.random.Generator) -> None:
    assert measures.neighbour_spacing(rng.normal(0, 5, (2000, 2)), 5.0, rng=rng) == pytest.approx(1.0, abs=0.1)
    assert measures.neighbour_spacing(rng.normal(0, 0.01, (500, 2)), 5.0, rng=rng) < 0.01


def test_reconstruction_of_a_picture_with_itself_and_with_its_shift() -> None:
    pictures = np.random.default_rng(0).integers(0, 200, (3, 32, 32, 3)).astype(np.uint8)
    assert measures.reconstruction(pictures, pictures) == (0.0, pytest.approx(1.0))
    error, similar = measures.reconstruction(pictures, pictures + np.uint8(51))
    assert error == pytest.approx(0.04)
    assert 0.3 < similar < 1.0


def test_neighbours_of_well_separated_groups_are_pure(rng: np.random.Generator) -> None:
    labels = np.repeat([0, 1, 2], 30)
    points = rng.normal(0, 0.1, (90, 2)) + np.array([[0, 0], [5, 0], [0, 5]])[labels]
    answer = measures.class_structure(points[::2], labels[::2], points[1::2], labels[1::2])
    assert answer == {"purity": 1.0, "balanced_accuracy": 1.0, "balanced_accuracy_1nn": 1.0}


def test_neighbours_of_mixed_groups_are_at_chance_however_unequal_they_are(rng: np.random.Generator) -> None:
    labels = np.repeat([0, 1, 2], [1500, 1000, 400])
    points = rng.normal(0, 1, (len(labels), 2))
    order = rng.permutation(len(labels))
    points, labels = points[order], labels[order]
    answer = measures.class_structure(points[:1500], labels[:1500], points[1500:], labels[1500:], k=15)
    assert answer["balanced_accuracy"] == pytest.approx(1 / 3, abs=0.05)


@pytest.mark.parametrize("broken", [np.array([[np.nan, 0.0], [1.0, 1.0]]), np.zeros((1, 2)), np.zeros(5)])
def test_bad_latents_are_named(broken: np.ndarray) -> None:
    with pytest.raises(measures.MeasureError, match=r"ks radius: (needs|holds)"):
        measures.ks_radius(broken, 5.0)
