"""What goes wrong in a folder of photographs, against the real service: the tiny model takes dark pixels for the object.

Each time: nothing is lost, each failure is named at the end, the exit code says so, a second run does only what is missing.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil
import pytest
import tifffile
from PIL import Image

from maquette.masks import png
from maquette.masks.files import ignores_case
from tests.maquette.commands.test_app import lines
from tests.maquette.conftest import ROOT, Run
from tests.serving import Served, until

SIZE = (96, 64)
PIXELS = npt.NDArray[np.uint8]


def scene(seed: int = 0) -> PIXELS:
    """uint8 [64, 96, 3]: a bright ground with a dark L that looks different after every turn and flip."""
    pixels = np.full((*SIZE[::-1], 3), 225 + seed % 20, np.uint8)
    pixels[8:56, 12:30] = 25
    pixels[40:56, 12:72] = 40
    return pixels


def encoded(pixels: PIXELS, kind: str = "JPEG", **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def assert_masks(mask: Path, pixels: PIXELS) -> None:
    """The mask has the size of these pixels and is white where they are dark, but for the borders the small model blurs."""
    with Image.open(mask) as opened:
        found = np.asarray(opened)
    assert found.shape == pixels.shape[:2]
    assert set(np.unique(found)) == {0, 255}
    assert ((found == 255) == (pixels[..., 0] < 128)).mean() > 0.97


@pytest.fixture
def served(running: dict[str, Served]) -> Served:
    return running["remove_background"]


@pytest.fixture
def mask(maquette: Run, served: Served, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """``maquette mask photos -o out`` with more arguments."""
    (tmp_path / "photos").mkdir()
    address = f"{served.host}:{served.grpc_port}"
    return lambda *arguments: maquette("mask", "photos", "-o", "out", "--server", address, *arguments)


def made(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The photographs that this run made masks of."""
    return [Path(line["file"]).name for line in lines(done.stdout) if not line.get("skipped") and "error" not in line]


