"""A folder of drawn shapes becomes a bundle that serving opens; a killed run goes on; bad folders are named."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from services.common import images, models
from tests.training.classify.conftest import draw
from training.classify import data as datasets
from training.classify import evaluate, export, features, origins, train
from training.classify.config import Config

TINY = Config(backbone="efficientnet_lite0", size=64, folds=3)


@pytest.fixture(scope="module")
def run(museum: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train.train(museum, tmp_path_factory.mktemp("run"), TINY)


def test_drawn_shapes_are_learnt_exported_and_served(run: Path, museum: Path, tmp_path: Path) -> None:
    golden = tmp_path / "golden.png"
    draw("rings", 999).save(golden)
    written = export.export(run, tmp_path / "classify" / "0.1.0", golden)
    metrics = json.loads((written / "metrics.json").read_text())
    assert metrics["all"]["photographs"] == 30
    assert metrics["all"]["accuracy"] >= 0.8
    assert metrics["exported"]["accuracy"] == metrics["all"]["accuracy"]
    for name in ("confusion.png", "reliability.png", "predictions.png", "curves.png"):
        assert (run / name).stat().st_size > 1000

    bundle = models.load(written)
    assert [label.id for label in bundle.manifest.labels] == ["discs", "rings", "stripes"]
    answers = bundle.run(np.stack([bundle.prepare(np.asarray(draw("stripes", seed))) for seed in (900, 901, 902)]))
    np.testing.assert_allclose(answers["probabilities"].sum(1), 1, atol=1e-5)
    assert (answers["probabilities"].argmax(1) == 2).all()
    assert 0 < bundle.manifest.details["abstain_below"] <= 1
    assert b"site-packages" not in (written / models.GRAPH).read_bytes()

    blank = tmp_path / "blank"
    blank.mkdir()
    Image.new("RGB", (80, 80), "white").save(blank / "nothing.png")
    assert evaluate.abstained(written, blank)[0] == 1
    assert evaluate.abstained(written, museum) == (30, pytest.approx(0, abs=0.2))

    again = evaluate.of_bundle(written, museum, tmp_path / "scored")
    assert again["all"]["accuracy"] >= metrics["all"]["accuracy"]


def test_what_is_no_sculpture_is_learnt_to_be_abstained_from(museum: Path, run: Path, tmp_path: Path) -> None:
    """Two folders of noise and of blank paper; each is judged by a classifier that saw only the other."""
    random = np.random.default_rng(1)
    rows = ["path,types,source", *(f"{path},{path.parent.name},museum" for path in sorted(museum.rglob("*.png")))]
    for index in range(6):
        for name, spread in (("noise", 120), ("paper", 8)):
            path = tmp_path / name / f"{index}.png"
            path.parent.mkdir(exist_ok=True)
            pixels = random.integers(130 - spread, 130 + spread, (80, 96, 3)) + 5 * index
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path)
            rows.append(f"{path},-,{name}")
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    with_others = train.train(tmp_path / "labels.csv", tmp_path / "run", TINY, run / "cache")
    metrics = evaluate.of_run(with_others)
    assert metrics["all"]["photographs"] == 30
    assert set(metrics["abstention"]["others"]) == {"noise", "paper"}
    golden = tmp_path / "golden.png"
    draw("rings", 999).save(golden)
    written = export.export(with_others, tmp_path / "classify" / "0.2.0", golden, run / "cache")
    bundle = models.load(written)
    shapes = bundle.run(np.stack([bundle.prepare(np.asarray(draw("stripes", seed))) for seed in (900, 901)]))
    np.testing.assert_allclose(shapes["probabilities"].sum(1), 1, atol=1e-5)
    assert shapes["sculpture"].shape == (2,)
    assert (shapes["sculpture"] > 0.5).all()
    assert evaluate.abstained(written, tmp_path / "noise") == (6, 1.0)


def test_renders_and_photographs_are_compared_on_works_not_seen(museum: Path, run: Path, tmp_path: Path) -> None:
    """Half of the shapes called renders: each origin alone knows the other, since they are alike."""
    rows = ["path,types,source"]
    for index, path in enumerate(sorted(museum.rglob("*.png"))):
        rows.append(f"{path},{path.parent.name},{'renders' if index % 2 else 'museum'}")
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    table = origins.compare(tmp_path / "labels.csv", TINY, run / "cache")
    assert {name: row["real"]["photographs"] for name, row in table.items()} == dict.fromkeys(table, 15)
    assert table["both"]["real"]["accuracy"] >= 0.8
    assert table["renders only"]["renders"]["photographs"] == 15
    assert "| real only | renders, 15 |" in origins.markdown(table)
    (tmp_path / "labels.csv").write_text("\n".join(row for row in rows if "renders" not in row) + "\n")
    with pytest.raises(datasets.DataError, match="--renders"):
        origins.compare(tmp_path / "labels.csv", TINY, run / "cache")


def test_a_killed_run_ends_like_one_that_was_not(
    run: Path, museum: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = tmp_path / "killed"
    fit, calls = train.head.fit, []

    def fit_twice(*arguments: object) -> object:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return fit(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(train.head, "fit", fit_twice)
        with pytest.raises(KeyboardInterrupt):
            train.train(museum, killed, TINY, run / "cache")
    assert not (killed / "oof.npz").exists()

    def no_session(*arguments: object, **options: object) -> None:
        raise AssertionError("the features are there already")

    monkeypatch.setattr(features.models, "open_session", no_session)
    train.train(museum, killed, TINY, run / "cache")
    with np.load(killed / "oof.npz") as ours, np.load(run / "oof.npz") as theirs:
        np.testing.assert_array_equal(ours["logits"], theirs["logits"])
    with pytest.raises(train.runs.RunError, match="l2"):
        train.train(museum, killed, replace(TINY, l2=0.5))


def test_works_are_whole_in_a_fold_and_copies_are_one_work(museum: Path, tmp_path: Path) -> None:
    rows = ["file,label,work"]
    for kind in ("discs", "rings"):
        for index in range(8):
            shutil.copy(museum / kind / f"{index}.png", tmp_path / f"{kind}{index}.png")
            rows.append(f"{kind}{index}.png,{kind},{kind}-{index // 2}")
    # The first disc again, recompressed: no copy by its bytes, yet the same photograph, entered as another work.
    draw("discs", 0).save(tmp_path / "again.jpg", quality=70)
    (tmp_path / "labels.csv").write_text("\n".join([*rows, "again.jpg,discs,another"]) + "\n")
    set_ = datasets.load(tmp_path, (64, 64), images.ResizeRule.SQUASH, tmp_path / "cache")
    assert len(set(set_.works)) == 8
    fold = datasets.folds(set_, 4, seed=3)
    assert all(len(set(fold[set_.works == work])) == 1 for work in set_.works)
    assert sorted(np.bincount(fold, minlength=4)) == [4, 4, 4, 5]


def test_unreadable_and_duplicate_photographs_are_named_and_skipped(museum: Path, tmp_path: Path) -> None:
    folder = tmp_path / "museum"
    shutil.copytree(museum, folder)
    whole = (folder / "rings" / "0.png").read_bytes()
    (folder / "rings" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "rings" / "text.jpg").write_text("not a picture")
    shutil.copy(folder / "discs" / "1.png", folder / "discs" / "copy.png")
    set_ = datasets.load(folder, (64, 64), images.ResizeRule.SQUASH, tmp_path / "cache")
    assert len(set_.photos) == 30
    assert len(set_.left_out) == 3
    assert all(any(name in line for line in set_.left_out) for name in ("cut.png", "text.jpg", "copy.png"))


def _empty(folder: Path) -> None:
    (folder / "busts").mkdir()


def _one_work(folder: Path) -> None:
    rows = ["file,label,work"]
    for kind, count in (("discs", 4), ("rings", 3)):
        for index in range(count):
            draw(kind, index + 50 * count).save(folder / f"{kind}{index}.png")
            rows.append(f"{kind}{index}.png,{kind}," + ("the only one" if kind == "rings" else str(index)))
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")


def _no_photograph(folder: Path) -> None:
    (folder / "labels.csv").write_text("file,label\ngone.png,bust\n")


def _no_label(folder: Path) -> None:
    draw("discs", 1).save(folder / "here.png")
    draw("discs", 2).save(folder / "unlisted.png")
    (folder / "labels.csv").write_text("file,label\nhere.png,bust\n")


def _empty_type(folder: Path) -> None:
    for kind in ("discs", "rings"):
        (folder / kind).mkdir()
    draw("discs", 1).save(folder / "discs" / "1.png")


def _loose(folder: Path) -> None:
    _empty_type(folder)
    draw("rings", 1).save(folder / "loose.png")


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (_empty_type, "no photographs of rings"),
        (_loose, "loose.png"),
        (_empty, "holds no photographs"),
        (_one_work, "fewer than two works of rings"),
        (_no_photograph, "gone.png"),
        (_no_label, "unlisted.png"),
    ],
)
def test_a_bad_folder_ends_as_one_sentence(make: object, named: str, tmp_path: Path) -> None:
    make(tmp_path)
    app = train.typer.Typer()
    app.command()(train.main)
    outcome = CliRunner().invoke(app, ["--data", str(tmp_path), "--out", str(tmp_path / "run"), "--size", "64"])
    assert outcome.exit_code == 2
    assert "Traceback" not in outcome.output
    assert named in outcome.stderr


def test_labels_of_real_sets_become_the_eight_types(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    for name in dict.fromkeys(row["source"] for row in datasets.sources._read(datasets.sources._HERE / "mapping.csv")):
        (shared / name / "images").mkdir(parents=True)
    art = shared / "sculpture_public_art"
    draw("discs", 1).save(art / "images" / "a.jpg")
    draw("rings", 2).save(art / "images" / "b.jpg")
    (art / "labels.csv").write_text("file,label,title\nimages/a.jpg,bust_head,A\nimages/b.jpg,abstract_organic,\n")
    head = shared / "sculpture_thai_heads" / "images" / "ayutthaya_1200_sandstone_victoria_albert.jpg"
    draw("discs", 3).save(head)
    out = tmp_path / "labels.csv"
    walls = tmp_path / "walls" / "images"
    walls.mkdir(parents=True)
    draw("stripes", 4).save(walls / "w.jpg")
    command = ["assemble", "--shared", str(shared), "--out", str(out)]
    outcome = CliRunner().invoke(datasets.app, [*command, "--others", str(walls)])
    assert outcome.exit_code == 0, outcome.output
    photos, labels = datasets.find(out)
    assert [(photo.path.stem, photo.source) for photo in photos if not photo.types] == [("w", "walls")]
    photos = [photo for photo in photos if photo.types]
    assert {photo.path.stem: photo.types for photo in photos} == {
        "a": ("bust", "head"),
        "b": ("organic_form",),
        head.stem: ("head",),
    }
    assert {label.id: label.uri for label in labels}["bust"] == "http://vocab.getty.edu/aat/300047457"
    (art / "labels.csv").write_text("file,label,title\nimages/a.jpg,vase,A\n")
    outcome = CliRunner().invoke(datasets.app, ["assemble", "--shared", str(shared), "--out", str(out)])
    assert outcome.exit_code == 2
    assert "'vase' is not in mapping.csv" in outcome.stderr
