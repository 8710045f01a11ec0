"""The paper's experiment on small sets: it learns, reports, is watched, goes on after a kill, and is compared with others."""

from __future__ import annotations

import gzip
import json
import shutil
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.compat.proto.event_pb2 import Event
from typer.testing import CliRunner

from tests import tiny
from tests.training.classify.conftest import draw
from training.classify import adam, backbones, draws, fashion, paper, report, scratch, surroundings, table
from training.common import runs, tracking

KINDS = ("discs", "rings", "stripes")
TINY = ["--backbone", "efficientnet_lite0", "--size", "32", "--draws", "1", "--epochs", "30"]


def _cli(command: object, *arguments: object) -> object:
    app = paper.typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def _idx(path: Path, values: np.ndarray) -> None:
    header = bytes((0, 0, 8, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape)
    stored = header + values.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(stored) if path.suffix == ".gz" else stored)


@pytest.fixture(scope="module")
def clothes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """IDX files as Fashion-MNIST's, of drawn shapes: 150 to train on, gzipped, and 60 to test, plain."""
    folder = tmp_path_factory.mktemp("clothes")
    for count, first, (pictures, labels), suffix in (
        (150, 0, fashion._FILES["train"], ".gz"),
        (60, 900, fashion._FILES["test"], ""),
    ):
        kind = np.arange(count) % 3
        drawn = [255 - np.asarray(draw(KINDS[k], first + i).convert("L").resize((28, 28))) for i, k in enumerate(kind)]
        _idx(folder / f"{pictures}{suffix}", np.stack(drawn))
        _idx(folder / f"{labels}{suffix}", kind * 4)
    return folder


