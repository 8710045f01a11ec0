"""The real commands on discs: train, stop and go on, evaluate, export, and open the bundle as serving does."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import typer
from PIL import Image, ImageOps
from typer.testing import CliRunner

from benchmarks import served
from services.common import models
from services.remove_background.predictor import Parameters, Predictor
from tests.training.remove_background.conftest import ROOT, start, write_pairs
from training.remove_background import evaluate, export, finetune, lineage, measures, model, train


def history(run: Path) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def test_it_learns_and_writes_what_a_run_writes(run: Path) -> None:
    rows = history(run)
    assert [row["epoch"] for row in rows] == [0, 1]
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert {"best.weights.h5", "last.npz", "curves.png", "metrics.json", "data.json"} <= {path.name for path in run.iterdir()}
    held = json.loads((run / "data.json").read_text())["held"]
    assert held["renders"] == ["disc04", "disc05", "disc06"]


def test_killed_and_started_again_it_ends_the_same(world: Path, run: Path, tmp_path: Path) -> None:
    process = start(world, tmp_path / "killed")
    until = time.monotonic() + 120
    while not (tmp_path / "killed" / "last.npz").exists() and time.monotonic() < until:
        time.sleep(0.05)
    process.kill()
    process.communicate()
    assert len(history(tmp_path / "killed")) < 2
    process = start(world, tmp_path / "killed")
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 0, said
    assert history(tmp_path / "killed") == history(run)


def test_a_longer_run_goes_on_from_where_its_rate_was_steady(world: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'pairs = ["pairs"]\nbackgrounds = ["backgrounds"]\n[settings]\nsize = 96\nsizes = [[0, 64], [1, 96]]\nsteps = 4\n'
        "batch = 6\nwarmup = 2\ndecay = 0.5\nlearning_rate = 1e-3\n"
    )
    more = ["--recipe", str(recipe)]
    out = tmp_path / "run"
    rows = []
    for epochs in ("2", "4"):
        said, _ = (process := start(world, out, *more, "--epochs", epochs)).communicate(timeout=200)
        assert process.returncode == 0, said
        rows.append(history(out))
    short, long = rows
    assert [row["size"] for row in long] == [64, 96, 96, 96]
    # The second epoch is learnt again, now at the full rate, and the rate falls in the last two.
    assert long[0] == short[0]
    assert short[1]["rate"] == pytest.approx(1e-5)
    assert [row["rate"] for row in long] == pytest.approx([1e-3, 1e-3, 5.05e-4, 1e-5])
    seen = json.loads((out / "lineage.json").read_text())
    assert seen["draws"] == 4 * 4 * 6
    assert set(seen["seen"]) == {"pairs", "backgrounds", "photographs", "cutouts", "sculpture_scans"}


def test_a_run_does_not_begin_from_weights_that_saw_the_test(world: Path, run: Path, tmp_path: Path) -> None:
    shutil.copyfile(run / "best.weights.h5", tmp_path / "best.weights.h5")
    arguments = ["--out", str(tmp_path / "new"), "--pairs", str(world / "pairs"), "--init", str(tmp_path / "best.weights.h5")]
    result = CliRunner().invoke(application(train.main), arguments)
    assert result.exit_code == 2
    assert "what these weights have seen is not known" in result.output
    lineage.write(tmp_path, {"sculpture_scans": ["Athena"]}, {}, 1, None)
    result = CliRunner().invoke(application(train.main), arguments)
    assert result.exit_code == 2
    assert "has seen what is kept for the test: sculpture_scans: Athena" in result.output
    assert not (tmp_path / "new").exists()


def test_other_settings_in_the_same_folder_are_refused(world: Path, run: Path) -> None:
    arguments = ["--out", str(run), "--pairs", str(world / "pairs"), "--learning-rate", "0.5"]
    result = CliRunner().invoke(application(train.main), arguments)
    assert result.exit_code == 2
    assert "holds a run with other settings" in result.output
    assert "learning_rate" in result.output


def test_a_configuration_that_is_not_there_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(application(train.main), ["--out", str(tmp_path), "--config", "best"])
    assert result.exit_code == 2
    assert "choose one of shipped, paper" in result.output


@pytest.fixture(scope="module")
def learnt(world: Path, run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run with weights that answer differently to different pictures: 15 steps are too few for the parity check's sake."""
    folder = tmp_path_factory.mktemp("learnt") / "run"
    shutil.copytree(run, folder)
    config, _ = export.configuration(folder)
    network = model.build(config)
    network.load_weights(folder / "best.weights.h5")
    kernel, bias = network.get_layer("logits").get_weights()
    network.get_layer("logits").set_weights([kernel * 30, bias])
    network.save_weights(folder / "best.weights.h5")
    return folder


