"""A IIIF Image API is asked for what the model needs: a real server, and what others may say in their ``info.json``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from protos.maquette.common.v1 import iiif
from tests.serving import Served, on_both
from tests.sources import iip

WIDTH, HEIGHT = 1600, 1200
# The tiny models take 32 x 32; twice that is what the shorter side of a photograph needs.
NEEDED = "86,"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[iip.Images]:
    """It makes no rendition wider than 1,000 pixels."""
    home = tmp_path_factory.mktemp("iip")
    iip.pyramid(home / "bust 1.tif", iip.photograph(1, WIDTH, HEIGHT))
    with iip.serving(home, home, MAX_CVT="1000") as images:
        yield images


@pytest.fixture(scope="module")
def services(serve: Callable[..., Served], server: iip.Images) -> dict[str, Served]:
    source = f"http://127.0.0.1:{server.port}"
    started = {name: serve(name, sources=source, timeout_seconds=60) for name in ("classify", "remove_background")}
    return {name: served.until_ready() for name, served in started.items()}


@on_both
@pytest.mark.parametrize("address", ["", "/info.json", "/full/full/0/default.jpg", "/full/max/0/color.jpg"])
def test_a_classifier_asks_for_a_few_pixels(
    services: dict[str, Served], server: iip.Images, transport: str, address: str
) -> None:
    answer = services["classify"].call(transport, b"", image_url=server.at(f"bust%201.tif{address}"))
    last = address.rpartition("/")[2] if address.startswith("/full") else "default.jpg"
    assert server.asked[-2:] == ["bust%201.tif/info.json", f"bust%201.tif/full/{NEEDED}/0/{last}"]
    whole = services["classify"].call(transport, iip.encoded(iip.photograph(1, WIDTH, HEIGHT)))
    best, same = answer["predictions"][0], whole["predictions"][0]
    assert best["label"] == same["label"]
    assert best["probability"] == pytest.approx(same["probability"], abs=0.02)


@on_both
def test_what_asks_for_another_size_or_a_part_gets_it(services: dict[str, Served], server: iip.Images, transport: str) -> None:
    for path in ("full/40,/0/default.jpg", "0,0,400,400/max/0/default.jpg", "full/max/90/default.jpg"):
        assert services["classify"].call(transport, b"", image_url=server.at(f"bust%201.tif/{path}"))["predictions"]
        assert server.asked[-1] == f"bust%201.tif/{path}"


@on_both
def test_a_mask_is_as_large_as_the_server_gives(services: dict[str, Served], server: iip.Images, transport: str) -> None:
    report = services["remove_background"].call(transport, b"", image_url=server.at("bust%201.tif/info.json"))["report"]
    assert server.asked[-1] == "bust%201.tif/full/max/0/default.jpg"
    assert (report["width"], report["height"]) == (1000, 750)


V2 = {"@context": "http://iiif.io/api/image/2/context.json", "protocol": "http://iiif.io/api/image"}
V3 = {"@context": "http://iiif.io/api/image/3/context.json", "protocol": "http://iiif.io/api/image", "type": "ImageService3"}
LEVEL2 = "http://iiif.io/api/image/2/level2.json"
SIZES = [{"width": 200, "height": 150}, {"width": 400, "height": 300}, {"width": 800, "height": 600}]


@pytest.mark.parametrize(
    ("said", "least", "size"),
    [
        (V2 | {"profile": LEVEL2}, None, "full"),
        (V2 | {"profile": [LEVEL2]}, 300, "400,"),
        (V2 | {"profile": [LEVEL2, {"maxWidth": 500}]}, None, "max"),
        (V2 | {"profile": [LEVEL2, {"maxWidth": 300}]}, 300, "max"),
        (V2 | {"profile": [LEVEL2, {"maxArea": 120_000}]}, 300, "400,"),
        (V2 | {"profile": [LEVEL2, {"maxArea": 119_000}]}, 300, "max"),
        (V2 | {"profile": ["http://iiif.io/api/image/2/level0.json"]}, 300, "full"),
        (V2 | {"profile": ["http://iiif.io/api/image/2/level0.json"], "sizes": SIZES}, 200, "400,"),
        (V2 | {"profile": ["http://iiif.io/api/image/2/level0.json", {"supports": ["sizeByW"]}]}, 300, "400,"),
        (V3 | {"profile": "level2"}, None, "max"),
        (V3 | {"profile": "level1"}, 300, "400,"),
        (V3 | {"profile": "level2"}, 1200, "max"),
        (V3 | {"profile": "level2"}, 5000, "max"),
        (V3 | {"profile": "level2", "maxHeight": 299}, 300, "max"),
        (V3 | {"profile": "level0", "sizes": SIZES}, 300, "400,300"),
        (V3 | {"profile": "level0", "sizes": SIZES}, 700, "max"),
        (V3 | {"profile": "level0", "extraFeatures": ["sizeByW"]}, 300, "400,"),
    ],
)
def test_the_size_that_is_asked_for(said: dict[str, Any], least: int | None, size: str) -> None:
    information = json.dumps(said | {"width": WIDTH, "height": HEIGHT}).encode()
    assert iiif.rendition("/a%2Fb/info.json", information, least) == f"/a%2Fb/full/{size}/0/default.jpg"


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"null",
        b"[1]",
        b'{"width": 1}',
        json.dumps(V3 | {"profile": "level2", "width": 0, "height": 1}).encode(),
        json.dumps(V3 | {"profile": "level2", "width": 1e30, "height": 1}).encode(),
        json.dumps(V3 | {"profile": "level9", "width": 1, "height": 1}).encode(),
        json.dumps({"profile": "level2", "width": 1, "height": 1}).encode(),
        json.dumps(V2 | {"profile": [[LEVEL2], 7, None], "width": 1, "height": 1}).encode(),
        json.dumps(V3 | {"profile": "level2", "sizes": {"a": 1}, "width": 1, "height": 1}).encode(),
        b'{"@context": ' + b"[" * 100_000,
    ],
)
def test_what_is_no_image_of_the_api(said: bytes) -> None:
    with pytest.raises(ValueError, match="Image API"):
        iiif.rendition("/a/info.json", said, 300)
