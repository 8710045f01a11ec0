"""Runs that are stopped: killed at every stage, ended by Ctrl-C, or denied the place of their report."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from maquette.masks import png
from tests.maquette.conftest import ROOT, Run, photograph
from tests.maquette.server import Server

# Runs the command line, and kills it before the n-th time that it lists a folder or changes a file where it runs.
KILLED = """
import os, signal, sys
left, here = int(sys.argv.pop(1)), os.getcwd()
def touched(event, arguments):
    global left
    changes = event in ("os.scandir", "os.mkdir", "os.rename", "os.remove") or event == "open" and arguments[2] & os.O_ACCMODE
    if changes and isinstance(arguments[0], (str, bytes)):
        left -= os.path.abspath(os.fsdecode(arguments[0])).startswith(here)
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
from maquette.__main__ import main
sys.addaudithook(touched)
main()
"""


def state(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_kill_at_every_stage_loses_nothing(server: Server, tmp_path: Path, maquette: Run) -> None:
    """Find, plan, ask, write, report, contact sheet: whatever the run was at, what was there is there, and files are whole."""
    before = tmp_path / "before"
    (before / "photos").mkdir(parents=True)
    (before / "out").mkdir()
    for level in (10, 120):
        (before / "photos" / f"{level}.png").write_bytes(photograph(level, "PNG"))
    (before / "out" / "120.png.png").write_bytes(photograph(7, "PNG"))  # a person's mask
    (before / "report.csv").write_text("an earlier report")
    command = ["mask", "photos", "-o", "out", "--report", "report.csv", "--server", server.address]
    stages: set[str] = set()
    for touches in range(1, 200):
        here = tmp_path / "here"
        shutil.rmtree(here, ignore_errors=True)
        shutil.copytree(before, here)
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(touches), *command],
            cwd=here, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, check=False,
        )  # fmt: skip
        found = state(here)
        for name in ("photos/10.png", "photos/120.png", "out/120.png.png"):
            assert found[name] == (before / name).read_bytes(), touches
        if made := found.get("out/10.png.png"):
            assert made and png.owned(here / "out" / "10.png.png"), touches
        reported = found["report.csv"] != b"an earlier report"
        if reported:
            assert len(found["report.csv"].splitlines()) == 3, touches
        assert found.get("out/contact-sheet.html", b"</script>").endswith(b"</script>"), touches
        stages.add(f"{bool(made)} {reported} {'out/contact-sheet.html' in found}")
        if done.returncode != -signal.SIGKILL:
            break
    assert done.returncode == 0, done.stderr
    assert touches > 10
    # Killed before the mask, between mask and report, between report and sheet; and at the end, not at all.
    assert stages == {"False False False", "True False False", "True True False", "True True True"}


@pytest.mark.parametrize("touches", [5, 9, 13, 17])
def test_a_killed_run_leaves_nothing_behind_that_the_next_does_not_take_away(
    server: Server, folder: Path, tmp_path: Path, maquette: Run, touches: int
) -> None:
    command = ["mask", "photos", "-o", "out", "--report", "report.csv", "--server", server.address]
    subprocess.run(
        [sys.executable, "-c", KILLED, str(touches), *command],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, check=False,
    )  # fmt: skip
    assert maquette(*command).returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "photos", "report.csv"]
    assert sorted(state(tmp_path / "out")) == ["a.jpg.png", "b.JPG.png", "contact-sheet.html", "sub/c.png.png"]


def started(tmp_path: Path, *command: object) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "maquette", *map(str, command)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    # A suite that was itself started in the background ignores SIGINT, and would hand that on.
    listen = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    pipe = subprocess.PIPE
    return subprocess.Popen(words, cwd=tmp_path, env=environment, stdout=pipe, stderr=pipe, text=True, preexec_fn=listen)


def until_asked(server: Server, process: subprocess.Popen[str], times: int) -> None:
    """The service has that many items, and is silent from here on; the run has taken in the answers before."""
    deadline = time.monotonic() + 60
    while len(server.seen.items) < times:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_keeps_the_records_and_says_how_far_it_got(
    server: Server, folder: Path, tmp_path: Path, number: signal.Signals
) -> None:
    (tmp_path / "out.csv").write_text("an earlier report")
    server.faults.hang_streams, server.faults.hang_after = 1, 2
    process = started(tmp_path, "classify", "photos", "-o", "out.csv", "--in-flight", 1, "--server", server.address)
    until_asked(server, process, 3)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stderr == (
        "Stopped after 2 of 3: 2 done, 0 skipped, 0 failed; records in out.unfinished.csv. Next: run the same command again.\n"
    )
    assert (tmp_path / "out.csv").read_text() == "an earlier report"
    with (tmp_path / "out.unfinished.csv").open() as stream:
        assert [row["file"] for row in csv.DictReader(stream)] == ["photos/a.jpg", "photos/b.JPG"]


def test_ctrl_c_of_masks_says_what_to_run_next(server: Server, folder: Path, tmp_path: Path, maquette: Run) -> None:
    server.faults.hang_streams, server.faults.hang_after = 1, 1
    command = ("mask", "photos", "-o", "out", "--in-flight", 1, "--server", server.address)
    process = started(tmp_path, *command)
    until_asked(server, process, 2)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, len(stdout.splitlines())) == (130, 1)
    assert stderr == (
        "Stopped after 1 of 3: 1 done, 0 skipped, 0 failed; masks in out. "
        "Next: run the same command again, it makes what is missing.\n"
    )
    done = maquette(*command)
    assert done.stderr.startswith("2 done, 1 skipped, 0 failed, ")


def test_ctrl_c_before_anything_is_asked(server: Server, folder: Path, tmp_path: Path) -> None:
    server.stop()
    process = started(tmp_path, "classify", "photos", "--patience", 60, "--server", server.address)
    assert process.stderr is not None
    assert "Asking again for up to 60 s." in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (
        130, "Stopped before any photograph was done. Next: run the same command again.\n"
    )  # fmt: skip
    server.start()


def test_a_report_that_the_disk_has_no_room_for(server: Server, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("an earlier report")
    for number in range(20):
        (folder / f"x{number:02}.jpg").write_bytes(photograph(number))
    command = [
        "sh",
        "-c",
        'ulimit -f 2; exec "$@"',
        "sh",
        sys.executable,
        "-m",
        "maquette",
        "classify",
        "photos",
        "-o",
        "out.csv",
    ]
    done = subprocess.run(
        [*command, "--server", server.address],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert ".answers cannot be written: File too large. Stopped after " in done.stderr
    assert " of 23: " in done.stderr and "0 failed; no records. Next: see to what is named above" in done.stderr
    assert (tmp_path / "out.csv").read_text() == "an earlier report"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.csv.answers", "out.csv", "photos"], (
        "what was answered is kept"
    )


def test_a_report_whose_place_is_taken_is_not_lost(server: Server, folder: Path, tmp_path: Path) -> None:
    """As on Windows, where a spreadsheet holds the file open."""
    os.mkfifo(folder / "z.jpg")
    process = started(tmp_path, "classify", "photos", "-o", "out.csv", "--server", server.address)
    with (folder / "z.jpg").open("wb") as stream:
        (tmp_path / "out.csv").mkdir()
        stream.write(photograph(10))
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert stderr.startswith("out.csv cannot be written: ")
    assert "4 done, 0 skipped, 0 failed; records in out.unfinished.csv" in stderr
    assert len((tmp_path / "out.unfinished.csv").read_text().splitlines()) == 5