@pytest.fixture(scope="module")
def exported(world: Path, learnt: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    golden = world / "pairs" / "images" / "disc00.png"
    out = tmp_path_factory.mktemp("bundles") / "remove_background" / "0.0.1"
    folders = [
        "--renders",
        str(world / "renders"),
        "--pairs",
        str(world / "pairs"),
        "--backgrounds",
        str(world / "backgrounds"),
    ]
    arguments = ["--run", str(learnt), "--out", str(out), "--golden", str(golden), "--real", str(world / "pairs" / "images")]
    result = CliRunner().invoke(application(export.main), [*arguments, *folders])
    assert result.exit_code == 0, result.output
    return out


def test_the_export_serves(world: Path, exported: Path, tmp_path: Path) -> None:
    out = exported
    hints = Parameters.model_validate({"hints": {"points": [{"x": 1, "y": 1, "mark": "object"}]}})
    Predictor(models.load(out)).check(hints)  # raises where the bundle has no features
    bundle = models.load(out)
    assert bundle.manifest.details == {"threshold": measures.THRESHOLD, "strong": measures.STRONG}
    assert bundle.manifest.input.height == 64
    assert {"dice_renders", "boundary_f_renders", "left_empty_empty"} <= set(bundle.manifest.metrics)
    answer = bundle.run(np.zeros((3, 64, 64, 3), np.uint8))["probability"]
    assert answer.shape == (3, 64, 64)
    assert answer.dtype == np.float32
    assert 0 <= answer.min() <= answer.max() <= 1
    assert (out / "saved_model" / "saved_model.pb").is_file()
    kinds = [node.op_type for node in onnx.load(out / "model.onnx").graph.node]
    assert kinds.count("Resize") == 4, "one for each level"
    assert "Tile" not in kinds
    assert lineage.of(out)["draws"] == 2 * 6 * 6
    sheets = tmp_path / "sheets"
    arguments = ["--model", str(out / "model.onnx"), "--look", str(world / "backgrounds"), "--sheets", str(sheets)]
    assert CliRunner().invoke(application(evaluate.main), arguments).exit_code == 0
    with Image.open(sheets / "backgrounds.png") as sheet:
        assert sheet.size == (8 * 200, 2 * 400)


def test_the_bundle_is_scored_as_it_is_served(world: Path, exported: Path, tmp_path: Path) -> None:
    out = tmp_path / "served.json"
    arguments = [
        "--model",
        str(exported),
        "--strong",
        "0",
        "--strong",
        "0.9",
        "--json",
        str(out),
        "--pictures",
        str(tmp_path / "each.json"),
    ]
    arguments += ["--renders", str(world / "renders"), "--backgrounds", str(world / "backgrounds")]
    result = CliRunner().invoke(application(served.main), arguments)
    assert result.exit_code == 0, result.output
    found = json.loads(out.read_text())
    means = found["means"]
    assert set(means) == {"renders", "empty"}
    every, sure = (means["empty"][f"0.0.1, strong {peak}"]["left_empty"] for peak in ("0", "0.9"))
    assert 0 <= every <= sure <= 1
    plain = means["renders"]["0.0.1, strong 0"]["dice"]
    assert 0 < plain < 1
    assert f"| renders | 3 | 0.0.1, strong 0 | {100 * plain:.1f} |" in result.output
    assert len(json.loads((tmp_path / "each.json").read_text())) == 2 * (3 + means["empty"]["0.0.1, strong 0"]["n"])
    assert -1 <= found["uncertainty"]["0.0.1, strong 0"]["rank"] <= 1


def test_uncertainty_is_judged_by_how_it_finds_the_worst() -> None:
    rows: list[dict[str, object]] = [
        {"model": "it", "dice": dice, "uncertainty": doubt}
        for dice, doubt in [(0.1, 0.9), *((0.8 + i / 100, 0.4) for i in range(4)), *((0.9 + i / 100, 0.1) for i in range(5))]
    ]
    told = served.tells(rows, "it", 0.5)
    assert (told["n"], told["worst"], told["better"]) == (10, 1, 0)
    assert told["rank"] > 0.8
    assert served.tells(rows, "it", 0.05)["better"] == 1


def test_fine_tuning_fits_an_object_the_bundle_does_not_know(world: Path, exported: Path, tmp_path: Path) -> None:
    """Here the object is what is around the discs, which the bundle has learnt to be background."""
    masks = tmp_path / "masks"
    masks.mkdir()
    for path in (world / "pairs" / "masks").iterdir():
        with Image.open(path) as mask:
            ImageOps.invert(mask).save(masks / f"{path.stem}.jpg.png")
    out = tmp_path / "remove_background" / "0.0.2"
    arguments = [
        "--photos",
        str(world / "pairs" / "images"),
        "--masks",
        str(masks),
        "--bundle",
        str(exported),
        "--out",
        str(out),
    ]
    arguments += ["--steps", "40"]
    # Killed after its first checkpoint, it goes on from there.
    checkpoint = out.with_name(".0.0.2.run") / "last.npz"
    process = subprocess.Popen([sys.executable, "-m", "training.remove_background.finetune", *arguments], cwd=ROOT)
    until = time.monotonic() + 200
    while not checkpoint.exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert checkpoint.exists()
    assert not out.exists()
    result = CliRunner().invoke(application(finetune.main), arguments)
    assert result.exit_code == 0, result.output
    assert "epoch 1 " in result.output
    assert "epoch 0 " not in result.output
    assert not checkpoint.parent.exists()
    metrics = models.load(out).manifest.metrics
    assert metrics["dice_set_aside"] > metrics["dice_set_aside_before"] + 0.05
    assert "there already" in CliRunner().invoke(application(finetune.main), arguments).output


def test_too_few_photographs_to_fine_tune(world: Path, exported: Path, tmp_path: Path) -> None:
    few = write_pairs(tmp_path / "few", 4)
    arguments = ["--photos", str(few / "images"), "--masks", str(few / "masks"), "--bundle", str(exported)]
    result = CliRunner().invoke(application(finetune.main), [*arguments, "--out", str(tmp_path / "x" / "0.0.2")])
    assert result.exit_code == 2
    assert "4 masked photographs are too few; give at least 5" in result.output


def test_a_folder_that_is_no_run_is_refused(world: Path, tmp_path: Path) -> None:
    golden = world / "pairs" / "images" / "disc00.png"
    arguments = ["--run", str(tmp_path), "--out", str(tmp_path / "x" / "0.0.1"), "--golden", str(golden), "--real", str(world)]
    result = CliRunner().invoke(application(export.main), arguments)
    assert result.exit_code == 2
    assert "is no run of training.remove_background.train" in result.output


def application(main: Callable[..., None]) -> typer.Typer:
    app = typer.Typer()
    app.command()(main)
    return app
