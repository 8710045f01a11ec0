"""``remove_background`` as its callers see it: the tiny model takes what is dark for the object."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import mahotas
import numpy as np
import pytest
from PIL import Image, ImageFilter

from services.common import images, models
from services.common.models import BundleError
from services.remove_background import refine
from services.remove_background.predictor import Parameters, Predictor, full_size_mask, report
from tests import tiny
from tests.files import encode
from tests.serving import Served, on_both

ORIENTATION = 0x0112


@pytest.fixture
def served(running: dict[str, Served]) -> Served:
    return running["remove_background"]


def scene(width: int = 161, height: int = 97) -> np.ndarray:
    """A dark block in the upper left quarter of a light field: no turn or flip of it looks like another."""
    pixels = np.full((height, width, 3), 245, np.uint8)
    pixels[height // 8 : height // 2, width // 8 : width // 3] = 10
    return pixels


def decoded(field: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(field))))


def agrees(mask: np.ndarray, pixels: np.ndarray) -> bool:
    """The mask marks the dark pixels, but for a seam as wide as the model's pixels are."""
    dark = pixels[..., 0] < 128
    return mask.shape == dark.shape and bool(((mask == 255) == dark).mean() > 0.94)


def stored_as(upright: np.ndarray, orientation: int) -> np.ndarray:
    """The rows that a viewer turns into ``upright`` when it reads this orientation."""
    image = Image.fromarray(upright)
    turn = Image.Transpose
    undo = {
        2: turn.FLIP_LEFT_RIGHT,
        3: turn.ROTATE_180,
        4: turn.FLIP_TOP_BOTTOM,
        5: turn.TRANSPOSE,
        6: turn.ROTATE_90,
        7: turn.TRANSVERSE,
        8: turn.ROTATE_270,
    }
    return np.asarray(image.transpose(undo[orientation]) if orientation in undo else image)


def test_both_transports_agree(served: Served) -> None:
    picture = encode(Image.fromarray(scene()))
    for output in ("mask", "cutout", "both-as-json"):
        for frame in ("sensor", "display"):
            http, grpc = (served.call(transport, picture, output=output, frame=frame) for transport in ("http", "grpc"))
            assert http.pop("request_id") != grpc.pop("request_id")
            assert http == grpc


