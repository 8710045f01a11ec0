"""The question of influence, where its answer is known."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import typer
from scipy import stats
from typer.testing import CliRunner

from training.embed_latent import comparison, influence, measures, planted


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.mark.parametrize("dimensions", [2, 16])
def test_the_planted_child_lies_between_and_the_stranger_does_not(dimensions: int) -> None:
    found = 0
    for number in range(12):
        rng = np.random.default_rng((number, dimensions))
        found += planted.holds(*planted.draw(dimensions, rng), rng)
    assert found >= 11


def test_the_share_of_the_planted_mixture_is_found(rng: np.random.Generator) -> None:
    shares = []
    for _ in range(10):
        points, groups = planted.draw(2, rng)
        rows = comparison.betweens(points, groups, rng=rng, bootstrap=50)
        shares += [row.share for row in rows if (row.group, row.one, row.other) == ("child", "parent one", "parent two")]
    assert np.mean(shares) == pytest.approx(planted.SHARE, abs=0.06)


def test_a_group_equal_to_a_parent_is_not_between(rng: np.random.Generator) -> None:
    groups = np.repeat(["a", "b", "twin of a"], [200, 100, 80])
    points = rng.normal(size=(380, 2)) + np.where(groups == "b", 4, 0)[:, None]
    row = next(row for row in comparison.betweens(points, groups, rng=rng) if row.group == "twin of a")
    assert not row.between
    assert row.nearer == "a"


def test_distances_agree_with_the_plain_measure(rng: np.random.Generator) -> None:
    points, groups = rng.normal(size=(50, 3)), np.repeat(["a", "b"], [35, 15])
    (pair,) = comparison.pairs(points, groups, rng=rng, bootstrap=20, permutations=19)
    assert pair.distance == pytest.approx(measures.energy_distance(points[:35], points[35:]))


def test_p_of_equal_groups_is_uniform_and_of_moved_ones_small(rng: np.random.Generator) -> None:
    groups = np.repeat(["a", "b"], [40, 12])
    ps = [comparison.pairs(rng.normal(size=(52, 2)), groups, rng=rng, bootstrap=2, permutations=99)[0].p for _ in range(150)]
    assert stats.kstest(ps, "uniform").pvalue > 0.005
    moved = rng.normal(size=(52, 2)) + 2.0 * (groups == "a")[:, None]
    assert comparison.pairs(moved, groups, rng=rng, permutations=199)[0].p == pytest.approx(1 / 200)


def test_a_confounder_that_makes_the_whole_difference_is_found_out(rng: np.random.Generator) -> None:
    """Two groups of one law, photographed by two museums in unequal shares; the museum shifts its photographs."""
    raw, within = [], []
    for _ in range(40):
        groups = np.repeat(["a", "b"], [60, 60])
        museum = np.where(rng.random(120) < np.where(groups == "a", 0.8, 0.2), "one", "two")
        points = rng.normal(size=(120, 2)) + 3.0 * (museum == "one")[:, None]
        (pair,) = comparison.pairs(points, groups, museum, rng=rng, bootstrap=2, permutations=99)
        raw.append(pair.p)
        within.append(pair.p_within)
    assert max(raw) <= 0.05
    assert np.mean(np.array(within) <= 0.05) < 0.2


def test_groups_that_share_no_museum_are_said_to_be_inseparable_from_it(rng: np.random.Generator) -> None:
    groups = np.repeat(["a", "b"], 20)
    (pair,) = comparison.pairs(rng.normal(size=(40, 2)), groups, groups, rng=rng, bootstrap=5, permutations=9)
    assert pair.p_within is None
    assert "nothing tells this distance from the museum's own" in influence._pair_words(pair, "museum")


def test_a_group_of_one_is_named(rng: np.random.Generator) -> None:
    with pytest.raises(comparison.ComparisonError, match="group 'b' has 1 object"):
        comparison.pairs(rng.normal(size=(5, 2)), np.array(["a", "a", "a", "a", "b"]), rng=rng)


def _invoke(*arguments: str) -> tuple[int, str]:
    app = typer.Typer()
    app.command()(influence.main)
    answer = CliRunner().invoke(app, list(arguments))
    return answer.exit_code, answer.output


def test_the_command_names_a_label_for_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,label\nlost.jpg,a\n")
    code, output = _invoke("--labels", str(tmp_path / "labels.csv"), "--out", str(tmp_path / "out"))
    assert code == 2
    assert "the first is lost.jpg" in output
    code, output = _invoke("--labels", str(tmp_path / "labels.csv"), "--confounder", "museum", "--out", str(tmp_path / "out"))
    assert code == 2
    assert "has no column 'museum'" in output


def test_tables_and_page_are_written(rng: np.random.Generator, tmp_path: Path) -> None:
    points, groups = planted.draw(2, rng)
    strata = np.where(rng.random(len(groups)) < 0.5, "one", "two")
    objects = influence.Objects({"plane": points, "features": np.hstack([points, points])}, groups, strata)
    results = influence.compare(objects, seed=0, bootstrap=100, permutations=99)
    influence.write(tmp_path, results)
    with (tmp_path / "pairs.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == 2 * 6
    facts = {"command": "a command", "space": "a space", "seed": 0, "taught": ["child"], "part": "held"}
    text = influence.page(results, objects, facts, "museum")
    assert "child lies between parent one and parent two" in text
    assert "taught to tell child apart**, on other objects than these" in text
    assert "It stands when only works of one museum" in text


def test_views_of_one_object_become_one_point() -> None:
    rows = [
        {"file": "x.jpg", "label": "a", "original_name": "PS1_2009.20.54_Fnt_DD_T10.jpg"},
        {"file": "y.jpg", "label": "a", "original_name": "PS1_2009.20.54_Fnt_DD_T10(1).jpg"},
        {"file": "z.jpg", "label": "a", "original_name": "PS1_2009.20.53_Fnt_DD_T10.jpg"},
    ]
    joined = influence.join_views({"plane": np.array([[0.0, 0.0], [2.0, 4.0], [9.0, 9.0]])}, rows, None)
    assert sorted(joined.points["plane"].tolist()) == [[1.0, 2.0], [9.0, 9.0]]
