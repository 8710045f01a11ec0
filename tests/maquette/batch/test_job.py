"""A folder through one service in shards: killed half-way, begun again, collected; each photograph once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import fsspec
import pytest
from PIL import Image

from maquette.batch import job, parts
from maquette.batch.store import Store
from tests import serving, tiny
from tests.maquette.conftest import photograph
from tests.maquette.kills import killed_at_every_change
from tests.maquette.server import Server
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
    return [sys.executable, "-m", "maquette.batch.job", *map(str, words), *([] if index is None else ["--index", str(index)])]


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
    assert f"{COUNT} photographs: {COUNT - 1} done, 0 skipped, 1 failed" in collected.stderr
    records = [json.loads(line) for line in (results / "records.jsonl").read_text().splitlines()]
    names = sorted(path.relative_to(source).as_posix() for path in source.rglob("*.png"))
    assert [record["file"] for record in records] == names
    assert [record["file"] for record in records if "error" in record] == ["left/001.png"]
    alone = served.call("grpc", (source / names[-1]).read_bytes())
    assert serving.alike(records[-1]["predictions"], alone["predictions"])
    assert not (results / "unfinished").exists(), "nothing stays of what was killed"


def test_masks_are_files_of_their_own(running: dict[str, Served], source: Path, tmp_path: Path) -> None:
    served, results = running["remove_background"], tmp_path / "results"
    server = f"127.0.0.1:{served.grpc_port}"
    done = run("run", "remove_background", source, results, "--shards", 1, "--server", server, index=0)
    assert done.returncode == 0, done.stderr
    masks = {path.relative_to(results / "masks").as_posix() for path in (results / "masks").rglob("*.png")}
    assert masks == {f"{path.relative_to(source)}.png" for path in source.rglob("*.png")} - {"left/001.png.png"}


def test_a_shard_does_not_depend_on_the_other_names() -> None:
    names = [f"photo{index}.jpg" for index in range(3000)]
    counts = [sum(parts.shard_of(name, 10) == index for name in names) for index in range(10)]
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
    assert not list((tmp_path / "results").glob("parts/*"))


# What follows is asked of the small server of the client's own tests, which can be told to fail.


@pytest.fixture
def job_folders(tmp_path: Path) -> tuple[Path, Path]:
    """SOURCE with four photographs, and RESULTS."""
    source = tmp_path / "photos"
    source.mkdir()
    for index in range(4):
        (source / f"{index}.jpg").write_bytes(photograph(40 * index))
    return source, tmp_path / "results"


def one_shard(server: Server, source: Path, results: Path, *words: object) -> subprocess.CompletedProcess[str]:
    return run("run", "classify", source, results, "--shards", 1, "--server", server.address, "--patience", 1, *words, index=0)


def collected(results: Path) -> list[dict[str, Any]]:
    run("collect", results, "--shards", 1)
    return [json.loads(line) for line in (results / "records.jsonl").read_text().splitlines()]


def test_what_may_yet_be_answered_is_asked_again(server: Server, job_folders: tuple[Path, Path]) -> None:
    source, results = job_folders
    (source / "3.jpg").write_text("no image")
    (source / "4.jpg").symlink_to(source / "away.jpg")
    server.faults.overloaded_items, server.faults.overloaded_unary = 1, 99
    first = one_shard(server, source, results)
    assert first.returncode == 1
    assert "2 done, 0 skipped, 3 failed" in first.stderr and "again for the 2 that may yet be answered" in first.stderr
    assert {record["file"]: record["error"]["code"] for record in collected(results) if "error" in record} == {
        "0.jpg": "OVERLOADED", "3.jpg": "IMAGE_UNDECODABLE", "4.jpg": "FILE_UNREADABLE",
    }  # fmt: skip
    server.faults.overloaded_unary = 0
    (source / "away.jpg").write_bytes(photograph(99))
    before = len(server.seen.items)
    second = one_shard(server, source, results)
    assert second.returncode == 0, second.stderr
    assert len(server.seen.items) - before == 3, "what failed, and away.jpg, which is new"
    records = collected(results)
    assert [record["file"] for record in records] == ["0.jpg", "1.jpg", "2.jpg", "3.jpg", "4.jpg", "away.jpg"]
    assert [record["file"] for record in records if "error" in record] == ["3.jpg"]


def test_a_marker_of_an_earlier_run_does_not_count(server: Server, job_folders: tuple[Path, Path]) -> None:
    source, results = job_folders
    words = ("run", "classify", source, results, "--shards", 2, "--server", server.address)
    assert [run(*words, index=index).returncode for index in range(2)] == [0, 0]
    for index in range(10, 20):
        (source / f"{index}.jpg").write_bytes(photograph(index))
    assert run(*words, index=0).returncode == 0
    refused = run("collect", results, "--shards", 2)
    assert refused.returncode == 2
    assert "SOURCE has changed between the shards' runs" in refused.stderr
    assert run(*words, index=1).returncode == 0
    assert run("collect", results, "--shards", 2).returncode == 0
    assert len((results / "records.jsonl").read_text().splitlines()) == 14
    (part,) = [path for path in results.glob("parts/*.jsonl") if '"2.jpg"' in path.read_text()]
    part.unlink()
    assert "Parts of 1 shards are gone" in run("collect", results, "--shards", 2).stderr
    server.stop()
    for index in range(2):
        run(*words, "--patience", 1, index=index)
    assert "1 of 2 shards have not finished" in run("collect", results, "--shards", 2).stderr


def test_folders_of_another_file_system(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """As s3:// and gs:// are: no path of this machine. fsspec's own in memory needs this process, and no account."""
    files = fsspec.filesystem("memory")
    files.pipe({f"/photos/left/{index}.jpg": photograph(40 * index) for index in range(4)})
    words = ["memory://photos", "memory://results", "--shards", "2", "--server", server.address]
    try:
        for step in (
            ["run", "remove_background", *words, "--index", "0"],
            ["run", "remove_background", *words, "--index", "1"],
        ):
            assert ended(step) == 0, capsys.readouterr().err
        assert ended(["collect", "memory://results", "--shards", "2"]) == 0, capsys.readouterr().err
        records = [json.loads(line) for line in files.cat_file("/results/records.jsonl").splitlines()]
        assert [record["file"] for record in records] == [f"left/{index}.jpg" for index in range(4)]
        assert len(files.find("/results/masks")) == 4
        assert not files.exists("/results/unfinished")
        assert ended(["run", "classify", *words]) == 2, "the results are another job's"
    finally:
        files.rm("/", recursive=True)


