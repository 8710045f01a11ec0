"""What a person does to masks, on disk at once, undone and redone, and never lost: through the page's own addresses."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from maquette.maps.thumbnails import UPRIGHT
from maquette.masks import png
from maquette.masks.plan import Order, Settings
from maquette.review.page.mask_set import MaskSet
from tests.maquette.conftest import Run
from tests.maquette.review.conftest import GREEN, RED, Review, picture, share, view
from tests.serving import ROOT

Start = Callable[..., Review]


def paint(mark: str, x: float, y: float, width: float) -> dict[str, object]:
    return {"kind": "paint", "mark": mark, "vertices": [[x, y]], "width": width}


def point(mark: str, x: float, y: float) -> dict[str, object]:
    return {"kind": "point", "mark": mark, "vertices": [[x, y]]}


def correct(local: Review, index: int) -> None:
    """Red is object and green is not, by two points."""
    width, height = view(index).size
    for mark, x in (("object", width / 4), ("background", width * 3 / 4)):
        local.post(f"photographs/{index}/marks", mark=point(mark, x, height / 2))


def test_a_photograph_is_marked_as_it_is_seen_and_its_mask_lies_as_it_is_stored(
    review: Start, tmp_path: Path, service: str
) -> None:
    """All eight orientations: the brush and the service's hints, in a photograph whose upright picture is the same."""
    (tmp_path / "photos").mkdir()
    back = {5: 5, 6: 8, 7: 7, 8: 6}
    upright = view(0)
    for orientation in range(1, 9):
        stored = upright.transpose(UPRIGHT[back.get(orientation, orientation)]) if orientation > 1 else upright
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored.save(tmp_path / "photos" / f"{orientation}.jpg", quality=95, exif=exif)
    local = review("photos", "-o", "masks", "--server", service)
    expected = Image.new("L", upright.size)
    ImageDraw.Draw(expected).ellipse((50, 130, 90, 170), fill=255)
    for index in range(8):
        shape = local.http.get(f"/api/photographs/{index}").json()
        assert (shape["width"], shape["height"]) == upright.size
        local.post(f"photographs/{index}/marks", mark=paint("object", 70, 150, 40))
        mask = picture(tmp_path / "masks" / f"{index + 1}.jpg.png")
        assert mask.size == picture(tmp_path / "photos" / f"{index + 1}.jpg").size
        seen = mask.transpose(UPRIGHT[index + 1]) if index else mask
        assert np.abs(np.asarray(seen, int) - np.asarray(expected, int)).mean() < 2, index + 1
        local.post(f"photographs/{index}/undo")
        local.post(f"photographs/{index}/marks", mark=point("object", 80, 100))
        local.post(f"photographs/{index}/marks", mark=point("background", 240, 100))
        mask = picture(tmp_path / "masks" / f"{index + 1}.jpg.png")
        (mask.transpose(UPRIGHT[index + 1]) if index else mask).save(tmp_path / "seen.png")
        assert share(tmp_path / "seen.png", RED, 0) > 0.9 > 0.1 > share(tmp_path / "seen.png", GREEN, 0), index + 1


