"""What a person made is never changed or deleted without --replace-mine, whatever editor it went through."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, PngImagePlugin

from maquette.folders import atomic
from maquette.masks import png
from tests.maquette.commands.test_app import lines
from tests.maquette.conftest import ROOT, Run, photograph
from tests.maquette.server import Server


def corrected(mask: Path, *, chunk: bool = True, behind: bool = False) -> bytes:
    """What an editor saves after one stroke: with the text chunk, with it behind the pixels, or without it."""
    with Image.open(mask) as opened:
        picture, origin = opened.copy(), opened.info["maquette"]
    ImageDraw.Draw(picture).line((0, 0, 9, 9), fill=255)
    texts = PngImagePlugin.PngInfo()
    if chunk:
        texts.add_text("maquette", origin)
    picture.save(mask, pnginfo=texts)
    if behind:
        data = mask.read_bytes()
        start = data.index(b"tEXtmaquette") - 4
        end = start + 12 + int.from_bytes(data[start : start + 4])
        mask.write_bytes(data[:start] + data[end:-12] + data[start:end] + data[-12:])
    return mask.read_bytes()


EDITORS: dict[str, Callable[[Path], bytes]] = {
    "keeps the chunk": corrected,
    "writes it behind the pixels": lambda mask: corrected(mask, behind=True),
    "drops the chunk": lambda mask: corrected(mask, chunk=False),
    "saves another picture": lambda mask: bytes(mask.write_bytes(photograph(7, "PNG"))) and mask.read_bytes(),
    "leaves half a file": lambda mask: bytes(mask.write_bytes(mask.read_bytes()[:70])) and mask.read_bytes(),
    "puts something else there": lambda mask: bytes(mask.write_text("to do on Monday")) and mask.read_bytes(),
}


@pytest.mark.parametrize("editor", EDITORS)
def test_a_persons_mask_outlives_every_run_but_one(
    maquette: Run, server: Server, folder: Path, tmp_path: Path, editor: str
) -> None:
    run = ("mask", folder, "-o", "out", "--server", server.address)
    maquette(*run)
    mask = tmp_path / "out" / "a.jpg.png"
    mine = EDITORS[editor](mask)
    for more in ((), ("--overwrite",), ("--threshold", 0.9), ("--overwrite", "--threshold", 0.4)):
        record = lines(maquette(*run, *more).stdout)[0]
        assert record["skipped"] and record["notes"][0].startswith("kept: ")
        assert mask.read_bytes() == mine
    done = maquette(*run, "--replace-mine")
    assert (done.returncode, lines(done.stdout)[0]["skipped"]) == (0, False)
    assert png.owned(mask)
    with Image.open(mask) as made:
        assert made.getpixel((0, 0)) == 0  # the stroke is gone, as was asked for


def test_a_photograph_that_changed_does_not_cost_a_persons_mask(
    maquette: Run, server: Server, folder: Path, tmp_path: Path
) -> None:
    run = ("mask", folder, "-o", "out", "--server", server.address)
    maquette(*run)
    mine = corrected(tmp_path / "out" / "a.jpg.png")
    (folder / "a.jpg").write_bytes(photograph(200))
    maquette(*run)
    assert (tmp_path / "out" / "a.jpg.png").read_bytes() == mine


def test_a_mask_without_a_digest_is_taken_for_a_persons(maquette: Run, server: Server, folder: Path, tmp_path: Path) -> None:
    """As the first version wrote them: nobody can tell any more whether it was corrected."""
    run = ("mask", folder, "-o", "out", "--server", server.address)
    maquette(*run)
    mask = tmp_path / "out" / "a.jpg.png"
    old = mask.read_bytes().replace(b'"pixels"', b'"pixelz"')
    mask.write_bytes(old)
    maquette(*run, "--overwrite")
    assert mask.read_bytes() == old


def test_a_mask_that_a_person_saves_during_the_run_is_kept(server: Server, folder: Path, tmp_path: Path) -> None:
    (folder / "a.jpg").unlink()
    os.mkfifo(folder / "a.jpg")  # the run waits here, its plan made
    command = [sys.executable, "-m", "maquette", "mask", "photos", "-o", "out", "--server", server.address]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True
    )
    with (folder / "a.jpg").open("wb") as stream:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "a.jpg.png").write_bytes(mine := photograph(7, "PNG"))
        stream.write(photograph(10))
    (folder / "a.jpg").unlink()
    (folder / "a.jpg").write_bytes(photograph(10))  # for the contact sheet
    stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert (tmp_path / "out" / "a.jpg.png").read_bytes() == mine
    assert lines(stdout)[0]["notes"] == ["kept: a person made or corrected this file"]


def test_a_contact_sheet_of_somebody_elses_is_kept(maquette: Run, server: Server, folder: Path, tmp_path: Path) -> None:
    run = ("mask", folder, "-o", "out", "--server", server.address)
    sheet = tmp_path / "out" / "contact-sheet.html"
    sheet.parent.mkdir()
    sheet.write_text("<h1>Contacts</h1>")
    done = maquette(*run)
    assert done.returncode == 1
    assert "contact-sheet.html is there and a person's" in done.stderr
    assert sheet.read_text() == "<h1>Contacts</h1>"
    assert maquette(*run, "--replace-mine").returncode == 0
    assert "<figure" in sheet.read_text()
    assert maquette(*run).returncode == 0  # its own it writes again


def test_explanations_never_take_the_place_of_masks(maquette: Run, server: Server, folder: Path, tmp_path: Path) -> None:
    at = ("--server", server.address)
    maquette("mask", folder, "-o", "out", *at)
    corrected(tmp_path / "out" / "a.jpg.png", chunk=False)
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.png")}
    asked = len(server.seen.items)
    for first in ("a.jpg", "b.JPG"):  # a person's, and Maquette's own
        done = maquette("classify", folder / first, "--explain", "out", *at)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"out/{first}.png is" in done.stderr and "choose another folder" in done.stderr
    assert {path: path.read_bytes() for path in before} == before
    assert len(server.seen.items) == asked
    for _ in range(2):  # its own it writes again
        assert maquette("classify", folder, "--explain", "why", *at).returncode == 0
    done = maquette("mask", folder, "-o", "why", "--overwrite", *at)
    assert (done.returncode, done.stderr.count("is an explanation of `maquette classify`")) == (1, 3)


def test_a_report_is_no_device_and_no_folder(maquette: Run, server: Server, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "taken.csv").mkdir()
    for report in ("taken.csv", "/dev/null"):
        done = maquette("mask", folder, "-o", "out", "--report", report, "--server", server.address)
        assert done.returncode == 2
    assert Path("/dev/null").is_char_device()


def test_a_linked_report_is_written_where_the_link_leads(maquette: Run, server: Server, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "real.csv").write_text("before")
    (tmp_path / "link.csv").symlink_to("real.csv")
    assert maquette("mask", folder, "-o", "out", "--report", "link.csv", "--server", server.address).returncode == 0
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_text().startswith("file,")


def test_a_name_as_long_as_the_disk_allows(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 251 + ".csv")
    with atomic.whole(path) as stream:
        stream.write("whole")
    assert [one.read_text() for one in tmp_path.iterdir()] == ["whole"]
