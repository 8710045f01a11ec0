from __future__ import annotations

import hashlib
import os
from pathlib import Path, PurePath

import pytest

from maquette.client.errors import FileFailed
from maquette.client.images import load
from maquette.folders.photographs import find


def test_a_folder_is_walked_whole_sorted_and_without_what_is_hidden(folder: Path) -> None:
    assert [str(photo.name) for photo in find([folder]).photographs] == ["a.jpg", "b.JPG", str(PurePath("sub/c.png"))]


@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "png", "webp", "tif", "tiff", "JPG", "TiFF"])
def test_every_suffix_that_a_service_takes(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"x.{suffix}").touch()
    (tmp_path / f"x.{suffix}.txt").touch()
    assert [photo.name.name for photo in find([tmp_path]).photographs] == [f"x.{suffix}"]


def test_what_is_named_is_taken_in_the_order_given_and_once(folder: Path) -> None:
    notes, first = folder / "notes.txt", folder / "b.JPG"
    assert [photo.path for photo in find([notes, first, folder]).photographs] == [
        notes, first, folder / "a.jpg", folder / "sub" / "c.png",
    ]  # fmt: skip


def test_a_link_to_a_parent_does_not_go_round(folder: Path) -> None:
    (folder / "sub" / "up").symlink_to(folder, target_is_directory=True)
    found = find([folder])
    assert (len(found.photographs), found.links) == (3, [folder / "sub" / "up"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list everything")
def test_a_folder_that_cannot_be_listed_is_named(folder: Path) -> None:
    (folder / "sub").chmod(0)
    with pytest.raises(FileFailed, match="sub"):
        find([folder])
    (folder / "sub").chmod(0o755)


def test_reading_hashes_what_is_sent(folder: Path) -> None:
    loaded = load(folder / "a.jpg")
    assert loaded.data == (folder / "a.jpg").read_bytes()
    assert loaded.sha256 == hashlib.sha256(loaded.data).hexdigest() == load(loaded.data).sha256


def test_what_cannot_be_read_is_that_items_error(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.jpg", tmp_path):
        loaded = load(path)
        assert loaded.error is not None
        assert (loaded.error.code, loaded.data, loaded.sha256) == ("FILE_UNREADABLE", b"", "")


def test_more_than_a_message_can_carry_is_refused_unread(tmp_path: Path) -> None:
    huge = tmp_path / "huge.tif"
    with huge.open("wb") as stream:
        stream.truncate(3 * 2**30)  # sparse
    loaded = load(huge)
    assert loaded.error is not None
    assert loaded.error.code == "IMAGE_TOO_MANY_BYTES"
    assert "3.0 GiB" in loaded.error.detail