@pytest.fixture(scope="module")
def run(clothes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("paper") / "run"
    outcome = _cli(paper.main, "--fashion-mnist", clothes, "--out", out, *TINY)
    assert outcome.exit_code == 0, outcome.output
    assert "60 pictures: accuracy" in outcome.output
    return out


def _points(run: Path, tag: str) -> dict[int, float]:
    """What TensorBoard would draw: a session's start drops the points from its step on."""
    points: dict[int, float] = {}
    for path in sorted((run / "tensorboard").iterdir()):
        stored = path.read_bytes()
        while stored:
            (length,) = struct.unpack("<Q", stored[:8])
            event = Event.FromString(stored[12 : 12 + length])
            stored = stored[16 + length :]
            if event.HasField("session_log"):
                points = {step: value for step, value in points.items() if step < event.step}
            for value in event.summary.value:
                if value.tag == tag:
                    points[event.step] = value.simple_value
    return points


def test_fashion_is_learnt_and_reported(run: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["photographs"] == 60
    assert metrics["accuracy"] >= 0.6
    assert set(metrics["types"]) == {"t_shirt", "coat", "bag"}
    assert metrics["micro"]["f1"] == metrics["accuracy"]
    assert np.sum(metrics["confusion"]) == 60
    for name in ("confusion.png", "curves.png", "predictions.png"):
        assert (run / name).stat().st_size > 1000
    history = runs.read_history(run)
    assert [row["epoch"] for row in history] == list(range(30))
    assert history[-1]["train loss"] < history[0]["train loss"]
    points = _points(run, "test/accuracy")
    assert len(points) == 30
    assert points[29] == pytest.approx(metrics["accuracy"])


def test_a_killed_run_ends_with_the_same_numbers(
    run: Path, clothes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed, log, calls = tmp_path / "killed", runs.log, []

    def log_some(*arguments: object, **row: float) -> None:
        log(*arguments, **row)
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt

    command = (paper.main, "--fashion-mnist", clothes, "--out", killed, *TINY, "--cache", run / "cache")
    with monkeypatch.context() as patch:
        patch.setattr(runs, "log", log_some)
        assert _cli(*command).exit_code != 0
    assert not (killed / "metrics.json").exists()
    assert _cli(*command).exit_code == 0
    assert json.loads((killed / "metrics.json").read_text()) == json.loads((run / "metrics.json").read_text())
    ours, theirs = ([{**row, "seconds": 0} for row in runs.read_history(folder)] for folder in (killed, run))
    assert ours == theirs
    assert _points(killed, "train/loss") == _points(run, "train/loss")


def test_the_best_configuration_learns_and_resumes_within_an_epoch(clothes: Path, tmp_path: Path) -> None:
    command = ("--fashion-mnist", clothes, "--configuration", "best", "--epochs", "6", "--out")
    outcome = _cli(paper.main, *command, tmp_path / "run")
    assert outcome.exit_code == 0, outcome.output
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["accuracy"] >= 0.6

    pictures, labels = fashion.load(clothes, "train")
    accepted, kept = np.eye(10, dtype=bool)[labels], tmp_path / "kept.pt"
    recipe = scratch.Recipe(epochs=2, batch=32)
    set_ = (pictures, accepted, pictures[:9], accepted[:9], recipe)
    *_, (_, whole) = scratch.epochs(*set_, tmp_path / "whole.pt")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scratch, "_SAVE_EVERY", 2)
        predict, steps = scratch._augmented, []

        def augment(*arguments: object) -> torch.Tensor:
            steps.append(1)
            if len(steps) == 4:
                raise KeyboardInterrupt
            return predict(*arguments)

        patch.setattr(scratch, "_augmented", augment)
        with pytest.raises(KeyboardInterrupt):
            list(scratch.epochs(*set_, kept))
    assert torch.load(kept, weights_only=True)["step"] == 2
    *_, (_, again) = scratch.epochs(*set_, kept)
    np.testing.assert_array_equal(scratch.predict(again, pictures[:9]), scratch.predict(whole, pictures[:9]))


def test_weights_and_biases_offline_or_a_clear_sentence(clothes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    with tracking.track(tmp_path, {"rate": 1}, 0, tracking.Wandb.OFFLINE) as log:
        log(0, {"train loss": 1.0})
    (stored,) = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    assert stored.stat().st_size > 0
    monkeypatch.setitem(sys.modules, "wandb", None)
    outcome = _cli(paper.main, "--fashion-mnist", clothes, "--out", tmp_path / "run", *TINY, "--wandb", "offline")
    assert outcome.exit_code == 2
    assert "maquette-serving[wandb]" in outcome.stderr


def test_fashion_that_cannot_be_had_ends_as_one_sentence(
    clothes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**options: object) -> None:
        raise RuntimeError("no mirror answered")

    monkeypatch.setattr(backbones.torchvision().datasets, "FashionMNIST", refuse)
    outcome = _cli(paper.main, "--fashion-mnist", tmp_path, "--out", tmp_path / "run", *TINY)
    assert outcome.exit_code == 2
    assert "dataset-fashion-mnist" in outcome.stderr
    for name in (name for pair in fashion._FILES.values() for name in pair):
        source = next(clothes.glob(f"{name}*"))
        (tmp_path / source.name).write_bytes(source.read_bytes()[:-20])
    outcome = _cli(paper.main, "--fashion-mnist", tmp_path, "--out", tmp_path / "run", *TINY)
    assert outcome.exit_code == 2
    assert "train-images-idx3-ubyte.gz" in outcome.stderr
    both = _cli(paper.main, "--fashion-mnist", clothes, "--data", clothes, "--out", tmp_path / "run")
    assert both.exit_code == 2


def test_averages_by_hand() -> None:
    answers = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.3, 0.7]])
    figures = report.figures(answers, np.eye(2, dtype=bool)[[0, 0, 1, 1]], ("a", "b"))
    assert figures["macro"] == pytest.approx({"precision": (2 / 3 + 1) / 2, "recall": 0.75, "f1": (0.8 + 2 / 3) / 2})
    assert figures["micro"]["precision"] == figures["accuracy"] == 0.75
    assert figures["confusion"] == [[2, 0], [1, 1]]


def test_balance_draws_rare_types_as_often() -> None:
    random = np.random.default_rng(0)
    accepted = np.eye(2, dtype=bool)[[0] * 95 + [1] * 5]
    features = random.normal(size=(100, 4)).astype(np.float32)
    found = {}
    for balance in (0.0, 1.0):
        recipe = adam.Recipe(epochs=30, balance=balance, rate=0.01)
        *_, (_, linear) = adam.epochs([features], accepted, features, accepted, recipe, 0)
        found[balance] = (linear.logits(features).argmax(1) == 1).mean()
    assert found[0.0] < 0.1 < 0.3 < found[1.0]


