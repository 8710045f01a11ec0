"""The parts against their definitions, and the folders a user can get wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from training.cluster_assign import continuity, data, evaluate, export, features, measures, model, study, train
from training.cluster_assign.config import PAPER, TrainingError


def test_the_paper_autoencoder_has_the_papers_shapes() -> None:
    encoder, decoder = model.autoencoder(PAPER, (128, 128, 3))
    kernels = [tuple(layer.kernel.shape) for layer in encoder.layers if layer.name.startswith("conv2d")]
    assert kernels == [(5, 5, 3, 32), (5, 5, 32, 64), (3, 3, 64, 128)]
    assert encoder.output.shape == (None, 32)
    assert decoder.output.shape == (None, 128, 128, 3)


def test_soft_assignment_is_student_t() -> None:
    z, centroids = np.array([[0.0, 0.0], [3.0, 4.0]], "float32"), np.array([[0.0, 0.0], [0.0, 1.0], [3.0, 4.0]], "float32")
    layer = model.ClusteringLayer(3)
    layer.build((None, 2))
    layer.set_weights([centroids])
    kernel = np.array([[1, 1 / 2, 1 / 26], [1 / 26, 1 / 19, 1]])
    np.testing.assert_allclose(layer(z), kernel / kernel.sum(axis=1, keepdims=True), rtol=1e-6)


def test_the_target_sharpens_and_evens_out() -> None:
    q = np.array([[0.6, 0.4], [0.9, 0.1], [0.8, 0.2]])
    weight = q**2 / q.sum(axis=0)
    np.testing.assert_allclose(model.target_distribution(q), weight / weight.sum(axis=1, keepdims=True), rtol=1e-6)


def test_gram_forgets_places() -> None:
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(2, 4, 5, 3)).astype("float32")
    answer = np.asarray(features.Gram()(maps))
    flat = maps.reshape(2, 20, 3)
    expected = (flat.transpose(0, 2, 1) @ flat / 20)[:, *np.triu_indices(3)]
    np.testing.assert_allclose(answer, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(features.Gram()(maps[:, ::-1]), answer, rtol=1e-4, atol=1e-6)


def test_colour_bins_share_out_every_pixel() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype("float32")
    shares = np.asarray(features.ColourHistogram()(pixels)) ** 2
    np.testing.assert_allclose(shares.reshape(2, 16, 3).sum(axis=1), 1, atol=1e-3)


def test_accuracy_takes_the_best_matching() -> None:
    labels, clusters = np.array([0, 0, 1, 1, 2, 2]), np.array([2, 2, 0, 0, 1, 0])
    assert measures.accuracy(labels, clusters) == pytest.approx(5 / 6)
    names = np.array(["a", "a", "b", "b", "c", ""])
    agreed = measures.agreement(names, clusters, 0, resamples=50)
    assert agreed["acc"] == 1.0 and agreed["nmi"] == pytest.approx(1.0) and agreed["labelled"] == 5
    low, high = agreed["acc_interval"]
    assert low <= 1.0 <= high


def test_three_separate_groups_are_counted_as_three() -> None:
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(centre, 0.2, (30, 2)) for centre in ((0, 0), (5, 0), (0, 5))])
    chosen, table = measures.choose_k(points, range(2, 7), 0)
    assert chosen == 3
    assert next(row for row in table if row["k"] == 3)["stability"] == pytest.approx(1.0)


def test_exemplars_lie_at_the_centre_and_outliers_nearer_to_others() -> None:
    embedding = np.array([[0.0], [0.1], [0.2], [4.9], [5.0], [5.1], [5.2]])
    clusters = np.array([0, 0, 0, 0, 1, 1, 1])
    first, second = measures.describe(np.array(list("abcdefg")), embedding, clusters, np.array([[0.1], [5.1]]))
    assert first["exemplars"][0] == "b" and first["outliers"] == ["d"] and first["size"] == 4
    assert second["exemplars"][0] == "f" and second["outliers"] == []


def test_copies_and_broken_files_are_left_out_and_named(works: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "mixed"
    shutil.copytree(works, folder)
    shutil.copy(folder / "warm" / "00.png", folder / "warm" / "zz.png")
    (folder / "cool" / "cut.png").write_bytes((folder / "cool" / "00.png").read_bytes()[:200])
    (folder / "cool" / "text.jpg").write_text("not a picture")
    collection = data.load([folder], 32, labels=folder / "labels.csv")
    assert len(collection.ids) == 24
    assert set(collection.skipped) == {"warm/zz.png", "cool/cut.png", "cool/text.jpg"}
    assert "warm/zz.png is left out: the same bytes as warm/00.png" in caplog.text
    assert list(collection.labels) == [name.split("/")[0] for name in collection.ids]


@pytest.mark.parametrize(
    ("command", "arguments", "sentence"),
    [
        (train.app, ["--data", "WORKS", "--k", "20"], "24 readable works cannot fill 20 clusters"),
        (train.app, ["--data", "WORKS", "--k", "1"], "--k 1 is no grouping"),
        (train.app, ["--data", "WORKS/nowhere"], "there is no such folder"),
        (train.app, ["--data", "EMPTY"], "no readable picture"),
        (train.app, ["--data", "WORKS", "--config", "best"], "choose one of paper, default"),
        (train.app, ["--data", "WORKS", "--labels", "WORKS/labels.csv", "--label-column", "epoch"], "needs the columns"),
        (study.app, ["--data", "WORKS", "--only", "paper,best"], "choose among paper, content + gram"),
        (study.app, ["--data", "WORKS", "--k", "9-2"], "--k starts at 2 or more"),
        (evaluate.app, ["--run", "EMPTY"], "not a run folder"),
        (export.app, ["--run", "EMPTY", "--data", "WORKS", "--golden", "EMPTY/none.jpg"], "there is no such picture"),
    ],
)
def test_mistakes_end_as_one_sentence(
    command: object, arguments: list[str], sentence: str, works: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    arguments = [word.replace("WORKS", str(works)).replace("EMPTY", str(empty)) for word in arguments]
    if command is study.app:
        arguments += ["--out", str(tmp_path / "study")]
    if command is train.app:
        arguments += (
            ["--out", str(tmp_path / "run"), "--config", "paper"] if "--config" not in arguments else ["--out", str(tmp_path)]
        )
    result = CliRunner().invoke(command, arguments)  # type: ignore[arg-type]
    assert result.exit_code == 2, result.output
    assert sentence in result.output.replace("\n", "")
    assert "Traceback" not in result.output


def test_a_run_of_other_works_is_not_exported(works: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / train.RESULT, ids=np.array(["other.png"]), q=np.ones((1, 2)))
    collection = data.load([works], 32)
    with pytest.raises(TrainingError, match="not a run folder"):
        export.rebuild(tmp_path, collection)


IDS = np.array(list("abcdefgh"))


def test_a_retrained_model_keeps_the_numbers_of_clusters_that_correspond() -> None:
    old = np.array([0, 0, 0, 1, 1, 1, 2, 2])
    new = np.array([2, 2, 2, 0, 0, 0, 1, 1])
    found = continuity.match(IDS, old, IDS[::-1], new[::-1], 3)
    assert (np.argsort(found.order)[new] == old).all()
    assert found.report["kept"] == {"0": 1.0, "1": 1.0, "2": 1.0}
    assert not found.report["split"] and not found.report["merged"] and not found.report["new"]


def test_a_split_a_merger_and_a_new_cluster_are_named() -> None:
    old = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    split = continuity.match(IDS, old, IDS, np.array([0, 0, 3, 3, 1, 1, 2, 2]), 4)
    assert split.report["split"] == {"0": [0, 3]}
    merged = continuity.match(IDS, old, IDS, np.array([0, 0, 0, 0, 1, 1, 1, 1]), 2)
    assert merged.report["merged"] == {"1": [1, 2]}
    more = np.array([*IDS, "x", "y"])
    grown = continuity.match(IDS, old, more, np.array([1, 1, 1, 1, 2, 2, 3, 3, 0, 0]), 4)
    assert grown.report["new"] == [3] and grown.order[3] == 0


def test_a_folder_that_is_no_bundle_has_no_numbers_to_keep(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="not a bundle"):
        continuity.previous(tmp_path)
