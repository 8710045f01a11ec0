"""Train, resume, export and open: seconds on pictures that the code draws."""

from __future__ import annotations

import copy
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from services.common import models
from services.embed_latent.predictor import Masker
from tests import tiny
from training.common import bundle, runs
from training.embed_latent import calibrate, data, evaluate, export, graphs, masked, paper, sample, study, train
from training.embed_latent.config import CONFIGURATIONS, CURE
from training.embed_latent.eye import TrainingError
from training.embed_latent.plane import Plane

TINY = replace(CURE, views=2, epochs=12, steps=1, batch=16, decoded=4, folds=3, side=16, features=8)


@pytest.fixture(scope="module")
def finished(works: data.Works, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("run")
    runs.open_run(run, {**TINY.__dict__, "seed": 0})
    train.describe(run, works)
    seen = train.prepare(run, works, TINY, run / "cache")
    train.train_plane(run, seen, works.labels, works.names, TINY, 0)
    return run


def test_a_run_is_measured_and_exported_and_the_bundle_opens(
    finished: Path, works: data.Works, collection: Path, tmp_path: Path
) -> None:
    run = evaluate.open_run(finished)
    written = export.export(run, works, tmp_path / "embed_latent" / "0.0.1", sample.picture(), {}, "drawn by the test")
    loaded = models.load(written)
    answer = loaded.run(works.pixels[:5])
    assert answer["latent"].shape == (5, 2)
    assert answer["features"].shape == (5, 8)
    np.testing.assert_allclose(np.linalg.norm(answer["features"], axis=1), 1, atol=1e-5)
    with np.load(written / export.REFERENCE) as reference:
        np.testing.assert_allclose(reference["latents"][:5], answer["latent"], atol=1e-3)
        assert set(reference["groups"]) == set(works.names)
    decoder = models.open_session(written / export.DECODER, threads=1)
    (pictures,) = decoder.run(["images"], {"latent": answer["latent"]})
    assert pictures.shape == (5, 16, 16, 3)
    assert pictures.dtype == np.uint8
    details = loaded.manifest.details
    assert details["prior"]["covariance"] == [[25.0, 0.0], [0.0, 25.0]]
    assert loaded.manifest.embedding_space.startswith("embed_latent/0.0.1/")
    assert details["labels_used_in_training"] == {"features": True, "plane": True}
    measured = json.loads((finished / "metrics.json").read_text())
    assert measured["works"]["held_out"] == len(run.seen["held"])
    behind = masked.measure(collection, loaded, Masker(models.load(tiny.remove_background(tmp_path))))
    assert (behind["photographs"], behind["held_out"]) == (len(works), len(run.seen["held"]))
    served = data.load(collection, mask_model=tiny.remove_background(tmp_path))
    scores = masked.over_folds([run, run], served)
    for name, (one, other, mean) in scores.items():
        assert one == other == mean == pytest.approx(behind[name], abs=0.001)
    assert behind["latent, as they are"] == pytest.approx(loaded.manifest.metrics["balanced_accuracy_plane"])
    assert behind["without_a_figure"] == 0
    assert all(0 <= behind[f"{space}, masked among masked"] <= 1 for space in ("latent", "features"))


def test_a_decoder_that_is_another_does_not_pass(finished: Path, tmp_path: Path) -> None:
    run = evaluate.open_run(finished)
    drawer = graphs.Drawer(run.plane.averaged["decoder"], run.plane.unit)
    latents = np.random.default_rng(0).normal(0, 5, (40, 2)).astype(np.float32)
    graphs.to_onnx(drawer, torch.from_numpy(latents[:2]), tmp_path / "decoder.onnx", "latent", ["images"])
    assert graphs.decoder_parity(tmp_path / "decoder.onnx", drawer, latents, 1e-4)["decoder"] <= 1e-4
    other = copy.deepcopy(drawer)
    with torch.no_grad():
        next(other.decoder.rest[-2].parameters()).add_(0.02)
    with pytest.raises(bundle.ParityError, match="decoder: pictures differ"):
        graphs.decoder_parity(tmp_path / "decoder.onnx", other, latents, 1e-4)


def test_a_killed_run_goes_on_to_the_same_result(finished: Path, works: data.Works, tmp_path: Path, monkeypatch) -> None:
    with np.load(finished / train.SEEN) as stored:
        seen = dict(stored)
    arguments = (seen, works.labels, works.names, TINY, 0)
    log = runs.log

    def killed(run: Path, **row: float) -> None:
        log(run, **row)
        if row["epoch"] == 10:
            raise KeyboardInterrupt

    monkeypatch.setattr(runs, "log", killed)
    with pytest.raises(KeyboardInterrupt):
        train.train_plane(tmp_path, *arguments)
    monkeypatch.setattr(runs, "log", log)
    resumed = train.train_plane(tmp_path, *arguments)
    unbroken = Plane(TINY, seen["views"].shape[-1], 3)
    unbroken.restore(finished / train.PLANE)
    for ours, theirs in zip(resumed._parts().values(), unbroken._parts().values(), strict=True):
        for a, b in zip(_tensors(ours.state_dict()), _tensors(theirs.state_dict()), strict=True):
            assert torch.equal(a, b)
    assert [row["epoch"] for row in runs.read_history(tmp_path)] == list(range(12))


def _tensors(value: object) -> list[torch.Tensor]:
    if isinstance(value, dict):
        return [tensor for part in value.values() for tensor in _tensors(part)]
    return [value] if isinstance(value, torch.Tensor) else []


@pytest.mark.parametrize("method", ["wae-mmd", "swae", "vae", "unlabelled", "spectral", "deterministic", "unscaled"])
def test_every_configuration_trains(method: str, finished: Path, works: data.Works, tmp_path: Path) -> None:
    ours = CONFIGURATIONS[method]
    tiny = {name: getattr(TINY, name) for name in ("epochs", "steps", "batch", "decoded", "side", "features", "views", "folds")}
    with np.load(finished / train.SEEN) as stored:
        plane = train.train_plane(tmp_path, dict(stored), works.labels, works.names, replace(ours, **tiny | {"epochs": 2}), 0)
        mean, deviation = plane.encode(torch.from_numpy(stored["keep"]))
    assert np.isfinite(mean).all()
    assert (deviation == 0).all() == (method == "deterministic")


def test_a_study_is_one_table_and_reads_what_is_done(finished: Path, works: data.Works, tmp_path: Path) -> None:
    configurations = [TINY, replace(TINY, name="vae", method="vae", epochs=2)]
    table = study.study(works, configurations, [0, 1], tmp_path, finished / "cache", {})
    assert [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")][2:] == ["aae"] * 2 + ["vae"] * 2
    times = [path.stat().st_mtime_ns for path in sorted(tmp_path.glob("*/metrics.json"))]
    assert study.study(works, configurations, [0, 1], tmp_path, finished / "cache", {}) == table
    assert [path.stat().st_mtime_ns for path in sorted(tmp_path.glob("*/metrics.json"))] == times
    fit = {"effective_rank": 1.9, "share_within_3_sigma": 0.99, "mmd_p": 0.5}
    assert study.failures({"fit_of_means": fit}) == []
    for name, value in (("effective_rank", 1.0), ("share_within_3_sigma", 0.5), ("mmd_p", 0.01)):
        assert len(study.failures({"fit_of_means": fit | {name: value}})) == 1


def test_a_plane_is_calibrated_on_what_its_sisters_held_out(finished: Path, works: data.Works, tmp_path: Path) -> None:
    run, sister = tmp_path / "run", tmp_path / "sister"
    shutil.copytree(finished, run)
    config = replace(TINY, fold=1)
    runs.open_run(sister, {**config.__dict__, "seed": 0})
    train.describe(sister, works)
    seen = train.prepare(sister, works, config, finished / "cache")
    train.train_plane(sister, seen, works.labels, works.names, config, 0)
    before, found = evaluate.open_run(run), calibrate.calibrate(evaluate.open_run(run), [evaluate.open_run(sister)])
    assert found["works"] == len(seen["held"])
    assert found["factor"] != 1
    assert found["ks_radius_after"] < found["ks_radius_before"]
    after = evaluate.open_run(run)
    x = torch.from_numpy(after.seen["keep"])
    for plain, wider in zip(before.plane.encode(x), after.plane.encode(x), strict=True):
        np.testing.assert_allclose(plain * found["factor"], wider, rtol=1e-5)
    latents = before.plane.encode(x)[0]
    drawn = after.plane.decode(found["factor"] * latents)
    np.testing.assert_allclose(before.plane.decode(latents), drawn, atol=1)
    assert (evaluate.together([after, evaluate.open_run(sister)]) or "").startswith("All 12 works held out, together. keep: ")
    assert evaluate.together([after, after]) is None
    # Calibrating again starts from the plane as trained, and a calibrated sister counts as trained, too.
    shutil.copy(run / evaluate.CALIBRATION, sister)
    assert calibrate.calibrate(evaluate.open_run(run), [evaluate.open_run(sister)]) == found
    with pytest.raises(TrainingError, match="holds out works that"):
        calibrate.calibrate(after, [after])
    other = replace(evaluate.open_run(sister), config=replace(config, hidden=3))
    with pytest.raises(TrainingError, match="is no sister of"):
        calibrate.calibrate(after, [other])


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_checkpoint(
    finished: Path, works: data.Works, tmp_path: Path
) -> None:
    with np.load(finished / train.SEEN) as stored:
        seen = dict(stored)
    seen["views"] = np.full_like(seen["views"], np.nan)
    with pytest.raises(TrainingError, match="loss became nan in epoch 0"):
        train.train_plane(tmp_path, seen, works.labels, works.names, TINY, 0)
    assert not (tmp_path / train.PLANE).exists()


def test_an_unfinished_run_is_not_measured(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="holds no trained plane"):
        evaluate.open_run(tmp_path)


PAPER = replace(CONFIGURATIONS["paper"], side=16, hidden=12, discriminator=12, batch=6, folds=3, epochs=3)


def test_the_paper_configuration_runs_and_resumes_to_the_same(collection: Path, tmp_path: Path) -> None:
    works = data.load(collection, side=16)
    whole = paper.train(tmp_path / "whole", works, PAPER, 0)
    paper.train(tmp_path / "parts", works, PAPER, 0, minutes=0)
    while len(runs.read_history(tmp_path / "parts")) < 3:
        parts = paper.train(tmp_path / "parts", works, PAPER, 0, minutes=0)
    np.testing.assert_array_equal(whole.encode(works.pixels), parts.encode(works.pixels))
    assert json.loads((tmp_path / "whole" / "metrics.json").read_text())["epochs"] == 3


def test_the_lean_adam_steps_as_adam_does() -> None:
    torch.manual_seed(0)
    start, goal = torch.randn(40, 30), torch.randn(40, 30)
    lean, full = (torch.nn.Parameter(start.clone()) for _ in range(2))
    ours, theirs = paper.LeanAdam([lean], 0.01, (0.9, 0.999)), torch.optim.Adam([full], 0.01, (0.9, 0.999))
    for _ in range(30):
        ours.backward((lean - goal).square().mean())
        lean.grad = None
        theirs.zero_grad()
        (full - goal).square().mean().backward()
        theirs.step()
    moved = (full - start).abs().mean()
    assert (lean - full).abs().mean() < 0.02 * moved  # bfloat16 keeps eight bits of a moment
    assert moved > 0.1


def test_the_command_line_says_what_is_wrong_in_one_sentence(collection: Path, tmp_path: Path) -> None:
    import typer

    app = typer.Typer()
    app.command()(train.main)
    answer = CliRunner().invoke(app, ["--data", str(tmp_path), "--out", str(tmp_path / "run")])
    assert answer.exit_code == 2
    assert answer.output.strip().endswith("it needs the columns file and label")
    answer = CliRunner().invoke(app, ["--data", str(collection), "--out", str(tmp_path / "run"), "--configuration", "gan"])
    assert answer.exit_code == 2
    assert "choose one of aae, paper" in answer.output