def test_grey_and_draws(run: Path) -> None:
    pixels = np.stack([np.asarray(draw("rings", seed)) for seed in range(3)])
    assert (np.ptp(draws.grey(pixels), axis=-1) == 0).all()
    assert draws.grey(np.full((1, 1, 3), 255, np.uint8)).tolist() == [[[255, 255, 255]]]
    plain, one, two, again = (draws.extract(pixels, "efficientnet_lite0", 32, d, 0, run / "cache") for d in (0, 1, 2, 1))
    assert plain.shape == (3, 1280)
    assert not np.allclose(plain, one)
    assert not np.allclose(one, two)
    np.testing.assert_array_equal(one, again)


def test_object_and_surroundings(tmp_path: Path) -> None:
    picture = np.full((32, 32, 3), 255, np.uint8)
    picture[8:16, 4:12] = 10
    pixels = np.stack([picture, np.full_like(picture, 255)])
    objects = surroundings.masks(pixels, tiny.remove_background(tmp_path), tmp_path / "cache")
    assert objects.sum((1, 2)).tolist() == [64, 0]
    alone = surroundings.without_background(pixels, objects)
    assert (alone[0][objects[0]] == 10).all()
    assert (alone[0][~objects[0]] == 127).all()
    np.testing.assert_array_equal(alone[1], pixels[1])
    around = surroundings.without_object(pixels, objects)
    assert (around[0, 8:16, 4:12] == 127).all()
    assert (around[0] == 255).sum() == (pixels[0] == 255).sum()


def test_views_of_a_work_are_averaged() -> None:
    class Bench:
        class set:
            works = np.array([0, 0, 0, 1])

        accepted = np.eye(2, dtype=bool)[[0, 0, 0, 1]]

    logits = np.log(np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.6, 0.4]]))
    found = table.views(Bench(), logits)
    assert found["photographs"] == 3
    assert found["alone"]["mean"] == pytest.approx(2 / 3)
    assert found["averaged"] == {"mean": 1.0, "half": None}


def test_b0_on_a_folder_of_photographs(museum: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The paper's own backbone, its download replaced by a file."""
    models = backbones.torchvision().models
    torch.manual_seed(0)
    torch.save(models.efficientnet_b0().state_dict(), tmp_path / "b0.pt")
    monkeypatch.setattr(
        models.EfficientNet_B0_Weights,
        "get_state_dict",
        lambda self, **options: torch.load(tmp_path / "b0.pt", weights_only=True),
    )
    outcome = _cli(paper.main, "--data", museum, "--out", tmp_path / "run", "--size", "32", "--draws", "1", "--epochs", "2")
    assert outcome.exit_code == 0, outcome.output
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["backbone"] == "efficientnet_b0"
    assert metrics["photographs"] == 6
    assert {name: row["support"] for name, row in metrics["types"].items()} == dict.fromkeys(KINDS, 2)


def test_the_table_measures_every_row_once(run: Path, museum: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "table"
    (out / "cache").mkdir(parents=True)
    shutil.copy(run / "cache" / "efficientnet_lite0-32.onnx", out / "cache")
    command = [table.main, "--data", museum, "--masks", tiny.remove_background(tmp_path), "--out", out]
    command += [
        "--size",
        "32",
        "--sizes",
        "32",
        "--fine-size",
        "32",
        "--fine-folds",
        "2",
        "--trials",
        "2",
        "--epochs",
        "15",
        "--folds",
        "3",
    ]
    assert "the row 'paper' comes first" in _cli(*command, "--only", "frozen").stderr
    outcome = _cli(*command)
    assert outcome.exit_code == 0, outcome.output
    found = json.loads((out / "table.json").read_text())
    rows = found["rows"]
    assert list(rows) == ["paper", "colour", "frozen", "balanced", "object", "surroundings", "tuned", "small", "fine"]
    assert rows["paper"]["accuracy_over_paper"] == {"mean": 0.0, "half": 0.0}
    assert {name: row["folds"] for name, row in rows.items() if row["folds"] != 3} == {"fine": 2}
    assert len(json.loads((out / "tuned.json").read_text())) == 3
    assert found["photographs"] == 30
    assert (out / "table.png").stat().st_size > 1000
    assert "| colour |" in (out / "table.md").read_text()

    def never(*arguments: object) -> None:
        raise AssertionError("measured before")

    monkeypatch.setattr(table.Bench, "cross", never)
    assert _cli(*command).exit_code == 0
    assert json.loads((out / "table.json").read_text()) == found
