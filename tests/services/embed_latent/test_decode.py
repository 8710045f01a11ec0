"""Points of the plane back into pictures, over both transports."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from PIL import Image

from services.common import models
from services.common.models import BundleError
from services.embed_latent.predictor import Predictor
from tests import tiny
from tests.contract.test_schema import hold
from tests.serving import Refused, Served, as_dict, on_both, read


@pytest.fixture
def served(running: dict[str, Served]) -> Served:
    return running["embed_latent"]


def decode(served: Served, transport: str, latent: list[float], **more: Any) -> dict[str, Any]:
    """The answer as a dict of the proto's fields. Raises :class:`Refused`."""
    if transport == "http":
        body = json.dumps({"latent": latent, **more})
        return read(served.http.post("/v1/decode", content=body, headers={"accept": "application/json"}))
    try:
        return as_dict(served.stub.Decode(served.kind.pb.DecodeRequest(latent=latent, **more), timeout=60))
    except grpc.RpcError as error:
        raise Refused.from_grpc(error) from None


def opened(png: bytes) -> np.ndarray:
    picture = Image.open(io.BytesIO(png))
    assert (picture.format, picture.mode) == ("PNG", "RGB")
    return np.asarray(picture)


@on_both
def test_each_point_has_its_picture(served: Served, transport: str) -> None:
    """The tiny decoder draws one flat colour: red and green are 100 and the point's two values."""
    points = [[float(x), float(-x)] for x in range(-20, 20)]
    answer = decode(served, transport, [value for point in points for value in point], embedding_space="tiny-plane")
    assert (answer["width"], answer["height"], answer["embedding_space"], answer["model_version"]) == (
        6,
        4,
        "tiny-plane",
        "0.0.1",
    )
    assert len(answer["images"]) == len(points)
    for (x, y), encoded in zip(points, answer["images"], strict=True):
        picture = opened(base64.b64decode(encoded))
        assert picture.shape == (4, 6, 3)
        assert (picture == [100 + x, 100 + y, 7]).all()


def test_both_transports_agree(served: Served) -> None:
    http, over_grpc = (decode(served, transport, [3, -4, 0, 0]) for transport in ("http", "grpc"))
    assert http.pop("request_id") != over_grpc.pop("request_id")
    assert http == over_grpc


def test_one_point_is_a_picture_over_http(served: Served) -> None:
    response = served.http.post("/v1/decode", json={"latent": [10, 0]})
    assert response.headers["content-type"] == "image/png"
    assert (opened(response.content) == [110, 100, 7]).all()
    rest = json.loads(response.headers["x-maquette-answer"])
    assert rest["embedding_space"] == "tiny-plane"
    hold(served, response, {"images": [], **rest})
    hold(served, served.http.post("/v1/decode", json={"latent": [10, 0, 1, 1]}))


@on_both
def test_a_photograph_s_own_point_can_be_decoded(served: Served, transport: str) -> None:
    point = served.call(transport, tiny.picture())
    answer = decode(served, transport, point["latent"], embedding_space=point["embedding_space"])
    assert len(answer["images"]) == 1


@on_both
@pytest.mark.parametrize(
    ("latent", "more", "says"),
    [
        ([], {}, "2 values a point, for 1 to 64 points"),
        ([1], {}, "2 values a point"),
        ([1, 2, 3], {}, "2 values a point"),
        ([0, 0] * 65, {}, "1 to 64 points"),
        ([float("nan"), 0], {}, "`latent.0` should be a finite number"),
        ([0, 0, 0, float("-inf")], {}, "`latent.3` should be a finite number"),
        ([0, 0, 30.1, 0], {}, "Point 2 lies 6.02 standard deviations from the centre of the prior; send points within 6"),
        ([3e38, 3e38], {}, "send points within 6"),
        ([0, 0], {"embedding_space": "other-plane"}, "of the space `other-plane`, this service decodes `tiny-plane`"),
        ([0, 0], {"embedding_space": ""}, "of the space ``"),
    ],
)
def test_points_that_cannot_be_decoded(served: Served, transport: str, latent: list[float], more: Any, says: str) -> None:
    with pytest.raises(Refused) as caught:
        decode(served, transport, latent, **more)
    assert caught.value.code == "PARAMETER_INVALID"
    assert says in caught.value.detail


