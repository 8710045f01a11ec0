"""The services as they are shipped, each started once, and a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser import chromium
from tests.serving import KINDS, ROOT, Served

SAMPLES = ROOT / "samples"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as launched:
        yield launched


@pytest.fixture(scope="session")
def shipped(serve: Callable[..., Served]) -> dict[str, Served]:
    """The four services with the models of the repository."""
    started = {name: serve(name, models=ROOT / "exported_models", timeout_seconds=150) for name in KINDS}
    return {name: served.until_ready() for name, served in started.items()}


def origin(served: Served) -> str:
    return str(served.http.base_url).rstrip("/")


@pytest.fixture
def turned(tmp_path: Path) -> Path:
    """The statue as a camera held sideways stores it: EXIF orientation 6, rows and columns changed."""
    from PIL import Image

    with Image.open(SAMPLES / "statue.jpg") as statue:
        exif = Image.Exif()
        exif[0x0112] = 6
        upright = statue.convert("RGB").crop((60, 0, 560, 640))
        upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "IMG 1, turned.jpg", quality=95, exif=exif)
    return tmp_path / "IMG 1, turned.jpg"
