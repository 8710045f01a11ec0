"""Places on a map, against answers that are known."""

from __future__ import annotations

import numpy as np
import pytest

from maquette.maps import projection


def blobs(seed: int = 0) -> tuple[projection.Array, list[int]]:
    """float32 [120, 8]: three far groups of 40."""
    noise = np.random.default_rng(seed).normal(size=(120, 8))
    groups = np.repeat(np.arange(3), 40)
    return (noise + 30 * np.eye(8)[groups]).astype(np.float32), groups.tolist()


def test_components_of_points_in_a_plane_keep_their_distances() -> None:
    flat = np.random.default_rng(1).normal(size=(50, 2)) * (5, 1)
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(6, 6)))[0][:2]
    found, shares = projection.principal_components((flat @ turn + 7).astype(np.float32))
    np.testing.assert_allclose(
        np.linalg.norm(found[:, None] - found, axis=2), np.linalg.norm(flat[:, None] - flat, axis=2), atol=1e-4
    )
    assert shares.sum() > 0.9999 and shares[0] > shares[1]


def test_components_do_not_depend_on_a_sign() -> None:
    vectors, _ = blobs()
    first, _ = projection.principal_components(vectors)
    again, _ = projection.principal_components(vectors[::-1])
    np.testing.assert_allclose(first, again[::-1], atol=1e-3)


def test_one_work_one_dimension_and_equal_works() -> None:
    for shape in ((1, 5), (4, 1), (2, 2)):
        points, shares = projection.principal_components(np.ones(shape, np.float32))
        assert points.shape == (shape[0], 2)
        assert np.isfinite(points).all() and np.isfinite(shares).all()
    assert projection.nearest(np.ones((1, 5), np.float32), 3).shape == (1, 0)


def test_both_layouts_keep_groups_together_and_are_the_same_again() -> None:
    vectors, groups = blobs()
    found = list(projection.layouts(vectors))
    assert [one.name for one in found] == ["t-SNE", "Principal components"]
    for one, again in zip(found, projection.layouts(vectors), strict=True):
        near = projection.nearest(one.points, 5)
        assert np.mean(np.array(groups)[near] == np.array(groups)[:, None]) > 0.99
        np.testing.assert_array_equal(one.points, again.points)


def test_nearest_is_what_brute_force_finds() -> None:
    vectors = np.random.default_rng(3).normal(size=(700, 4)).astype(np.float32)
    distances = np.linalg.norm(vectors[:, None] - vectors, axis=2)
    np.fill_diagonal(distances, np.inf)
    np.testing.assert_array_equal(projection.nearest(vectors, 6), distances.argsort(axis=1)[:, :6])


@pytest.mark.parametrize(
    "vectors", [np.linspace(0, 1, 200)[:, None], np.ones((200, 8)), np.linspace(0, 1, 200)[:, None] * np.ones(8)]
)
def test_works_on_one_line_or_in_one_place_are_arranged(vectors: projection.Array) -> None:
    (layout,) = projection.layouts(vectors.astype(np.float32))
    assert layout.name == "Principal components"
    assert np.isfinite(layout.points).all()