@on_both
def test_the_farthest_point_is_in_the_space(served: Served, transport: str) -> None:
    farthest = served.get(transport, "/v1/space")["farthest_decoded"]
    decode(served, transport, [0, 5 * farthest])
    with pytest.raises(Refused):
        decode(served, transport, [0, 5.01 * farthest])


@pytest.mark.parametrize(
    "body", [b"", b"latent", b"[1, 2]", b"\xff", b"[" * 60_000, b'{"latent": "1 2"}', b'{"points": [0, 0]}']
)
def test_a_body_that_holds_no_points(served: Served, body: bytes) -> None:
    response = served.http.post("/v1/decode", content=body)
    with pytest.raises(Refused) as caught:
        read(response)
    assert caught.value.code == "PARAMETER_INVALID"
    hold(served, response)


def test_a_body_without_end(served: Served) -> None:
    with pytest.raises(Refused, match="too long for points"):
        read(served.http.post("/v1/decode", content=b'{"latent": [' + b"0, " * 10**6))


def test_twenty_million_values_over_grpc(served: Served) -> None:
    before = served.peak()
    with pytest.raises(Refused, match="1 to 64 points"):
        decode(served, "grpc", np.zeros(19_000_000, np.float32))  # type: ignore[arg-type]
    assert served.peak() - before < 400 * 2**20


def test_points_are_counted_and_refused_like_photographs(serve: Callable[..., Served], running: dict[str, Served]) -> None:
    served = running["embed_latent"]
    counts = [served.metric("maquette_items_total", code=code) for code in ("OK", "PARAMETER_INVALID")]
    decode(served, "grpc", [0, 0, 1, 1])
    with pytest.raises(Refused):
        decode(served, "http", [0])
    assert [served.metric("maquette_items_total", code=code) for code in ("OK", "PARAMETER_INVALID")] == [
        counts[0] + 2,
        counts[1] + 1,
    ]
    assert served.metric("maquette_calls_total", transport="http", method="Decode") >= 1
    assert served.metric("maquette_calls_total", transport="grpc", method="Decode") >= 1


@on_both
def test_not_without_a_model(serve: Callable[..., Served], tmp_path: Path, transport: str) -> None:
    (tiny.embed_latent(tmp_path) / "decoder.onnx").unlink()
    served = serve("embed_latent", models=tmp_path).until_listening()
    with pytest.raises(Refused) as caught:
        decode(served, transport, [0, 0])
    assert caught.value.code == "NOT_READY"
    assert "decoder.onnx: missing" in served.stop()


@pytest.mark.parametrize(
    ("decoder", "says"),
    [
        ({"file": "decoder.onnx", "height": 5, "width": 6}, "the manifest says 5 x 6"),
        ({"file": "other.onnx", "height": 4, "width": 6}, "does not list the decoder other.onnx"),
        ({"file": "reference.npz", "height": 4, "width": 6}, "cannot open it"),
        (None, "decoder"),
    ],
)
def test_a_bundle_whose_decoder_is_not_as_it_says(tmp_path: Path, decoder: Any, says: str) -> None:
    folder = tiny.embed_latent(tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["details"]["decoder"] = decoder
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=says):
        Predictor(models.load(folder))


def test_the_key_is_asked_for(serve: Callable[..., Served]) -> None:
    served = serve("embed_latent", api_key="open sesame please").until_ready()
    for transport in ("http", "grpc"):
        with pytest.raises(Refused) as caught:
            decode(served, transport, [0, 0])
        assert caught.value.code == "UNAUTHENTICATED"
    assert (
        served.http.post("/v1/decode", json={"latent": [0, 0]}, headers={"x-api-key": "open sesame please"}).status_code
        == httpx.codes.OK
    )
