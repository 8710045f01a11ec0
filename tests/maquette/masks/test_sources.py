"""Masks among the photographs are never taken for photographs, by no command; photographs are never taken for masks."""

from __future__ import annotations

import unicodedata
from pathlib import Path, PurePath

import pytest
from PIL import Image, ImageDraw, ImageFilter

from maquette.folders.photographs import find
from maquette.masks.naming import OutputKind, Tool, name_for
from maquette.masks.sources import divide
from tests.maquette.commands.test_app import lines
from tests.maquette.conftest import Run
from tests.maquette.server import Server

SIZE = (400, 300)


def painted(size: tuple[int, int] = SIZE) -> Image.Image:
    """A mask as a brush with a soft edge leaves it, without any text chunk."""
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).ellipse((size[0] // 4, size[1] // 4, size[0] // 2, size[1] // 2), fill=255)
    return mask.filter(ImageFilter.GaussianBlur(1.5))


def scene(size: tuple[int, int] = SIZE) -> Image.Image:
    """A colour photograph with every level in it."""
    ramp = Image.linear_gradient("L").resize(size)
    return Image.merge(
        "RGB", (ramp, ramp.transpose(Image.Transpose.ROTATE_180), ramp.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    )


def masks_in(folder: Path) -> list[str]:
    works, masks = divide(find([folder]).photographs)
    assert len(works) + len(masks) == len(find([folder]).photographs)
    return [str(one.name) for one in masks]


@pytest.mark.parametrize("tool", [None, *Tool])
@pytest.mark.parametrize("beside", [True, False])
def test_a_painted_mask_of_every_name_is_known(tmp_path: Path, tool: Tool | None, beside: bool) -> None:
    scene().save(tmp_path / "IMG.jpg")
    name = PurePath("" if beside else "masks") / name_for(PurePath("IMG.jpg"), tool=tool)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    painted().save(tmp_path / name)
    assert masks_in(tmp_path) == [str(name)]


@pytest.mark.parametrize("command", [("classify",), ("cluster",), ("embed",), ("mask", "-o", "photos", "--for", "odm")])
def test_no_command_sends_masks(maquette: Run, server: Server, tmp_path: Path, command: tuple[str, ...]) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        scene().save(photos / name)
    at = ("--server", server.address)
    assert maquette("mask", "photos", "-o", "photos", "--for", "odm", *at).returncode == 0
    painted().save(photos / "b_mask.png")  # by hand; the editor dropped the chunk
    painted().convert("RGB").save(photos / "c_mask.JPG", quality=80)  # ODM takes any suffix
    server.seen.items.clear()
    done = maquette(*command, "photos", *at)
    assert done.returncode == 0, done.stderr
    assert [Path(record["file"]).name for record in lines(done.stdout)] == ["a.jpg", "b.jpg", "c.jpg"]
    assert "masks and other results: 4 (the first is photos/a_mask.png)" in done.stderr
    assert set(server.seen.items) <= {(photos / name).read_bytes() for name in ("a.jpg", "b.jpg", "c.jpg")}


def test_masks_kept_in_the_folder_of_the_photographs(maquette: Run, server: Server, tmp_path: Path) -> None:
    (tmp_path / "photos" / "sub").mkdir(parents=True)
    scene().save(tmp_path / "photos" / "sub" / "a.jpg")
    run = ("mask", "photos", "-o", "photos/masks", "--server", server.address)
    assert maquette(*run).returncode == 0
    painted().save(mask := tmp_path / "photos" / "masks" / "sub" / "a.jpg.png")
    mine = mask.read_bytes()
    done = maquette(*run)
    assert (done.returncode, len(lines(done.stdout)), len(server.seen.items)) == (0, 1, 1)
    assert mask.read_bytes() == mine


def test_meshrooms_masks_of_pngs_have_the_photographs_very_name(tmp_path: Path) -> None:
    for view in ("a", "b"):
        (tmp_path / view).mkdir()
        scene().save(tmp_path / view / "001.png")  # views of two objects, numbered alike
    (tmp_path / "masks").mkdir()
    painted().save(tmp_path / "masks" / "001.png")
    assert masks_in(tmp_path) == ["masks/001.png"]


def test_names_in_another_unicode_form_match(tmp_path: Path) -> None:
    scene().save(tmp_path / unicodedata.normalize("NFC", "Büste.jpg"))
    painted().save(tmp_path / unicodedata.normalize("NFD", "Büste_mask.png"))
    assert masks_in(tmp_path) == [unicodedata.normalize("NFD", "Büste_mask.png")]


def test_photographs_are_not_taken_for_masks(tmp_path: Path) -> None:
    scene().save(tmp_path / "african.jpg")
    scene().save(tmp_path / "african_mask.png")  # a mask to be worn, in colours
    painted().save(tmp_path / "drawing_mask.png")  # of no photograph that is here
    painted((200, 150)).save(tmp_path / "african.png")  # of another size: Meshroom's names are no more than a hint
    scene().save(tmp_path / "IMG.tif")
    scene().convert("L").save(tmp_path / "IMG.tif.png")  # a copy in grey, every level in it
    (tmp_path / "IMG.png").write_text("no image")
    assert masks_in(tmp_path) == []


def test_cut_outs_are_works_where_their_photographs_are_not(
    maquette: Run, server: Server, folder: Path, tmp_path: Path
) -> None:
    at = ("--server", server.address)
    maquette("mask", folder, "-o", "cut", "--output-kind", OutputKind.CUTOUT.value, *at)
    assert len(lines(maquette("embed", "cut", *at).stdout)) == 3
    done = maquette("embed", "cut", folder, *at)
    assert [Path(record["file"]).name for record in lines(done.stdout)] == ["a.jpg", "b.JPG", "c.png"]


def test_what_no_command_reads_is_said(maquette: Run, server: Server, folder: Path) -> None:
    for name in ("x.heic", "y.HEIC", "z.dng", "notes.md"):
        (folder / name).write_bytes(b"")
    (folder / "linked").symlink_to(folder / "sub", target_is_directory=True)
    done = maquette("classify", folder, "--server", server.address)
    assert len(lines(done.stdout)) == 3
    assert "files that no service reads: 2 .heic, 1 .dng (save them as JPEG, PNG, TIFF or WebP)" in done.stderr
    assert f"linked folders: 1 (name one to take it too; the first is {folder / 'linked'})" in done.stderr
    assert len(lines(maquette("classify", folder / "linked", "--server", server.address).stdout)) == 1


def test_masks_alone_are_no_photographs(maquette: Run, server: Server, folder: Path) -> None:
    maquette("mask", folder, "-o", "out", "--server", server.address)
    done = maquette("classify", "out", "--server", server.address)
    assert (done.returncode, done.stdout) == (2, "")
    assert "masks and other results: 3" in done.stderr and "No photographs in out" in done.stderr
