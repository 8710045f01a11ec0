"""Dry runs, and runs that go on as photographs arrive."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from maquette.folders.watch import Arrivals
from tests.maquette.commands.test_app import lines
from tests.maquette.conftest import ROOT, Run, photograph
from tests.maquette.server import Server

SETTLED = 0.3


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_dry_run_says_what_would_be_done_and_does_nothing(
    maquette: Run, server: Server, folder: Path, tmp_path: Path
) -> None:
    done = maquette("mask", folder, "-o", "out", "--for", "metashape", "--dry-run", "--server", "localhost:1")
    assert done.returncode == 0
    assert done.stderr == (
        "3 to do, 0 there already, 0 failed; nothing was written. Next: the same command without --dry-run.\n"
    )
    assert [(record["output"], record["state"]) for record in lines(done.stdout)] == [
        ("out/a_mask.png", "to do"), ("out/b_mask.png", "to do"), ("out/sub/c_mask.png", "to do"),
    ]  # fmt: skip
    assert not (tmp_path / "out").exists()

    maquette("mask", folder / "a.jpg", "-o", "out", "--server", server.address)
    (tmp_path / "out" / "b.JPG.png").write_bytes(photograph(0, "PNG"))
    before = sorted((tmp_path / "out").iterdir())
    done = maquette("mask", folder, "-o", "out", "--dry-run", "--server", "localhost:1")
    states = ["there already", "there already, a person's", "to do"]
    assert [record["state"] for record in lines(done.stdout)] == states
    assert done.stderr.startswith("1 to do, 2 there already, 0 failed; nothing was written.")
    assert sorted((tmp_path / "out").iterdir()) == before


def test_a_dry_run_names_what_would_fail(maquette: Run, folder: Path) -> None:
    (folder / "a.png").write_bytes(photograph(40, "PNG"))
    done = maquette("mask", folder, "-o", "out", "--for", "meshroom", "--dry-run")
    assert done.returncode == 1
    assert done.stderr.count("would both be written to a.png") == 2
    assert "2 to do, 0 there already, 2 failed; " in done.stderr


@contextmanager
def batches(folder: Path) -> Iterator[tuple[list[Path], list[list[str]]]]:
    """Arrivals in a thread of their own: what to give again with the next batch, and the names they gave so far."""
    stop = threading.Event()
    given: list[list[str]] = []
    arrivals = Arrivals([folder], stop, SETTLED)

    again: list[Path] = []

    def take() -> None:
        while (batch := arrivals.wait([again.pop() for _ in tuple(again)])) is not None:
            given.append([str(one.name) for one in batch.photographs if whole(one.path)])

    thread = threading.Thread(target=take)
    thread.start()
    try:
        yield again, given
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


def whole(path: Path) -> bool:
    """The file is there to its last byte when it is given."""
    with Image.open(path) as opened:
        opened.load()
    return True


def aged(path: Path) -> None:
    os.utime(path, (time.time() - 60,) * 2)


def test_what_is_there_comes_at_once_and_what_arrives_later(folder: Path) -> None:
    for path in (folder / "a.jpg", folder / "b.JPG", folder / "sub" / "c.png"):
        aged(path)
    with batches(folder) as (_, given):
        until(lambda: given)
        assert given == [["a.jpg", "b.JPG", "sub/c.png"]]
        (folder / "new").mkdir()
        (folder / "new" / "d.jpg").write_bytes(photograph(1))
        (folder / "new" / "notes.txt").write_text("no photograph")
        until(lambda: len(given) == 2)
        assert given[1] == ["new/d.jpg"]


def test_a_file_being_written_is_waited_for(tmp_path: Path) -> None:
    data = photograph(40, "PNG", (200, 150))
    with batches(tmp_path) as (_, given):
        until(lambda: given == [[]])
        path = tmp_path / "slow.png"
        with path.open("wb") as stream:
            for start in range(0, len(data), len(data) // 10):
                stream.write(data[start : start + len(data) // 10])
                stream.flush()
                time.sleep(SETTLED / 4)
        until(lambda: len(given) == 2)
        assert given == [[], ["slow.png"]]


def test_one_that_changes_comes_again(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(photograph(1))
    aged(path)
    with batches(tmp_path) as (_, given):
        until(lambda: given == [["a.jpg"]])
        path.write_bytes(photograph(2))
        until(lambda: given == [["a.jpg"]] * 2)


def test_one_that_is_asked_for_comes_with_the_next_batch(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(photograph(1))
    aged(tmp_path / "a.jpg")
    arrivals = Arrivals([tmp_path], threading.Event(), SETTLED)
    for again in ([], [tmp_path / "a.jpg"]):
        found = arrivals.wait(again)
        assert found is not None
        assert [str(one.name) for one in found.photographs] == ["a.jpg"]


def test_folders_that_vanish_and_come_back_do_not_end_a_watch(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a.jpg").write_bytes(photograph(1))
    aged(folder / "sub" / "a.jpg")
    with batches(folder) as (_, given):
        until(lambda: given == [["sub/a.jpg"]])
        for round_ in range(20):  # a walk meets one of these half-way
            (folder / f"short{round_}" / "lived").mkdir(parents=True)
            shutil.rmtree(folder / f"short{round_}")
        folder.rename(tmp_path / "unmounted")
        time.sleep(2 * SETTLED)
        (tmp_path / "unmounted").rename(folder)
        (folder / "b.jpg").write_bytes(photograph(2))
        until(lambda: given == [["sub/a.jpg"], ["b.jpg"]])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_a_watch_cleanly(server: Server, folder: Path, tmp_path: Path, number: signal.Signals) -> None:
    (folder / "sub" / "broken.jpg").write_bytes(b"as a camera begins it")
    command = [sys.executable, "-m", "maquette", "mask", "photos", "-o", "out", "--watch", "--settled", "0.3"]
    process = subprocess.Popen(
        [*command, "--server", server.address],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    out = tmp_path / "out"
    until(lambda: (out / "sub" / "c.png.png").exists() and (out / "contact-sheet.html").exists())
    (folder / "later.jpg").write_bytes(photograph(60))
    (folder / "sub" / "broken.jpg").write_bytes(photograph(80))
    until(lambda: (out / "later.jpg.png").exists() and (out / "sub" / "broken.jpg.png").exists())
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert "Traceback" not in stderr
    assert "broken.jpg: The bytes are not an image." in stderr  # when it happened; it was made good later
    assert "failed." not in stderr
    files = [Path(json.loads(line)["file"]).name for line in stdout.splitlines()]
    assert sorted(files) == ["a.jpg", "b.JPG", "broken.jpg", "broken.jpg", "c.png", "later.jpg"]
    assert (out / "contact-sheet.html").read_text().count("<figure") == 5


def test_a_watch_asks_again_when_the_service_is_back(server: Server, folder: Path, tmp_path: Path) -> None:
    for path in (folder / "a.jpg", folder / "b.JPG", folder / "sub" / "c.png"):
        aged(path)
    server.faults.break_streams, server.faults.break_after = 3, 0
    command = [sys.executable, "-m", "maquette", "mask", "photos", "-o", "out", "--watch", "--settled", "0.3"]
    process = subprocess.Popen(
        [*command, "--patience", "0", "--server", server.address],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: len(list((tmp_path / "out").rglob("*.png"))) == 3)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert "The service is draining. (NOT_READY)" in stderr
