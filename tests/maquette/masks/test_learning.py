"""``maquette mask --learn`` at a service that really learns: the tiny model takes both blocks, the user only the red one."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maquette import AdapterMismatch, AsyncClient, Client, ParameterInvalid
from maquette.masks import png
from tests.maquette.conftest import Run
from tests.serving import ROOT, Served, until

RED, GREEN = (150, 40, 40), (40, 150, 40)


def view(index: int) -> Image.Image:
    """Two blocks as dark as one another on white, each view of another size."""
    width, height = 320 + 16 * index, 200 + 8 * index
    pixels = np.full((height, width, 3), 250, np.uint8)
    pixels[height // 4 : height * 3 // 4, width // 8 : width * 3 // 8] = RED
    pixels[height // 4 : height * 3 // 4, width * 5 // 8 : width * 7 // 8] = GREEN
    return Image.fromarray(pixels)


def only(colour: tuple[int, int, int], index: int) -> Image.Image:
    return Image.fromarray(np.where((np.asarray(view(index)) == colour).all(-1), 255, 0).astype(np.uint8))


def error(mask: Path, index: int) -> float:
    return float((np.asarray(Image.open(mask)) != np.asarray(only(RED, index))).mean())


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(5):
        view(index).save(folder / f"{index}.png")
    return folder


@pytest.fixture
def mask(maquette: Run, running: dict[str, Served], photos: Path) -> Callable[..., tuple[int, str]]:
    """``maquette mask photos -o masks ...`` -> exit code and what was said."""
    server = f"127.0.0.1:{running['remove_background'].grpc_port}"

    def run(*arguments: object) -> tuple[int, str]:
        done = maquette("mask", photos, "-o", "masks", "--server", server, "--no-sheet", *arguments)
        return done.returncode, done.stderr

    return run


def test_two_corrected_masks_teach_the_others(mask: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    masks = [tmp_path / "masks" / f"{index}.png.png" for index in range(5)]
    assert mask()[0] == 0
    before = [error(path, index) for index, path in enumerate(masks)]
    corrected = {}
    for index in (0, 3):
        only(RED, index).save(masks[index])
        corrected[index] = masks[index].read_bytes()
    code, said = mask("--learn", "--report", "report.jsonl")
    assert code == 0, said
    assert "Learnt from 2 masks" in said
    for index, path in enumerate(masks):
        if index in corrected:
            assert path.read_bytes() == corrected[index], "a person's mask"
        else:
            assert error(path, index) < before[index] / 2
    (kept,) = tmp_path.glob("adapter-*.json")
    name = kept.stem.removeprefix("adapter-")
    records = [json.loads(line) for line in (tmp_path / "report.jsonl").read_text().splitlines()]
    assert [record.get("adapter") for record in records] == [None, name, name, None, name]
    facts = png.owned(masks[1])
    assert facts
    assert facts["settings"]["adapter"] == name

    assert mask("--adapter", kept, "--report", "again.csv")[0] == 0
    with (tmp_path / "again.csv").open(encoding="utf-8", newline="") as stream:
        assert [row["adapter"] for row in csv.DictReader(stream)] == ["", name, name, "", name]

    made = masks[1].stat().st_mtime_ns
    assert mask("--adapter", kept)[0] == 0
    assert masks[1].stat().st_mtime_ns == made, "it is there already, made with this adapter"
    assert mask()[0] == 0
    assert error(masks[1], 1) == before[1], "without the adapter it is another mask"


def test_a_watch_uses_what_was_learnt(
    mask: Callable[..., tuple[int, str]], photos: Path, running: dict[str, Served], tmp_path: Path
) -> None:
    truth = tmp_path / "truth"
    truth.mkdir()
    for index in (0, 3):
        only(RED, index).save(truth / f"{index}.png.png")
    assert mask("--learn-from", truth)[0] == 0
    (kept,) = (tmp_path / "masks").glob("adapter-*.json")
    command = [sys.executable, "-m", "maquette", "mask", photos, "-o", "watched", "--watch", "--settled", "0.3", "--no-sheet"]
    server = f"127.0.0.1:{running['remove_background'].grpc_port}"
    process = subprocess.Popen(
        [*command, "--adapter", kept, "--server", server],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    watched = [tmp_path / "watched" / f"{index}.png.png" for index in range(5)]
    until(lambda: all(path.exists() for path in watched), lambda: "not all masks are there", process)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    name = kept.stem.removeprefix("adapter-")
    assert [json.loads(line)["adapter"] for line in stdout.splitlines()] == [name] * 5
    assert all(error(path, index) < 0.1 for index, path in enumerate(watched))


def test_one_mask_in_a_folder_of_its_own(mask: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    truth = tmp_path / "truth" / "2.png.png"
    truth.parent.mkdir()
    only(RED, 2).save(truth)
    code, said = mask("--learn-from", truth.parent)
    assert code == 0, said
    assert "cannot be known" in said
    assert all(error(tmp_path / "masks" / f"{index}.png.png", index) < 0.1 for index in range(5))
    assert len(list((tmp_path / "masks").glob("adapter-*.json"))) == 1


def test_what_would_make_masks_worse_is_not_used(mask: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    """One mask says red, the other green: what either teaches is wrong about the other."""
    assert mask()[0] == 0
    masks = [tmp_path / "masks" / f"{index}.png.png" for index in range(5)]
    only(RED, 0).save(masks[0])
    only(GREEN, 1).save(masks[1])
    before = [path.read_bytes() for path in masks]
    code, said = mask("--learn")
    assert code == 1
    assert "worse" in said
    assert [path.read_bytes() for path in masks] == before
    assert not list(tmp_path.rglob("adapter-*.json"))


def test_nothing_to_learn_from_and_options_that_exclude_one_another(
    mask: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    assert mask("--learn")[0] == 2
    assert mask("--learn", "--dry-run")[0] == 2
    wrong = tmp_path / "wrong.json"
    wrong.write_text("[1, 2]")
    code, said = mask("--adapter", wrong)
    assert code == 2
    assert "no adapter" in said


def test_the_client(running: dict[str, Served], photos: Path, tmp_path: Path) -> None:
    address = {"remove_background": f"127.0.0.1:{running['remove_background'].grpc_port}"}
    truth = tmp_path / "0.mask.png"
    only(RED, 0).save(truth)
    marks = [{"x": 80, "y": 100, "mark": "object"}, {"x": 240, "y": 100, "mark": "background"}]
    with Client(address) as client:
        mask = client.remove_background(photos / "0.png", hints={"points": marks}).mask
        (tmp_path / "answer.png").write_bytes(mask)
        assert error(tmp_path / "answer.png", 0) < 0.05
        adapter = client.adapt([(photos / "0.png", truth), (photos / "1.png", {"points": marks})])
        assert adapter.HasField("dice_after")
        (answer,) = client.remove_background_many([photos / "4.png"], adapter=adapter)
        (tmp_path / "answer.png").write_bytes(answer.result().mask)
        assert error(tmp_path / "answer.png", 4) < 0.1
        adapter.model_sha256 = "0" * 64
        with pytest.raises(AdapterMismatch):
            client.remove_background(photos / "0.png", adapter=adapter)
        with pytest.raises(ParameterInvalid):
            client.remove_background(photos / "0.png", hints={"points": [{"x": 1, "y": 1, "mark": "perhaps"}]})
        with pytest.raises(ParameterInvalid):
            client.adapt([])

    async def learnt() -> bool:
        async with AsyncClient(address) as client:
            return bool((await client.adapt([(photos / "0.png", truth)])).weights)

    assert asyncio.run(learnt())