@pytest.mark.parametrize("size", [(1, 1), (33, 17), (97, 161), (640, 481), (3001, 7)])
@on_both
def test_a_mask_has_the_photograph_s_exact_size(served: Served, transport: str, size: tuple[int, int]) -> None:
    image = Image.open(io.BytesIO(base64.b64decode(served.call(transport, tiny.picture(1, size))["mask"])))
    assert (image.format, image.mode, image.size) == ("PNG", "L", size)
    assert set(np.unique(np.asarray(image))) <= {0, 255}


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_both_frames_of_every_orientation(served: Served, format_: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = stored_as(scene(), orientation)
    picture = encode(Image.fromarray(stored), format_, exif=exif)
    for frame, pixels in (("sensor", stored), ("display", scene())):
        answer = served.call("http", picture, frame=frame, output="both-as-json")
        mask, cutout = decoded(answer["mask"]), decoded(answer["cutout"])
        assert agrees(mask, pixels), frame
        assert (answer["report"]["width"], answer["report"]["height"]) == (pixels.shape[1], pixels.shape[0])
        assert np.array_equal(cutout[..., 3], mask)
        assert np.median(np.abs(cutout[..., :3].astype(int) - pixels)) <= 3
    default = served.call("grpc", picture)
    assert agrees(decoded(default["mask"]), stored), "the sensor's frame is the default"


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_jpeg_is_shrunk_for_the_model_and_not_for_the_mask(served: Served, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    large = scene(1999, 1201)
    picture = encode(Image.fromarray(large), "JPEG", exif=exif)
    assert agrees(decoded(served.call("http", picture)["mask"]), large)
    upright = stored_as(large, {6: 8}.get(orientation, orientation))
    assert agrees(decoded(served.call("http", picture, frame="display")["mask"]), upright)


@on_both
def test_an_empty_scene_gives_an_empty_mask(served: Served, transport: str) -> None:
    """Never stretched by its own range: a wall with a faint gradient stays a wall."""
    wall = np.tile(np.linspace(200, 250, 160, dtype=np.uint8)[None, :, None], (120, 1, 3))
    answer = served.call(transport, encode(Image.fromarray(wall)))
    assert not decoded(answer["mask"]).any()
    assert answer["report"]["empty"] is True
    assert answer["report"]["coverage"] == 0
    assert answer["report"]["components"] == 0
    assert not any(answer["report"]["edges"].values())


@on_both
def test_a_full_scene_gives_a_full_mask(served: Served, transport: str) -> None:
    answer = served.call(transport, encode(Image.new("RGB", (50, 40))))
    assert (decoded(answer["mask"]) == 255).all()
    assert answer["report"]["coverage"] == 1
    assert all(answer["report"]["edges"].values())
    assert answer["report"]["uncertainty"] == pytest.approx(0, abs=1e-6)


@on_both
def test_the_threshold_decides(served: Served, transport: str) -> None:
    """A grey of 40 % brightness is object with probability 0.6."""
    grey = encode(Image.new("RGB", (40, 40), (102, 102, 102)))
    for threshold, coverage in ((0.3, 1), (0.55, 1), (0.65, 0), (0.95, 0)):
        assert served.call(transport, grey, threshold=threshold)["report"]["coverage"] == coverage, threshold
    assert served.call(transport, grey)["report"]["coverage"] == 1


@on_both
def test_the_report(served: Served, transport: str) -> None:
    pixels = np.full((128, 128, 3), 255, np.uint8)
    pixels[:40, 40:80] = 0  # touches the top
    pixels[100:128, 0:28] = 0  # touches left and bottom
    answer = served.call(transport, encode(Image.fromarray(pixels)))["report"]
    assert answer["edges"] == {"top": True, "right": False, "bottom": True, "left": True}
    assert answer["components"] == 2
    assert answer["coverage"] == pytest.approx((40 * 40 + 28 * 28) / 128**2, abs=0.01)
    assert answer["empty"] is False
    assert 0 <= answer["uncertainty"] <= 1


def test_a_picture_is_answered_as_itself(served: Served) -> None:
    response = served.http.post(served.kind.path, content=tiny.picture(), headers={"content-type": "image/png"})
    assert response.headers["content-type"] == "image/png"
    assert response.content.startswith(b"\x89PNG")
    both = served.http.post(served.kind.path, params={"output": "both-as-json"}, content=tiny.picture())
    assert both.headers["content-type"] == "application/json"


@on_both
def test_what_was_not_asked_for_is_not_sent(served: Served, transport: str) -> None:
    assert served.call(transport, tiny.picture(), output="mask").keys() & {"mask", "cutout"} == {"mask"}
    assert served.call(transport, tiny.picture(), output="cutout").keys() & {"mask", "cutout"} == {"cutout"}


def test_notes_reach_the_header(served: Served) -> None:
    first, second = Image.new("RGB", (40, 40), "red"), Image.new("RGB", (40, 40), "blue")
    data = encode(first, "TIFF", save_all=True, append_images=[second])
    response = served.http.post(served.kind.noun, content=data, headers={"accept": "image/png"})
    assert response.headers["content-type"] == "image/png"
    answer = json.loads(response.headers["x-maquette-answer"])
    assert answer["notes"] == ["the file holds several pages; the first was used"]


def blank(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 128, np.uint8)


class TestMask:
    def test_is_cut_at_the_threshold(self) -> None:
        probability = np.repeat(np.array([[0.0, 0.49, 0.5, 0.51, 1.0]], np.float32), 20, axis=0)
        assert full_size_mask(probability, blank(20, 5), (20, 5), 0.5).tolist() == [[0, 0, 255, 255, 255]] * 20

    @pytest.mark.parametrize("threshold", [0.001, 0.999])
    def test_extreme_thresholds(self, threshold: float) -> None:
        """Certain background is never object, certain object always."""
        probability = np.repeat(np.array([[0.0, 1.0]], np.float32), 20, axis=0)
        assert full_size_mask(probability, blank(20, 2), (20, 2), threshold).tolist() == [[0, 255]] * 20

    def test_specks_are_no_components(self) -> None:
        probability = np.zeros((100, 100), np.float32)
        probability[10:20, 10:20], probability[50, 50] = 1, 1
        mask = full_size_mask(probability, blank(100, 100), (100, 100), 0.5)
        assert report(mask, probability, 0.5).components == 1


class TestEdges:
    """A disc on a noisy ground, and what a small network would say of it: a blurred silhouette, a pixel too far right."""

    SIDE, GRID = 512, 64

    @pytest.fixture
    def disc(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(truth bool, photograph uint8, probability float32 of the grid)."""
        rng = np.random.default_rng(5)
        rows, columns = np.mgrid[: self.SIDE, : self.SIDE]
        truth = np.hypot(rows - 250, columns - 260) < 140
        pixels = np.where(truth[..., None], (150, 90, 60), (70, 110, 140)) + rng.normal(0, 12, (self.SIDE, self.SIDE, 3))
        seen = np.roll(truth, self.SIDE // self.GRID, axis=1)
        small = Image.fromarray(seen.astype(np.uint8) * 255).resize((self.GRID, self.GRID), Image.Resampling.BOX)
        blurred = np.asarray(small.filter(ImageFilter.GaussianBlur(1.5)), np.float32) / 255
        return truth, pixels.clip(0, 255).astype(np.uint8), blurred

    @staticmethod
    def wrong(mask: np.ndarray, truth: np.ndarray) -> int:
        return int(np.count_nonzero((mask == 255) != truth))

    def test_follow_the_photograph(self, disc: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
        truth, pixels, probability = disc
        interpolated = full_size_mask(probability, blank(self.SIDE, self.SIDE), truth.shape, 0.5)
        refined = full_size_mask(probability, pixels, truth.shape, 0.5)
        assert self.wrong(interpolated, truth) > 4000, "the fixture is wrong enough to be worth refining"
        assert self.wrong(refined, truth) < 0.1 * self.wrong(interpolated, truth)

    def test_what_is_sure_is_left_as_it_is(self, disc: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
        """A patch of the ground's colour in the middle of the object makes no hole, one of the object's far off no island."""
        truth, pixels, probability = disc
        pixels[230:270, 240:280], pixels[440:500, 440:500] = (70, 110, 140), (150, 90, 60)
        assert self.wrong(full_size_mask(probability, pixels, truth.shape, 0.5), truth) < 500

    def test_leave_no_crumbs(self, disc: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
        """Dots of the other's colour on both sides of the silhouette are neither islands nor holes."""
        truth, pixels, probability = disc
        for radius, colour in ((130, (70, 110, 140)), (152, (150, 90, 60))):
            for angle in np.linspace(0, 6, 9):
                row, column = round(250 + radius * np.sin(angle)), round(260 + radius * np.cos(angle))
                pixels[row - 3 : row + 3, column - 3 : column + 3] = colour
        mask = full_size_mask(probability, pixels, truth.shape, 0.5)
        assert [mahotas.label(mask == value)[1] for value in (0, 255)] == [1, 1]

    @pytest.mark.parametrize("size", [(1, 1), (7, 3001), (97, 161), (1030, 1500)])
    def test_any_size_of_photograph(self, size: tuple[int, int]) -> None:
        rng = np.random.default_rng(1)
        pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        probability = rng.random((40, 24), dtype=np.float32)
        mask = full_size_mask(probability, pixels, size, 0.5)
        assert mask.shape == size
        assert set(np.unique(mask)) <= {0, 255}

    def test_a_shrunk_photograph_serves_as_well(self, disc: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
        truth, pixels, probability = disc
        half = np.asarray(Image.fromarray(pixels).reduce(2))
        assert self.wrong(full_size_mask(probability, half, truth.shape, 0.5), truth) < 0.02 * truth.sum()


class TestWeakRegions:
    def test_are_left_out_whole(self) -> None:
        probability = np.zeros((60, 60), np.float32)
        probability[5:25, 5:25], probability[10, 10] = 0.7, 0.99
        probability[40:50, 40:50] = 0.9
        kept = refine.without_weak(probability, 0.5, 0.98)
        assert np.array_equal(kept[:30], probability[:30])
        assert not kept[30:].any()

    def test_below_the_threshold_nothing_changes(self) -> None:
        probability = np.full((8, 8), 0.4, np.float32)
        assert np.array_equal(refine.without_weak(probability, 0.5, 0.98), probability)

    @pytest.mark.parametrize(("parameters", "empty"), [({}, True), ({"threshold": 0.5}, False)])
    def test_the_manifest_says_how_weak_and_a_threshold_overrules_it(
        self, tmp_path: Path, parameters: dict[str, float], empty: bool
    ) -> None:
        """A grey of 20 % brightness is object with probability 0.8."""
        path = tiny.remove_background(tmp_path, strong=0.9)
        bundle = models.load(path)
        decoded = images.decode(encode(Image.new("RGB", (40, 30), (51, 51, 51))), images.Limits(), images.Frame.DISPLAY)
        outputs = {name: value[0] for name, value in bundle.run(bundle.prepare(decoded.pixels)[None]).items()}
        assert Predictor(bundle).answer(decoded, outputs, Parameters(**parameters)).report.empty is empty


@pytest.mark.parametrize(("make", "reason"), [(tiny.classify, "threshold"), (tiny.embed_latent, "threshold")])
def test_a_bundle_of_another_kind_is_refused(tmp_path: Path, make: Any, reason: str) -> None:
    with pytest.raises(BundleError, match=reason):
        Predictor(models.load(make(tmp_path)))
