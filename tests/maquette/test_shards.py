"""A folder through one service in shards: killed half-way, begun again, collected; each photograph once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from maquette import shards
from tests import serving, tiny
from tests.serving import Served

COUNT, SHARDS = 40, 3


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Forty photographs in two folders, one of them no photograph, and a file that is not to be sent."""
    for index in range(COUNT):
        path = tmp_path / "photos" / ("left" if index % 2 else "right") / f"{index:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tiny.picture(index))
    (tmp_path / "photos/left/001.png").write_bytes(b"not an image")
    (tmp_path / "photos/notes.txt").write_text("not a photograph")
    return tmp_path / "photos"


def command(*words: object, index: int | None = None) -> list[str]:
    return [sys.executable, "-m", "maquette.shards", *map(str, words), *([] if index is None else ["--index", str(index)])]


def run(*words: object, index: int | None = None) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAQUETTE_")}
    return subprocess.run(command(*words, index=index), cwd=serving.ROOT, env=environment, capture_output=True, text=True)


def test_shards_killed_half_way_lose_and_repeat_nothing(running: dict[str, Served], source: Path, tmp_path: Path) -> None:
    served, results = running["classify"], tmp_path / "results"
    words = ["run", "classify", source, results, "--shards", SHARDS, "--server", f"127.0.0.1:{served.grpc_port}"]
    words += ["--part-size", 2, "--in-flight", 1]
    for index in range(SHARDS):
        process = subprocess.Popen(command(*words, index=index), cwd=serving.ROOT, stderr=subprocess.DEVNULL)
        parts = f"shard-{index:05d}-of-*.jsonl"
        serving.until(lambda parts=parts: list(results.glob(f"parts/{parts}")), lambda: "no part was written")
        process.kill()
        process.wait()
        assert not (results / f"finished/shard-{index:05d}-of-{SHARDS:05d}.json").exists(), "killed too late to show anything"
    before = {path: path.stat().st_mtime_ns for path in results.glob("parts/shard-*.jsonl")}
    unfinished = run("collect", results, "--shards", SHARDS)
    assert unfinished.returncode == 2
    assert unfinished.stderr == f"maquette: {SHARDS} of {SHARDS} shards have not finished: 0, 1, 2.\n"

    asked = served.metric("maquette_items_total")
    for index in range(SHARDS):
        done = run(*words, index=index)
        assert done.returncode == 0, done.stderr
    had = sum(len(path.read_text().splitlines()) for path in before)
    assert served.metric("maquette_items_total") - asked == COUNT - had
    assert all(path.stat().st_mtime_ns == time for path, time in before.items()), "a part was written twice"

    collected = run("collect", results, "--shards", SHARDS)
    assert collected.returncode == 1, "one photograph is none"
    assert f"{COUNT} photographs, 1 failed" in collected.stderr
    records = [json.loads(line) for line in (results / "records.jsonl").read_text().splitlines()]
    names = sorted(path.relative_to(source).as_posix() for path in source.rglob("*.png"))
    assert [record["file"] for record in records] == names
    assert [record["file"] for record in records if "error" in record] == ["left/001.png"]
    alone = served.call("grpc", (source / names[-1]).read_bytes())
    assert records[-1]["predictions"] == alone["predictions"]
    hidden = {path.name for path in results.rglob(".*")}
    assert all(".jsonl." in name for name in hidden), "a kill leaves at most its own temporary file"


def test_masks_are_files_of_their_own(running: dict[str, Served], source: Path, tmp_path: Path) -> None:
    served, results = running["remove_background"], tmp_path / "results"
    server = f"127.0.0.1:{served.grpc_port}"
    done = run("run", "remove_background", source, results, "--shards", 1, "--server", server, index=0)
    assert done.returncode == 0, done.stderr
    masks = {path.relative_to(results / "masks").as_posix() for path in (results / "masks").rglob("*.png")}
    assert masks == {f"{path.relative_to(source)}.png" for path in source.rglob("*.png")} - {"left/001.png.png"}


def test_a_shard_does_not_depend_on_the_other_names() -> None:
    names = [f"photo{index}.jpg" for index in range(3000)]
    counts = [sum(shards.shard_of(name, 10) == index for name in names) for index in range(10)]
    assert sum(counts) == 3000 and min(counts) > 200


@pytest.mark.parametrize(
    ("words", "index", "status", "sentence"),
    [
        (["run", "classify", "SOURCE", "OUT", "--shards", "2"], 2, 2, "--index 2 is no shard of 2"),
        (["run", "classify", "nowhere://x", "OUT", "--shards", "2"], 0, 2, "nowhere://x cannot be opened"),
        (
            ["run", "classify", "SOURCE", "OUT", "--shards", "1", "--server", "127.0.0.1:9", "--patience", "1"],
            0,
            1,
            "127.0.0.1:9",
        ),
    ],
)
def test_what_goes_wrong_is_one_sentence(
    source: Path, tmp_path: Path, words: list[str], index: int, status: int, sentence: str
) -> None:
    places = {"SOURCE": str(source), "OUT": str(tmp_path / "results")}
    done = run(*(places.get(word, word) for word in words), index=index)
    assert done.returncode == status, done.stderr
    assert sentence in done.stderr and "Traceback" not in done.stderr
    assert not list((tmp_path / "results").glob("parts/*")) if (tmp_path / "results").exists() else True