def test_undo_redo_and_a_second_evening(
    review: Start, maquette: Run, photos: Path, masks: list[Path], service: str, tmp_path: Path
) -> None:
    assert maquette("mask", photos, "-o", "masks", "--server", service, "--no-sheet").returncode == 0
    original = masks[0].read_bytes()
    local = review("photos", "-o", "masks", "--server", service)
    states = [original]
    for given in (point("background", 240, 100), paint("object", 160, 20, 30), point("object", 80, 100)):
        local.post("photographs/0/marks", mark=given)
        states.append(masks[0].read_bytes())
    assert len(set(states)) == 4
    assert png.owned(masks[0]) is None, "corrected by a person: no run of `maquette mask` touches it"
    assert png.facts(masks[0])["corrected_with"] == "maquette review"  # type: ignore[index]
    assert np.asarray(picture(masks[0]))[20, 160] == 255, "what was painted stays when the service is asked again"
    assert share(masks[0], GREEN, 0) < 0.1

    local.post("photographs/0/undo")
    assert masks[0].read_bytes() == states[2]
    local.post("photographs/1/verdict", verdict="accepted")
    local.post("photographs/2/verdict", verdict="rejected")
    local.kill()

    local = review("photos", "-o", "masks", "--server", service)
    items = local.set()["items"]
    assert [item["verdict"] for item in items] == ["", "accepted", "rejected", "", ""]
    assert (items[0]["undo"], items[0]["redo"]) == (2, 1)
    local.post("photographs/0/redo")
    assert masks[0].read_bytes() == states[3]
    for state in reversed(states[:3]):
        local.post("photographs/0/undo")
        assert masks[0].read_bytes() == state
    assert png.owned(masks[0]) is not None, "Maquette's own again"

    with (tmp_path / "masks" / "rejected.csv").open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert row["file"] == "2.png"
    local.post("photographs/2/verdict", verdict="")
    assert (tmp_path / "masks" / "rejected.csv").read_text().splitlines() == ["file,why,decided"]
    (tmp_path / "masks" / "rejected.csv").write_text("my own list\n")
    assert "is a person's" in local.refused("photographs/2/verdict", 500, verdict="rejected")
    assert (tmp_path / "masks" / "rejected.csv").read_text() == "my own list\n"
    assert local.set()["items"][2]["verdict"] == "rejected", "the verdict is kept all the same"
    other = review("photos", "-o", "masks", "--server", service)
    (tmp_path / "masks" / "rejected.csv").unlink()
    other.post("photographs/3/verdict", verdict="accepted")
    assert "another maquette review" in local.refused("photographs/4/verdict", 500, verdict="accepted")
    assert "2 accepted, 1 rejected" in other.end()
    local.kill()
    local = review("photos", "-o", "masks", "--server", service)
    said = local.end()
    assert "2 accepted, 1 rejected" in said


def test_a_mask_that_a_person_made_elsewhere_is_replaced_only_when_asked(
    review: Start, photos: Path, masks: list[Path], service: str
) -> None:
    masks[0].parent.mkdir()
    Image.new("L", view(0).size, 255).save(masks[0])
    drawn = masks[0].read_bytes()
    local = review("photos", "-o", "masks", "--server", service)
    local.post("photographs/1/verdict", verdict="accepted")
    for path, body in (("marks", {"mark": point("background", 240, 100)}), ("as-neighbours", {})):
        local.post("photographs/1/marks", mark=point("object", 80, 100))
        said = local.refused(f"photographs/0/{path}", 409, **body)
        assert "a person's" in said
        assert masks[0].read_bytes() == drawn
        local.post(f"photographs/0/{path}", replace_mine=True, **body)
        assert masks[0].read_bytes() != drawn
        local.post("photographs/0/undo")
        assert masks[0].read_bytes() == drawn
    local.post("photographs/0/marks", mark=paint("background", 10, 10, 8))
    assert np.asarray(picture(masks[0]))[10, 10] == 0, "the brush paints on it"
    Image.new("L", view(0).size, 255).save(masks[0])
    assert "a person's" in local.refused("photographs/0/marks", 409, mark=point("background", 240, 100)), (
        "changed since, elsewhere"
    )


def test_as_its_neighbours(review: Start, maquette: Run, photos: Path, masks: list[Path], service: str) -> None:
    assert maquette("mask", photos, "-o", "masks", "--server", service, "--no-sheet").returncode == 0
    local = review("photos", "-o", "masks", "--server", service)
    assert "accept some first" in local.refused("photographs/2/as-neighbours", 422)
    for index in (1, 3):
        correct(local, index)
        local.post(f"photographs/{index}/verdict", verdict="accepted")
    assert share(masks[2], GREEN, 2) > 0.9
    assert "1.png, 3.png" in local.post("photographs/2/as-neighbours")["sentence"]
    assert share(masks[2], GREEN, 2) < 0.1 < 0.9 < share(masks[2], RED, 2)
    assert png.owned(masks[2]) is not None
    local.post("photographs/2/undo")
    assert share(masks[2], GREEN, 2) > 0.9