def ended(words: list[str]) -> Any:
    with pytest.raises(SystemExit) as caught:
        job.main(words)
    return caught.value.code or 0


def test_two_jobs_do_not_meet_in_one_folder(server: Server, job_folders: tuple[Path, Path]) -> None:
    source, results = job_folders
    assert one_shard(server, source, results).returncode == 0
    other = run("run", "embed_latent", source, results, "--shards", 1, "--server", server.address, index=0)
    assert other.returncode == 2
    assert "another job (service classify" in other.stderr


def test_a_source_without_photographs_is_refused(server: Server, job_folders: tuple[Path, Path], tmp_path: Path) -> None:
    _, results = job_folders
    for wrong, sentence in ((tmp_path / "fotos", "is no folder"), (tmp_path / "empty", "holds no photographs")):
        (tmp_path / "empty").mkdir(exist_ok=True)
        done = one_shard(server, wrong, results)
        assert (done.returncode, server.seen.items) == (2, [])
        assert f"SOURCE {wrong} {sentence}" in done.stderr
    assert not results.exists()


def test_hidden_files_and_its_own_results_are_no_sources(server: Server, job_folders: tuple[Path, Path]) -> None:
    source, _ = job_folders
    (source / "._0.jpg").write_bytes(b"as a Mac leaves it on other drives")
    (source / ".thumbs").mkdir()
    (source / ".thumbs" / "0.jpg").write_bytes(photograph(1))
    for results in (source / "results", source):
        words = ("run", "remove_background", source, results, "--shards", 1, "--server", server.address)
        for _ in range(2):
            done = run(*words, index=0)
            assert done.returncode == 0, done.stderr
        assert [record["file"] for record in collected(results)] == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]
        assert len(list(results.glob("masks/*.png"))) == 4
        shutil.rmtree(source / "results", ignore_errors=True)


