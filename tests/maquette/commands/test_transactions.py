"""What a run leaves when it is killed, when the disk is full, when the service goes, and when its settings change."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.maquette.conftest import ROOT, Run, photograph
from tests.maquette.kills import killed_at_every_change
from tests.maquette.server import Server

# By command: its words beside the photographs, the files of a whole run, and what an earlier run is asked anew with.
RUNS = {
    "classify": (["classify", "photos", "-o", "out.csv"], {"out.csv"}),
    "cluster": (
        ["cluster", "photos", "-o", "report", "--overwrite"],
        {"report/answers.jsonl", "report/map.html", "report/works.csv"},
    ),
    "embed": (["embed", "photos", "-o", "out.csv", "--page", "plane.html", "--overwrite"], {"out.csv", "plane.html"}),
}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def photographs(folder: Path, levels: range) -> None:
    (folder / "photos").mkdir(exist_ok=True)
    for level in levels:
        (folder / "photos" / f"{level:03}.jpg").write_bytes(photograph(level))


def files(folder: Path) -> dict[str, bytes]:
    """What lies there besides the photographs, and Maquette's hidden or unfinished files."""
    found = (path for path in folder.rglob("*") if path.is_file() and "photos" not in path.parts)
    kept = (path for path in found if not path.name.startswith(".") and ".unfinished" not in path.name)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in kept}


@pytest.mark.parametrize("command", RUNS)
def test_a_kill_at_every_stage(maquette: Run, server: Server, tmp_path: Path, command: str) -> None:
    words, whole = RUNS[command]
    photographs(tmp_path, range(0, 60, 20))
    assert maquette(*words, "--server", server.address).returncode == 0
    before = files(tmp_path)
    assert before.keys() == whole
    photographs(tmp_path, range(60, 120, 20))
    asked, stages = len(server.seen.items), 0
    for _ in killed_at_every_change(tmp_path, "maquette", [*words, "--in-flight", 1, "--server", server.address]):
        stages += 1
        now = files(tmp_path)
        assert now.keys() == whole, "what was there is there"
        for name in (name for name in whole if name.endswith(".csv")):
            assert now[name] == before[name] or len(rows(tmp_path / name)) == 6, "the old one until the new one is whole"
        for name in (name for name in whole if name.endswith(".html")):
            assert now[name].rstrip().endswith(b"</html>")
    assert stages >= 8
    assert len(rows(tmp_path / next(name for name in sorted(whole) if name.endswith(".csv")))) == 6
    if command == "cluster":  # elsewhere the log is not needed, and gone, when all is whole
        assert len(server.seen.items) - asked <= 6 + stages, "at most what was under way when a run was killed is asked again"
    left = {path.name for path in tmp_path.rglob("*") if path.is_file() and "photos" not in path.parts}
    assert left == {name.rpartition("/")[2] for name in whole}


@pytest.mark.parametrize("command", RUNS)
def test_a_full_disk_is_one_sentence_and_is_gone_on_from(maquette: Run, server: Server, tmp_path: Path, command: str) -> None:
    words, _ = RUNS[command]
    photographs(tmp_path, range(40))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    # Files may grow to 4 KiB: what a disk leaves of them that fills up.
    shell = ["bash", "-c", 'ulimit -f 4; exec "$@"', "-", sys.executable, "-m", "maquette", *words, "--server", server.address]
    full = subprocess.run(shell, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert full.returncode == 1
    assert "cannot be written: File too large. Stopped after " in full.stderr and "Traceback" not in full.stderr
    assert not [name for name in files(tmp_path) if not name.endswith(".jsonl")]
    (log,) = (path for path in tmp_path.rglob("*answers*") if path.is_file())
    had = sum('"sha256"' in line for line in log.read_text().splitlines()[:-1])
    assert had >= 3
    before = len(server.seen.items)
    done = maquette(*words, "--server", server.address)
    assert done.returncode == 0, done.stderr
    assert f"{40 - had} done, {had} skipped, 0 failed" in done.stderr
    assert len(server.seen.items) - before == 40 - had


def test_the_default_spelled_out_is_the_same_run(maquette: Run, server: Server, folder: Path, tmp_path: Path) -> None:
    run = ("cluster", folder, "-o", "report", "--server", server.address)
    assert maquette(*run).returncode == 0
    before = (tmp_path / "report" / "answers.jsonl").read_bytes()
    assert "0 done, 3 skipped, 0 failed" in maquette(*run, "--neighbours", 5).stderr
    assert len(server.seen.items) == 3
    assert (tmp_path / "report" / "answers.jsonl").read_bytes().startswith(before)


@pytest.mark.parametrize("asked_anew", [["--overwrite"], ["--neighbours", "2"]])
def test_the_old_report_is_there_until_the_new_one_is_whole(
    maquette: Run, server: Server, folder: Path, tmp_path: Path, asked_anew: list[str]
) -> None:
    run = ("cluster", folder, "-o", "report", "--server", server.address)
    assert maquette(*run).returncode == 0
    before = files(tmp_path)
    server.faults.overloaded_items, server.faults.overloaded_unary = 2, 99
    done = maquette(*run, *asked_anew, "--patience", 0)
    assert done.returncode == 1
    assert files(tmp_path) == before
    assert done.stderr.splitlines()[-1] == (
        "1 done, 0 skipped, 2 failed; records in report/works.unfinished.csv, map report/map.unfinished.html. "
        "Next: run the same command again."
    )
    assert len(rows(tmp_path / "report" / "works.unfinished.csv")) == 3
    server.faults.overloaded_unary = 0
    assert "0 done, 3 skipped, 0 failed" in maquette(*run).stderr, "the answers that the old report is of are still there"
    assert "2 done, 1 skipped, 0 failed" in maquette(*run, *asked_anew).stderr, "and so is the one of the new run"
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == ["answers.jsonl", "map.html", "works.csv"]


def test_overwrite_of_a_server_that_does_not_answer_loses_nothing(
    maquette: Run, server: Server, folder: Path, tmp_path: Path
) -> None:
    run = ("cluster", folder, "-o", "report", "--server", server.address)
    assert maquette(*run).returncode == 0
    before = files(tmp_path)
    server.faults.break_streams, server.faults.break_after = 99, 0
    done = maquette(*run, "--overwrite", "--patience", 0)
    assert done.returncode == 1
    assert files(tmp_path) == before


@pytest.mark.parametrize("text", ["somebody's own\n", '{"file": "a.jpg", "note": "mine"}\n', '{"embedding_space": "mine"}\n'])
def test_a_file_of_the_logs_name_that_is_the_users_own(
    maquette: Run, server: Server, folder: Path, tmp_path: Path, text: str
) -> None:
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "answers.jsonl").write_text(text)
    done = maquette("cluster", folder, "-o", "report", "--overwrite", "--server", server.address)
    assert (done.returncode, server.seen.items) == (2, [])
    assert "report/answers.jsonl was not written by maquette" in done.stderr
    assert (tmp_path / "report" / "answers.jsonl").read_text() == text


