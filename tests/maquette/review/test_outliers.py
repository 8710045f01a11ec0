"""What stands out in a set of masks: measured on files, judged against neighbours."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from pathlib import Path, PurePath

import numpy as np
import pytest
from PIL import Image, ImageDraw

from maquette.folders.photographs import Photograph
from maquette.review import outliers
from maquette.review.measure import Measurement, Moments, measure
from maquette.review.outliers import judge
from tests.maquette.conftest import photograph


def seen(number: int, coverage: float | None = 0.2, **facts: object) -> Measurement:
    path = Path("photos") / f"IMG_{number}.jpg"
    shape = Moments(-1.7 + 0.01 * (number % 3), 0.3)
    found = Measurement(Photograph(path, PurePath(path.name)), Path("out") / path.name, coverage=coverage, moments=shape)
    return replace(found, **facts)  # type: ignore[arg-type]


def walk(count: int = 30) -> list[Measurement]:
    """A walk around an object whose area slowly doubles and halves again."""
    return [seen(number, 0.2 * 2 ** math.sin(number / 5)) for number in range(count)]


def reasons(looks: list[Measurement]) -> dict[str, str]:
    return {one.measurement.photograph.path.name: "; ".join(one.reasons) for one in judge(looks) if one.reasons}


def test_a_slow_change_is_no_outlier() -> None:
    assert reasons(walk()) == {}


@pytest.mark.parametrize(("factor", "said"), [(0.4, "area 0."), (2.5, "area 2.")])
def test_an_area_unlike_its_neighbours_is(factor: float, said: str) -> None:
    looks = walk()
    looks[12] = replace(looks[12], coverage=(looks[12].coverage or 0) * factor)
    (name,) = found = reasons(looks)
    assert name == "IMG_12.jpg"
    assert found[name].startswith(said)
    assert judge(looks)[0].measurement is looks[12]


def test_a_shape_unlike_its_neighbours_is() -> None:
    looks = walk()
    looks[20] = replace(looks[20], moments=Moments(-0.9, 0.9))
    assert list(reasons(looks)) == ["IMG_20.jpg"]
    assert "shape unlike its neighbours'" in reasons(looks)["IMG_20.jpg"]


def test_the_gravest_comes_first_and_the_rest_in_capture_order() -> None:
    looks = walk(14)
    looks[2] = replace(looks[2], edges=("top",))
    looks[3] = replace(looks[3], uncertainty=0.8)
    looks[4] = replace(looks[4], coverage=0.0, moments=None)
    looks[5] = replace(looks[5], coverage=None, moments=None, problem="no mask")
    order = [finding.measurement.photograph.path.stem for finding in judge(looks)]
    assert order[:4] == ["IMG_5", "IMG_4", "IMG_3", "IMG_2"]
    assert order[4:] == [f"IMG_{number}" for number in (0, 1, 6, 7, 8, 9, 10, 11, 12, 13)]
    said = reasons(looks)
    assert (said["IMG_5.jpg"], said["IMG_4.jpg"]) == ("no mask", "the mask is empty")
    assert said["IMG_3.jpg"] == "uncertain (0.80)"
    assert said["IMG_2.jpg"] == "touches the frame: top"


def test_few_masks_have_no_usual_area() -> None:
    assert reasons([seen(0, 0.01), seen(1, 0.9), seen(2, 0.3), seen(3, 0.1)]) == {}


def test_time_counts_before_names_where_every_photograph_has_it() -> None:
    looks = [seen(number, taken=f"2026:01:01 10:00:{60 - number}") for number in (9, 10, 11)]
    assert [one.taken[-2:] for one in outliers.in_capture_order(looks)] == ["49", "50", "51"]
    looks[0] = replace(looks[0], taken="")
    assert [one.photograph.path.stem for one in outliers.in_capture_order(looks)] == ["IMG_9", "IMG_10", "IMG_11"]


def drawn(tmp_path: Path, box: tuple[int, int, int, int], size: tuple[int, int] = (400, 300)) -> tuple[Photograph, Path]:
    """A photograph and a mask with an ellipse in it."""
    picture, target = tmp_path / "IMG.jpg", tmp_path / "IMG.jpg.png"
    picture.write_bytes(photograph(120, size=size))
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).ellipse(box, fill=255)
    mask.save(target)
    return Photograph(picture, PurePath(picture.name)), target


def test_a_disc_is_measured(tmp_path: Path) -> None:
    found = measure(*drawn(tmp_path, (100, 50, 300, 250)))
    assert found.coverage == pytest.approx(math.pi * 100**2 / (400 * 300), rel=0.01)
    assert found.moments is not None
    assert found.moments.spread == pytest.approx(math.log(1 / (2 * math.pi)), abs=0.01)
    assert found.moments.elongation == pytest.approx(0, abs=0.01)
    assert (found.edges, found.problem, found.uncertainty) == ((), "", None)
    with Image.open(io.BytesIO(found.thumbnail)) as thumbnail:
        assert thumbnail.size == (240, 180)
        inside, outside = thumbnail.getpixel((120, 90)), thumbnail.getpixel((5, 175))
        assert inside == pytest.approx((120, 120, 120), abs=8)
        assert isinstance(outside, tuple) and outside[2] > 1.4 * outside[0]
        # The disc's left edge lies at 60 of 240, in its yellow outline.
        red, _, blue = np.asarray(thumbnail).astype(int)[90, 57:62].max(0)[:3] - np.asarray(thumbnail).astype(int)[90, 40]
        assert red > 100 > blue


def test_shape_keeps_through_size_and_place(tmp_path: Path) -> None:
    one = measure(*drawn(tmp_path, (10, 10, 210, 110))).moments
    other = measure(*drawn(tmp_path, (200, 100, 1400, 700), (1600, 1200))).moments
    assert one and other
    assert (one.spread, one.elongation) == pytest.approx((other.spread, other.elongation), abs=0.01)


def test_a_mask_of_another_size_is_said(tmp_path: Path) -> None:
    one, target = drawn(tmp_path, (10, 10, 210, 110))
    Image.new("L", (80, 60)).save(target)
    assert measure(one, target).problem == "the mask has 80 x 60 pixels, the photograph 400 x 300"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_every_orientation_is_shown_upright(tmp_path: Path, orientation: int, kind: str) -> None:
    """The scene is dark with a bright top left; stored as the camera held it, with a mask in the sensor's frame."""
    scene = Image.new("RGB", (60, 40), (30, 30, 30))
    scene.paste((220, 220, 220), (0, 0, 30, 10))
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Image.Transpose that takes upright to stored
    stored = scene.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else scene
    exif = Image.Exif()
    exif[0x0112] = orientation
    path, target = tmp_path / f"IMG.{kind.lower()}", tmp_path / "mask.png"
    stored.save(path, kind, exif=exif)
    stored.convert("L").point([0] * 128 + [255] * 128).save(target)
    found = measure(Photograph(path, PurePath(path.name)), target)
    assert (found.problem, set(found.edges)) == ("", {"top", "left"})
    with Image.open(io.BytesIO(found.thumbnail)) as thumbnail:
        pixels = np.asarray(thumbnail.convert("RGB"), np.int16)
    assert pixels.shape == (40, 60, 3)
    assert pixels[3, 3].min() > 190 and pixels[30, 50].max() < 110


def test_what_cannot_be_read_is_said_and_the_rest_is_shown(tmp_path: Path) -> None:
    one, target = drawn(tmp_path, (10, 10, 210, 110))
    target.write_bytes(target.read_bytes()[:-20])
    cut = measure(one, target)
    assert (cut.problem, cut.coverage, bool(cut.thumbnail)) == ("the mask is not whole", None, True)
    target.unlink()
    assert measure(one, target).problem == measure(one, None).problem == "no mask"
    one, target = drawn(tmp_path, (10, 10, 210, 110))
    one.path.write_text("no image")
    broken = measure(one, target)
    assert (broken.problem, bool(broken.coverage)) == ("the photograph cannot be shown", True)
    assert broken.thumbnail


def test_sixteen_bits_are_not_clipped(tmp_path: Path) -> None:
    path = tmp_path / "IMG.tif"
    Image.fromarray(np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (48, 1))).save(path)
    found = measure(Photograph(path, PurePath(path.name)), None)
    with Image.open(io.BytesIO(found.thumbnail)) as thumbnail:
        row = np.asarray(thumbnail.convert("L"))[20]
    assert row[0] < 10 and 100 < row[32] < 155 and row[-1] > 245
