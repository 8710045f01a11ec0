"""From a folder of pictures to a served bundle; a killed run equals one that was not."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from services.common import models
from training.cluster_assign import checkpoints, commands, data, evaluate, export, fit, study, train
from training.cluster_assign.config import Config, TrainingError
from training.common import bundle, runs


@pytest.fixture(autouse=True, scope="module")
def _repeatable() -> None:
    commands.limit_threads(0)


def start(out: Path, config: Config, k: int = 2) -> Path:
    return runs.open_run(out, {"settings": dataclasses.asdict(config), "config": "tiny", "k": k, "seed": 1, "data": ["works"]})


def test_a_folder_becomes_a_bundle_that_serving_opens(works: Path, tiny: Config, tmp_path: Path) -> None:
    config = dataclasses.replace(tiny, blocks=("content", "gram", "colour"), components=2, hidden=16, size=64)
    collection = data.load([works], 64, labels=works / "labels.csv")
    run = start(tmp_path / "run", config)
    train.draw(collection, train.train(collection, config, 2, 1, run), 1, run)
    measured = evaluate.evaluate(run, collection.labels, 1)
    runs.write_json(run / evaluate.METRICS, measured)
    assert measured["acc"] == 1.0, "stripes of orange and checks of blue are told apart"
    assert measured["silhouette"] > 0.3
    assert measured["supervised"]["colour"]["acc"] == 1.0
    assert (run / "samples.png").exists() and (run / "tsne.png").exists()

    picture = io.BytesIO()
    Image.fromarray(collection.pixels[0]).save(picture, "PNG")
    destination = tmp_path / "cluster_assign" / "0.1.0"
    dataset = bundle.Dataset(name="works", items=24, licence="CC0-1.0")
    numbers = export.export(run, collection, picture.getvalue(), destination, [dataset])
    assert numbers["served_equals_training"] == 1.0

    served = models.load(destination)
    answer = served.run(collection.pixels)
    with np.load(destination / export.INDEX) as index:
        assert list(index["ids"]) == list(collection.ids)
        np.testing.assert_allclose(answer["embedding"], index["embeddings"], atol=1e-4)
        assert (answer["assignment"].argmax(axis=1) == index["clusters"]).all()
    np.testing.assert_allclose(answer["assignment"].sum(axis=1), 1, atol=1e-5)
    details = served.manifest.details
    assert details["works"] == 24 and [cluster["size"] for cluster in details["clusters"]] == [12, 12]
    assert all(len({name.split("/")[0] for name in cluster["exemplars"]}) == 1 for cluster in details["clusters"])
    assert served.manifest.embedding_space == f"cluster_assign/0.1.0/{export.fingerprint(export.rebuild(run, collection))}"
    assert (destination / "saved_model" / "saved_model.pb").exists()

    # The same collection again, its clusters the other way round: they get their old numbers back.
    with np.load(run / train.RESULT) as stored:
        swapped = {**stored, "q": stored["q"][:, ::-1], "centroids": stored["centroids"][::-1]}
    np.savez(run / train.RESULT, **swapped)
    export.export(run, collection, picture.getvalue(), destination.with_name("0.2.0"), [dataset], destination)
    again = models.load(destination.with_name("0.2.0"))
    assert (again.run(collection.pixels)["assignment"].argmax(axis=1) == answer["assignment"].argmax(axis=1)).all()
    assert again.manifest.details["continuity"]["kept"] == {"0": 1.0, "1": 1.0}


class Killed(Exception):
    pass


@pytest.fixture(scope="module")
def uncut(works: Path, tiny: Config, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, fit.Clustered]:
    run = start(tmp_path_factory.mktemp("uncut") / "run", tiny)
    return run, train.train(data.load([works], tiny.size), tiny, 2, 1, run)


@pytest.mark.parametrize("after", [1, 4])
def test_a_killed_run_resumes_to_the_same_result(
    works: Path, tiny: Config, uncut: tuple[Path, fit.Clustered], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """Checkpoints 1-3 are of pre-training, the rest of clustering; the kill falls just before the next one is written."""
    collection = data.load([works], tiny.size)
    run, whole = uncut

    save, saved = checkpoints.save, []

    def kill(*args: object, **kwargs: object) -> None:
        if len(saved) == after:
            raise Killed
        saved.append(args)
        save(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(checkpoints, "save", kill)
    with pytest.raises(Killed):
        train.train(collection, tiny, 2, 1, start(tmp_path / "cut", tiny))
    monkeypatch.setattr(checkpoints, "save", save)
    resumed = train.train(collection, tiny, 2, 1, start(tmp_path / "cut", tiny))

    np.testing.assert_array_equal(resumed.q, whole.q)
    np.testing.assert_array_equal(resumed.embedding, whole.embedding)
    assert resumed.iterations == whole.iterations
    assert runs.read_history(tmp_path / "cut" / "pretrain") == runs.read_history(run / "pretrain")


def test_a_nan_loss_stops_with_a_sentence(works: Path, tiny: Config, tmp_path: Path) -> None:
    collection = data.load([works], tiny.size)
    with pytest.raises(TrainingError, match="lower --learning-rate"):
        train.train(collection, dataclasses.replace(tiny, learning_rate=1e30), 2, 1, tmp_path / "run")


def test_a_cluster_without_works_gets_a_new_centre(
    works: Path, tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    collection = data.load([works], tiny.size)
    _, features = train.prepare(tiny, collection, tmp_path)
    encoder, decoder = fit.pretrain(features, tiny, 1, tmp_path / "pretrain")
    kmeans = fit.kmeans

    def with_a_far_centre(*args: object) -> object:
        found = kmeans(*args)  # type: ignore[arg-type]
        found.cluster_centers_[0] += 1e3
        return found

    monkeypatch.setattr(fit, "kmeans", with_a_far_centre)
    done = fit.cluster(features, encoder, decoder, 2, tiny, 1, tmp_path / "cluster", "dcec")
    assert "lost its works" in caplog.text
    assert set(done.clusters) == {0, 1}


def test_a_study_fits_each_cell_once_whatever_labels_it_is_held_against(works: Path, tiny: Config, tmp_path: Path) -> None:
    dense = dataclasses.replace(tiny, blocks=("content", "gram"), components=2, hidden=8, size=64)
    collections = {size: data.load([works], size, labels=works / "labels.csv") for size in (tiny.size, dense.size)}
    seen = study.inputs(tiny, dense, collections, tmp_path)
    every = study.cells([2], [2], [tiny.reconstruction_weight, 0.9], 2, tiny, dense)
    plan = [cell for cell in every if cell.name == "paper" or (cell.name == "colour" and cell.method == "kmeans")]
    rows = study.study(plan, seen, collections, "label", tmp_path)
    assert [(row["name"], row["method"], row["lambda"]) for row in rows] == [
        *(("paper", method, 0.1) for method in ("kmeans", "dcec", "dec")),
        ("paper", "dcec", 0.9),
        ("colour", "kmeans", 0.1),
    ]
    assert rows[-1]["nmi"] > 0.5, "orange and blue are told apart by colour"
    assert all(sum(row["sizes"]) == 24 and row["iterations"] <= tiny.max_iterations for row in rows)
    tables = (tmp_path / "label" / "tables.md").read_text()
    assert "| paper | dcec | 0.9 |" in tables and "agreement with 2 labels of 24 works" in tables
    assert {path.stem for path in (tmp_path / "label").glob("*.png")} == {"paper_methods", "ablation", "configurations"}

    # Other labels, in which each family has both: the groups are the old ones, their agreement is chance.
    mixed = {
        size: dataclasses.replace(collection, labels=np.array(["even", "odd"] * 12)) for size, collection in collections.items()
    }
    again = study.study(plan, seen, mixed, "parity", tmp_path)
    for row, earlier in zip(again, rows, strict=True):
        assert {name: row[name] for name in ("sizes", "silhouette")} == {
            name: earlier[name] for name in ("sizes", "silhouette")
        }
    assert again[-1]["nmi"] < 0.2