def test_more_parts_than_a_process_may_open(job_folders: tuple[Path, Path]) -> None:
    """1,100 parts, of which only some 200 files may be open."""
    _, results = job_folders
    (results / "parts").mkdir(parents=True)
    names = [f"{number:04}.jpg" for number in range(1100)]
    for name in names:
        record = {"file": name, "sha256": "00"}
        (results / "parts" / f"shard-00000-of-00001-{name}.jsonl").write_text(json.dumps(record) + "\n")
    store = Store(str(results))
    parts.finish(store, 0, 1, names)
    shell = ["bash", "-c", 'ulimit -n 200; exec "$@"', "-", *command("collect", results, "--shards", 1)]
    done = subprocess.run(shell, cwd=serving.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["file"] for line in (results / "records.jsonl").read_text().splitlines()] == names
    assert not (results / "unfinished").exists()


def test_a_kill_leaves_nothing_that_stays(server: Server, job_folders: tuple[Path, Path]) -> None:
    source, results = job_folders
    (source / "2.jpg").unlink()
    os.mkfifo(source / "2.jpg")  # reading it waits, and so does the run, within a part
    words = ("run", "remove_background", source, results, "--shards", 1, "--server", server.address, "--in-flight", 1)
    process = subprocess.Popen(command(*words, index=0), cwd=serving.ROOT, stderr=subprocess.DEVNULL)
    serving.until(lambda: len(list(results.glob("masks/*.png"))) >= 2, lambda: "no mask was written")
    process.kill()
    process.wait()
    assert [path for path in (results / "unfinished").rglob("*") if path.is_file()], "the part that was being written"
    assert not list(results.glob("parts/*")) and not list(results.glob("finished/*"))
    (source / "2.jpg").unlink()
    (source / "2.jpg").write_bytes(photograph(80))
    assert run(*words, index=0).returncode == 0
    assert len(collected(results)) == 4
    assert sorted(path.name for path in results.iterdir()) == ["finished", "job.json", "masks", "parts", "records.jsonl"]


def test_a_record_carries_the_id(server: Server, job_folders: tuple[Path, Path]) -> None:
    source, results = job_folders
    (source / os.fsdecode(b"\xff.jpg")).write_bytes(photograph(7))
    assert one_shard(server, source, results, "--id-from", "stem").returncode == 0
    records = collected(results)
    assert [record["id"] for record in records] == ["0", "1", "2", "3", os.fsdecode(b"\xff")]


def test_a_full_disk_is_one_sentence_and_is_gone_on_from(server: Server, job_folders: tuple[Path, Path]) -> None:
    source, results = job_folders
    words = ("run", "classify", source, results, "--shards", 1, "--server", server.address, "--part-size", 1)
    shell = ["bash", "-c", 'ulimit -f 0; exec "$@"', "-", *command(*words, index=0)]
    done = subprocess.run(shell, cwd=serving.ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "File too large" in done.stderr and "Traceback" not in done.stderr
    assert not list(results.glob("parts/*")) and not list(results.glob("finished/*"))
    assert run(*words, index=0).returncode == 0
    assert len(collected(results)) == 4


def test_a_kill_at_every_stage(server: Server, job_folders: tuple[Path, Path]) -> None:
    source, results = job_folders
    words = ["--shards", 1, "--index", 0, "--server", server.address, "--part-size", 2, "--in-flight", 1]
    stages = 0
    command_line = ["run", "remove_background", source, results, *words]
    for _ in killed_at_every_change(results.parent, "maquette.batch.job", command_line):
        stages += 1
        for part in results.glob("parts/*"):
            assert all(json.loads(line)["file"] for line in part.read_text().splitlines())
        for mask in results.glob("masks/*"):
            Image.open(mask).load()
    assert stages >= 8
    assert len(server.seen.items) <= 4 + 2 * stages, "at most what was under way, and the part of two it was in, is asked again"
    for _ in killed_at_every_change(results.parent, "maquette.batch.job", ["collect", results, "--shards", 1]):
        stages += 1
    records = [json.loads(line) for line in (results / "records.jsonl").read_text().splitlines()]
    assert [record["file"] for record in records] == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]
    assert sorted(path.name for path in results.iterdir()) == ["finished", "job.json", "masks", "parts", "records.jsonl"]
