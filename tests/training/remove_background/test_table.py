"""The paper's Table 2 on discs: the rows, a second run that does only what is missing, and the paper's network exported."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from tests.training.remove_background.conftest import write_pairs
from training.common import photographs
from training.remove_background import export, model, table


def tabulate(out: Path, *more: object) -> Result:
    """The command on tiny pictures; the sets are there, so that nothing is rendered."""
    sizes = {"--rooms": 2, "--views": 14, "--extra": 6, "--steps": 2, "--size": 64, "--batch": 12}
    arguments = ["--out", out, "--scans", out, *more, *(part for pair in sizes.items() for part in pair)]
    application = typer.Typer()
    application.command()(table.main)
    return CliRunner().invoke(application, [str(part) for part in arguments])


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("table")
    for room in range(2):
        write_pairs(folder / "sets" / "object" / f"room{room}", 14, seed=room)
    people = write_pairs(folder / "sets" / "people", 6, seed=9)
    lines = [f"images/disc{i:02d}.png,masks/disc{i:02d}.png,person" for i in range(6)]
    (people / "index.csv").write_text("\n".join(["file,mask,scan", *lines]))
    for name in ("object", "people"):
        (folder / "sets" / f"{name}.json").write_text("{}")
    return folder


def test_rows_are_trained_once_and_judged_on_the_same_photographs(out: Path) -> None:
    first = tabulate(out, "--only", "one object")
    assert first.exit_code == 0, first.output
    before = (out / "runs" / "one_object" / "last.npz").stat().st_mtime_ns
    second = tabulate(out, "--only", "one object", "--only", "+ people-like figures")
    assert second.exit_code == 0, second.output
    assert (out / "runs" / "one_object" / "last.npz").stat().st_mtime_ns == before
    rows = {row["trained_on"]: row for row in json.loads((out / "table.json").read_text())["rows"]}
    assert list(rows) == ["one object", "+ people-like figures"]
    assert rows["+ people-like figures"]["pictures"] == rows["one object"]["pictures"] + 6
    aside = [
        json.loads((out / "runs" / name / "data.json").read_text())["held"] for name in ("one_object", "people_like_figures")
    ]
    assert aside[0] == aside[1]
    assert len(set(aside[0]["object"])) == round(0.15 * 14)
    # The same places in both rooms, and none of them trained on.
    kept = json.loads((out / "runs" / "one_object" / "data.json").read_text())["train"]["object"]
    assert sorted(aside[0]["object"]) == sorted(2 * list(set(aside[0]["object"])))
    assert not set(kept) & set(aside[0]["object"])
    assert "| one object |" in second.output
    with Image.open(out / "curves.png") as picture:
        assert picture.width > 400
    refused = tabulate(out, "--seed", 1)
    assert refused.exit_code == 2
    assert "other settings (seed)" in refused.output


def test_the_papers_network_is_the_same_in_both_exports(out: Path, tmp_path: Path) -> None:
    if not (out / "runs" / "one_object" / "metrics.json").exists():
        assert tabulate(out, "--only", "one object").exit_code == 0
    config, _ = export.configuration(out / "runs" / "one_object")
    assert config.loss == "dice"
    network = model.build(config)
    network.load_weights(out / "runs" / "one_object" / "best.weights.h5")
    # After a few steps answers are alike; spread, they would show a difference.
    kernel, bias = network.get_layer("logits").get_weights()
    network.get_layer("logits").set_weights([kernel * 30, bias])
    graph, saved_model = export.convert(network, config.size, tmp_path)
    found = photographs.find(out / "sets" / "people" / "images")
    pictures = [np.asarray(Image.open(path).convert("RGB").resize((64, 64))) for path in found]
    assert max(export.check(network, graph, saved_model, pictures).values()) < export.TOLERANCE