def test_one_unreadable_photograph(mask: Run, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for number in range(4):
        (photos / f"{number}.jpg").write_bytes(encoded(scene(number)))
    (photos / "1.jpg").write_bytes(encoded(scene(1))[:400])
    first = mask()
    assert (first.returncode, made(first)) == (1, ["0.jpg", "2.jpg", "3.jpg"])
    assert first.stderr.splitlines()[-1].startswith("3 done, 0 skipped, 1 failed, ")
    assert first.stderr.startswith("photos/1.jpg: ")
    assert "IMAGE_TRUNCATED" in first.stderr
    (photos / "1.jpg").write_bytes(encoded(scene(1)))
    second = mask()
    assert (second.returncode, made(second)) == (0, ["1.jpg"])
    assert_masks(tmp_path / "out" / "1.jpg.png", scene(1))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation(mask: Run, tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    (tmp_path / "photos" / "IMG.jpg").write_bytes(encoded(scene(), exif=exif))
    assert mask().returncode == 0
    assert_masks(tmp_path / "out" / "IMG.jpg.png", scene())
    assert mask("--frame", "display").returncode == 0
    upright = {
        1: scene(), 2: scene()[:, ::-1], 3: scene()[::-1, ::-1], 4: scene()[::-1],
        5: scene().transpose(1, 0, 2), 6: np.rot90(scene(), -1), 7: scene()[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(scene()),
    }  # fmt: skip
    assert_masks(tmp_path / "out" / "IMG.jpg.png", upright[orientation])


def test_a_sixteen_bit_tiff_and_a_cmyk_jpeg(mask: Run, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    tifffile.imwrite(photos / "colour.tif", scene().astype(np.uint16) * 257, photometric="rgb")
    tifffile.imwrite(photos / "grey.tif", scene()[..., 0].astype(np.uint16) * 257)
    Image.fromarray(scene()).convert("CMYK").save(photos / "print.jpg")
    done = mask()
    assert done.returncode == 0, done.stderr
    for name in ("colour.tif", "grey.tif", "print.jpg"):
        assert_masks(tmp_path / "out" / f"{name}.png", scene())
    sheet = (tmp_path / "out" / "contact-sheet.html").read_text()
    assert (sheet.count("<img"), sheet.count("cannot be shown")) == (3, 0)


def test_names_that_differ_by_suffix_alone(mask: Run, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    (photos / "IMG.jpg").write_bytes(encoded(scene(0)))
    (photos / "IMG.png").write_bytes(encoded(scene()[:, ::-1], "PNG"))
    (photos / "other.jpg").write_bytes(encoded(scene(2)))
    first = mask("--for", "metashape")
    assert (first.returncode, made(first)) == (1, ["other.jpg"])
    assert "photos/IMG.jpg and photos/IMG.png would both be written to IMG_mask.png" in first.stderr
    assert "photos/IMG.png and photos/IMG.jpg would both" in first.stderr
    assert not (tmp_path / "out" / "IMG_mask.png").exists()
    (photos / "IMG.png").rename(photos / "IMG2.png")
    second = mask("--for", "metashape")
    assert (second.returncode, made(second)) == (0, ["IMG.jpg", "IMG2.png"])
    assert_masks(tmp_path / "out" / "IMG_mask.png", scene())
    assert_masks(tmp_path / "out" / "IMG2_mask.png", scene()[:, ::-1])
    both = mask("--for", "colmap")
    assert (both.returncode, made(both)) == (0, ["IMG.jpg", "IMG2.png", "other.jpg"])


def test_names_that_differ_by_case_alone(mask: Run, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    if ignores_case(photos):
        pytest.skip("this file system cannot hold them")
    (photos / "IMG.jpg").write_bytes(encoded(scene(0)))
    (photos / "img.JPG").write_bytes(encoded(scene()[::-1]))
    assert mask().returncode == 0
    assert_masks(tmp_path / "out" / "IMG.jpg.png", scene())
    assert_masks(tmp_path / "out" / "img.JPG.png", scene()[::-1])


def test_a_disk_that_knows_no_case(mask: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = tmp_path / "photos"
    if ignores_case(photos):
        pytest.skip("this file system cannot hold them")
    for name in ("IMG.jpg", "img.JPG", "other.jpg"):
        (photos / name).write_bytes(encoded(scene()))
    monkeypatch.setattr("maquette.masks.files.ignores_case", lambda folder: True)
    done = mask()
    assert (done.returncode, made(done)) == (1, ["other.jpg"])
    assert done.stderr.count("would both be written") == 2
    assert "1 done, 0 skipped, 2 failed" in done.stderr


def test_a_service_that_dies_half_way(
    serve: Callable[..., Served], running: dict[str, Served], tmp_path: Path, maquette: Run
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(80):
        (photos / f"{number:02}.png").write_bytes(encoded(scene(number), "PNG"))
    dying = serve("remove_background").until_ready()
    command = [sys.executable, "-m", "maquette", "mask", "photos", "-o", "out", "--patience", "0", "--in-flight", "2"]
    process = subprocess.Popen(
        [*command, "--server", f"{dying.host}:{dying.grpc_port}"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        pipesize=4096,  # holds some ten records: the command waits there until they are read
    )
    until(lambda: len(list((tmp_path / "out").glob("*.png"))) >= 5, lambda: "no masks", process)
    for part in [*psutil.Process(dying.process.pid).children(recursive=True), dying.process]:
        part.kill()
    _, stderr = process.communicate(timeout=120)
    dying.process.wait()
    assert process.returncode == 1
    written = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.png")}
    assert 5 <= len(written) < 80
    assert all(png.is_whole(tmp_path / "out" / name) for name in written)
    assert stderr.splitlines()[-1].startswith(f"{len(written)} done, 0 skipped, {80 - len(written)} failed, ")
    assert stderr.count("(UNREACHABLE)") == 80 - len(written)

    again = running["remove_background"]
    second = maquette("mask", "photos", "-o", "out", "--server", f"{again.host}:{again.grpc_port}")
    assert second.returncode == 0
    assert len(made(second)) == 80 - len(written)
    assert f"{80 - len(written)} done, {len(written)} skipped, 0 failed" in second.stderr
    assert {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in written} == written
    assert len(list((tmp_path / "out").glob("*.png"))) == 80


@pytest.fixture(params=["quota", "tmpfs"])
def limited(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[str]]:
    """What to put before a command so that ``out`` is full before its masks are written; afterwards there is room."""
    out = tmp_path / "out"
    out.mkdir()
    if request.param == "quota":
        yield ["sh", "-c", 'ulimit -f 8; exec "$@"', "sh"]  # blocks of 512 or 1024 bytes, as the shell has it
        return
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12k", "tmpfs", out], capture_output=True, check=False).returncode:
        pytest.skip("mounting takes root")
    try:
        yield []
    finally:
        subprocess.run(["umount", out], check=True)


def test_a_full_disk(served: Served, limited: list[str], tmp_path: Path, maquette: Run) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (16, 16), np.uint8)
    busy = np.asarray(Image.fromarray(noise).resize((2400, 1800), Image.Resampling.NEAREST))
    for number in range(6):
        (photos / f"{number}.png").write_bytes(encoded(scene() if number % 2 else np.dstack([busy] * 3), "PNG"))
    command = ["mask", "photos", "-o", "out", "--server", f"{served.host}:{served.grpc_port}"]
    first = subprocess.run(
        [*limited, sys.executable, "-m", "maquette", *command],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert first.returncode == 1, first.stderr
    written = {path.name: path.read_bytes() for path in out.iterdir()}
    assert sorted(written) == ["1.png.png", "3.png.png", "5.png.png"]  # nothing half, no sheet, nothing temporary
    assert all(png.is_whole(out / name) for name in written)
    for number in (0, 2, 4):
        assert f"photos/{number}.png: out/{number}.png.png cannot be written: " in first.stderr
    assert "3 done, 0 skipped, 3 failed; " in first.stderr
    assert "contact-sheet.html cannot be written" in first.stderr

    if not limited:
        subprocess.run(["mount", "-o", "remount,size=4m", out], check=True)
    second = maquette(*command)
    assert (second.returncode, made(second)) == (0, ["0.png", "2.png", "4.png"])
    assert {name: (out / name).read_bytes() for name in written} == written
    assert (out / "contact-sheet.html").exists()