@pytest.mark.parametrize("name", ["works.csv", "map.html"])
def test_what_a_person_changed_in_a_report_is_kept(
    maquette: Run, server: Server, folder: Path, tmp_path: Path, name: str
) -> None:
    run = ("cluster", folder, "-o", "report", "--server", server.address)
    file = tmp_path / "report" / name
    (tmp_path / "report").mkdir()
    file.write_text("mine from the start\n")
    refused = maquette(*run)
    assert (refused.returncode, server.seen.items) == (2, [])
    assert f"report/{name} is there and a person's" in refused.stderr and "--replace-mine" in refused.stderr
    file.unlink()
    assert maquette(*run).returncode == 0
    with file.open("a") as stream:
        stream.write("a line of my own\n")
    mine = file.read_bytes()
    assert maquette(*run, "--overwrite").returncode == 2
    assert file.read_bytes() == mine
    assert maquette(*run, "--replace-mine").returncode == 0
    assert file.read_bytes() != mine
    assert maquette(*run).returncode == 0, "and is Maquette's own again"


def test_a_classification_goes_on_where_it_was_killed(maquette: Run, server: Server, tmp_path: Path) -> None:
    photographs(tmp_path, range(30))
    (tmp_path / "photos" / "020.jpg").unlink()
    os.mkfifo(tmp_path / "photos" / "020.jpg")  # reading it waits, and so does the run
    words = ["classify", "photos", "-o", "out.csv", "--server", server.address, "--in-flight", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-m", "maquette", *words], cwd=tmp_path, env=environment)
    log = tmp_path / ".out.csv.answers"
    while not log.exists() or len(log.read_bytes().splitlines()) < 15:
        assert process.poll() is None
    process.kill()
    process.wait()
    had = len(log.read_bytes().splitlines()) - 1
    (tmp_path / "photos" / "020.jpg").unlink()
    photographs(tmp_path, range(20, 21))
    done = maquette(*words)
    assert f"{30 - had} done, {had} skipped, 0 failed; records in out.csv" in done.stderr
    assert [row["file"] for row in rows(tmp_path / "out.csv")] == [f"photos/{level:03}.jpg" for level in range(30)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "photos"]


def test_a_hundred_thousand_photographs(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first answer comes when a few have been sent, however many wait. Prints what it took."""
    photos = tmp_path / "photos"
    for number in range(100):
        folder = photos / f"{number:02}"
        folder.mkdir(parents=True)
        (folder / "000.jpg").write_bytes(photograph(number))
        for more in range(1, 1000):
            os.link(folder / "000.jpg", folder / f"{more:03}.jpg")
    command = [sys.executable, "-m", "maquette", "classify", "photos", "--format", "jsonl", "--server", server.address]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = os.times().elapsed
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout
        first = json.loads(process.stdout.readline())
        seconds, sent = os.times().elapsed - started, len(server.seen.items)
        status = Path(f"/proc/{process.pid}/status").read_text()
        process.kill()
    shutil.rmtree(photos)  # pytest would keep them
    megabytes = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    with capsys.disabled():
        print(f" 100,000 files: first answer after {seconds:.1f} s and {sent} photographs sent, {megabytes:.0f} MB ", end="")
    assert first["file"] == "photos/00/000.jpg"
    assert sent < 500
    assert megabytes < 1000


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["classify", "photos", "-o", "own.csv", "--columns", "own.csv"], "own.csv is the catalogue of --columns"),
        (["embed", "photos", "--page", "photos/a.jpg"], "photos/a.jpg is one of the photographs"),
        (["classify", "photos/a.jpg", "-o", "photos/a.jpg", "--format", "csv"], "photos/a.jpg is one of the photographs"),
    ],
)
def test_a_result_takes_no_sources_place(
    maquette: Run, server: Server, folder: Path, tmp_path: Path, words: list[str], sentence: str
) -> None:
    (tmp_path / "own.csv").write_text("file,culture\na,Colima\n")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
    done = maquette(*words, "--server", server.address)
    assert (done.returncode, server.seen.items) == (2, [])
    assert sentence in done.stderr
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()} == before
