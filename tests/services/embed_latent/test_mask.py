"""The museum's wall taken away before the photograph is embedded, over both transports."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from services.common import images, models
from services.common.models import BundleError
from services.embed_latent.predictor import Masker, on_white
from tests import tiny
from tests.files import encode
from tests.serving import Refused, Served, on_both
from training.embed_latent import background


@pytest.fixture(scope="module")
def masking(serve: Callable[..., Served], bundles: Path) -> Served:
    """The tiny mask model takes dark pixels for the object."""
    served = serve("embed_latent", mask_model=bundles / "remove_background" / "0.0.1", timeout_seconds=150)
    return served.until_ready()


def figure(wall: tuple[int, int, int], size: tuple[int, int] = (64, 64)) -> bytes:
    """A dark figure before a light wall."""
    picture = Image.new("RGB", size, wall)
    picture.paste((60, 30, 0), (size[0] // 4, size[1] // 4, size[0] // 2, size[1] // 2))
    return encode(picture)


WALLS = ((255, 255, 255), (250, 180, 200), (160, 200, 255))


@on_both
@pytest.mark.parametrize("size", [(64, 64), (200, 400), (48, 20)])
def test_another_wall_is_no_other_point(masking: Served, transport: str, size: tuple[int, int]) -> None:
    bare = [masking.call(transport, figure(wall, size))["latent"] for wall in WALLS]
    masked = [masking.call(transport, figure(wall, size), mask=True)["latent"] for wall in WALLS]
    assert np.ptp(bare, axis=0).max() > 0.5
    # What is left is the edge, where wall and figure share a pixel.
    assert np.ptp(masked, axis=0).max() < 0.2 * np.ptp(bare, axis=0).max()
    assert masked[0] == pytest.approx(bare[0], abs=0.15)


@on_both
def test_no_figure_leaves_the_photograph_and_says_so(masking: Served, transport: str) -> None:
    empty = encode(Image.new("RGB", (40, 30), (230, 200, 240)))
    plain, masked = (masking.call(transport, empty, mask=mask) for mask in (False, True))
    assert masked["latent"] == plain["latent"]
    assert (len(plain["notes"]), len(masked["notes"])) == (0, 1)
    assert "no figure was found" in masked["notes"][0]


def test_both_transports_agree(masking: Served) -> None:
    http, grpc = (masking.call(transport, tiny.picture(4), mask=True) for transport in ("http", "grpc"))
    assert http.pop("request_id") != grpc.pop("request_id")
    assert http == grpc


@on_both
def test_without_a_mask_model(running: dict[str, Served], transport: str) -> None:
    with pytest.raises(Refused, match="This service has no mask model") as caught:
        running["embed_latent"].call(transport, tiny.picture(), mask=True)
    assert caught.value.code == "PARAMETER_INVALID"
    running["embed_latent"].call(transport, tiny.picture(), mask=False)


def test_a_mask_model_that_is_none(serve: Callable[..., Served], bundles: Path) -> None:
    served = serve("embed_latent", mask_model=bundles / "classify" / "0.0.1").until_listening()
    with pytest.raises(Refused) as caught:
        served.call("http", tiny.picture())
    assert caught.value.code == "NOT_READY"
    assert "threshold" in served.stop()
    with pytest.raises(BundleError):
        Masker(models.load(bundles / "embed_latent" / "0.0.1"))


def test_the_bars_of_a_letterbox_are_no_figure(bundles: Path) -> None:
    """A line of the wall would stay along them."""
    masker = Masker(models.load(bundles / "remove_background" / "0.0.1"))
    pixels = np.asarray(Image.open(io.BytesIO(figure((250, 180, 200), (40, 100)))).convert("RGB"))

    def prepare(picture: np.ndarray) -> np.ndarray:
        return images.resize(picture, (64, 64), images.ResizeRule.LETTERBOX)

    mask = masker.mask(pixels, prepare)
    assert mask is not None
    rows, columns = np.nonzero(mask)
    assert (rows.min(), columns.min()) >= (14, 24)
    assert (on_white(prepare(pixels), mask)[:, :23] == 255).all()


def test_serving_lays_a_figure_on_white_as_training_does() -> None:
    pixels = np.asarray(Image.open(io.BytesIO(tiny.picture(3, (224, 224)))).convert("RGB"))
    y, x = np.mgrid[:224, :224]
    mask = (x - 100) ** 2 + (y - 120) ** 2 < 60**2
    ours = on_white(pixels, mask).astype(int)
    theirs = background.replace(pixels, mask, np.full(3, 255, np.uint8)).astype(int)
    assert np.abs(ours - theirs).max() <= 8
    assert np.abs(ours - theirs).mean() < 0.1