def test_the_rest_is_made_compared_taken_back_and_goes_on_after_a_kill(
    review: Start, maquette: Run, photos: Path, masks: list[Path], service: str, tmp_path: Path
) -> None:
    for index in range(5, 12):
        view(index).save(photos / f"{index:x}.png")
    masks += [tmp_path / "masks" / f"{index:x}.png.png" for index in range(5, 12)]
    local = review("photos", "-o", "masks", "--server", service)
    assert local.set()["items"][0]["reasons"] in ([], ["no mask"])

    def until_done() -> dict[str, object]:
        while (rest := local.set()["rest"])["state"] in ("learning", "making"):
            pass
        return dict(rest)

    local.post("rest", missing=True)
    assert until_done()["sentence"] == "12 masks made."
    assert "correct one or two first" in (local.post("rest"), until_done()["sentence"])[1]  # type: ignore[operator]
    before = {path: path.read_bytes() for path in masks}
    for index in (0, 3):
        correct(local, index)
    local.post("photographs/4/verdict", verdict="accepted")
    local.post("photographs/5/verdict", verdict="rejected")
    Image.new("L", view(6).size, 255).save(masks[6])
    local.post("photographs/6/verdict", verdict="rejected")
    kept = {index: masks[index].read_bytes() for index in (0, 3, 4, 5, 6)}

    local.post("rest")
    local.kill()  # somewhere in it
    for path in masks:
        assert png.is_whole(path)
    local = review("photos", "-o", "masks", "--server", service)
    local.post("rest")
    rest = until_done()
    assert rest["state"] == "done", rest["sentence"]
    assert "Learnt from 2 masks" in str(rest["sentence"])
    made = [index for index in range(12) if index not in kept]
    assert all(share(masks[index], GREEN, index) < 0.1 for index in made)
    assert {index: masks[index].read_bytes() for index in kept} == kept, "a person's, accepted, rejected"
    items = local.set()["items"]
    assert all(0.05 < items[index]["differs"] < 0.5 for index in made if items[index]["why"].startswith("rest "))
    index = next(index for index in made if items[index]["why"].startswith("rest "))
    pictures = {local.http.get(f"/api/photographs/{index}/{path}").content for path in ("thumbnail", "thumbnail?before=1")}
    pictures |= {local.http.get(f"/api/photographs/{index}/tint/0/0/0{end}").content for end in ("", "?before=1")}
    assert len(pictures) == 4

    local.post("photographs/1/verdict", verdict="accepted")
    taught = masks[1].read_bytes()
    changed = [index for index in made if items[index]["why"] == items[made[-1]]["why"] and index != 1]
    assert local.post("rest/take-back")["count"] == len(changed)
    assert all(masks[index].read_bytes() == before[masks[index]] for index in changed)
    assert masks[1].read_bytes() == taught, "a person accepted it"
    assert len(list(masks[0].parent.glob("adapter-*.json"))) == 1


def test_a_kill_before_any_change_of_a_file_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "start" / "photos").mkdir(parents=True)
    (tmp_path / "start" / "masks").mkdir()
    for index in range(2):
        view(index).save(tmp_path / "start" / "photos" / f"{index}.png")
    Image.new("L", view(0).size, 0).save(tmp_path / "start" / "masks" / "0.png.png")
    original = (tmp_path / "start" / "masks" / "0.png.png").read_bytes()
    command = [sys.executable, "-m", "tests.maquette.review.evening", tmp_path]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=200)
    evenings = sorted((path for path in tmp_path.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))
    assert len(evenings) > 15
    for folder in evenings:
        masks = folder / "masks"
        assert png.is_whole(masks / "0.png.png"), folder.name
        assert MaskSet.open("again", [], Order(masks, Settings("mask", "sensor", None))).title == "again", "it can be opened"
        entries = {}
        if (masks / "review.json").exists():
            entries = json.loads((masks / "review.json").read_text())["photographs"]
        versions = entries.get("0.png", {}).get("versions", [])
        kept = [(masks / ".review" / version["file"]).read_bytes() for version in versions]
        assert original in [*kept, (masks / "0.png.png").read_bytes()], (
            f"{folder.name}: the mask that was there can be had again"
        )
    assert entries["0.png"]["verdict"] == "accepted"
    assert (masks / "rejected.csv").read_text().splitlines()[1].startswith("1.png,blurred,")


@pytest.mark.parametrize("words", [["photos"], ["photos", "-o", "photos/0.png"], ["photos", "--types", "-o", "photos"]])
def test_a_wrong_use_is_a_sentence(maquette: Run, photos: Path, words: list[str]) -> None:
    done = maquette("review", *words, "--no-browser")
    assert done.returncode == 2
    assert done.stderr.startswith("maquette: ")
    assert "-o" in done.stderr
