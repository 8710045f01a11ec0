"""Hints and adapters as callers meet them: the tiny model takes what is dark for object, and a person knows better."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf import json_format
from PIL import Image

from protos.maquette.remove_background.v1 import remove_background_pb2 as pb
from services.remove_background.adapters import MOST_CHARACTERS, MOST_EXAMPLES
from services.remove_background.hints import MOST_POINTS, MOST_VERTICES
from tests import tiny
from tests.files import encode
from tests.serving import Refused, Served, as_dict, on_both, read, until

ORIENTATION = 0x0112
RED, GREEN = (150, 40, 40), (40, 150, 40)


@pytest.fixture
def served(running: dict[str, Served]) -> Served:
    return running["remove_background"]


def two(width: int = 320, height: int = 200) -> np.ndarray:
    """Two blocks, red on the left and green on the right, as dark as one another, on white."""
    pixels = np.full((height, width, 3), 250, np.uint8)
    pixels[height // 4 : height * 3 // 4, width // 8 : width * 3 // 8] = RED
    pixels[height // 4 : height * 3 // 4, width * 5 // 8 : width * 7 // 8] = GREEN
    return pixels


def only_red(pixels: np.ndarray) -> np.ndarray:
    return np.where((pixels == RED).all(-1), 255, 0).astype(np.uint8)


def picture(pixels: np.ndarray, **options: Any) -> bytes:
    return encode(Image.fromarray(pixels), **options)


def point(x: float, y: float, mark: str = "background") -> dict[str, Any]:
    return {"x": x, "y": y, "mark": mark}


CLICKS = [point(240, 100), point(80, 100, "object")]


def ask(served: Served, transport: str, image: bytes, hints: Any = None, adapter: Any = None, **others: Any) -> np.ndarray:
    """The mask [h, w]; hints and adapter as JSON gives them."""
    if transport == "http":
        values = {"hints": hints, "adapter": adapter}
        fields = {name: json.dumps(value) for name, value in values.items() if value is not None}
        response = served.http.post(served.kind.path, files={"image": ("a.png", image)}, data=fields, params=others)
        return decoded(read(response)["mask"])
    values = others | {"hints": message(hints), "adapter": adapter and json_format.ParseDict(adapter, pb.Adapter())}
    try:
        return decoded(as_dict(served.stub.RemoveBackground(served.kind.request(image, **values)))["mask"])
    except grpc.RpcError as error:
        raise Refused.from_grpc(error) from None


def message(hints: Any) -> pb.Hints | None:
    if hints is None:
        return None
    marks = {"object": pb.MARK_OBJECT, "background": pb.MARK_BACKGROUND}

    def number(value: Any) -> Any:
        return marks.get(value, 0)

    return pb.Hints(
        points=[pb.Point(**{**one, "mark": number(one["mark"])}) for one in hints.get("points", ())],
        strokes=[
            pb.Stroke(
                vertices=[pb.Vertex(x=x, y=y) for x, y in one["vertices"]], width=one.get("width"), mark=number(one["mark"])
            )
            for one in hints.get("strokes", ())
        ],
        box=pb.Box(**hints["box"]) if "box" in hints else None,
    )


def decoded(field: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(field))))


def learn(served: Served, transport: str, examples: list[tuple[bytes, Any]], **query: Any) -> dict[str, Any]:
    """The adapter, as JSON, from photographs with the bytes of a mask or hints."""
    if transport == "http":
        files: list[Any] = []
        for image, truth in examples:
            named = ("masks", ("m.png", truth)) if isinstance(truth, bytes) else ("hints", ("h.json", json.dumps(truth)))
            files += [("images", ("a.png", image)), named]
        return read(served.http.post("/v1/adapters", files=files, params=query))

    def request(image: bytes, truth: Any) -> pb.AdaptRequest:
        given = {"mask": truth} if isinstance(truth, bytes) else {"hints": message(truth)}
        return pb.AdaptRequest(image=image, frame=f"FRAME_{query.get('frame', 'sensor').upper()}", **given)

    try:
        answers = list(served.stub.Adapt(iter([request(*example) for example in examples])))
    except grpc.RpcError as error:
        raise Refused.from_grpc(error) from None
    assert [answer.HasField("adapter") for answer in answers] == [False] * (len(examples) - 1) + [True]
    return as_dict(answers[-1].adapter)


def examples(count: int) -> list[tuple[bytes, bytes]]:
    views = [two(320 + 16 * i, 200 + 8 * i) for i in range(count)]
    return [(picture(view), picture(only_red(view))) for view in views]


@on_both
def test_two_clicks_tell_one_thing_from_another(served: Served, transport: str) -> None:
    pixels = two()
    assert ask(served, transport, picture(pixels))[100, 240] == 255
    mask = ask(served, transport, picture(pixels), {"points": CLICKS})
    assert (mask == only_red(pixels)).mean() > 0.95


@on_both
def test_both_transports_and_the_json_body_agree(served: Served, transport: str) -> None:
    hints = {"points": [point(240.5, 100)], "strokes": [{"vertices": [[20, 20], [60, 30]], "mark": "object"}]}
    image = picture(two())
    body = {"image": base64.b64encode(image).decode(), "hints": hints, "output": "mask", "id": "mine"}
    response = served.http.post(served.kind.path, json=body)
    assert read(response)["id"] == "mine"
    assert np.array_equal(decoded(read(response)["mask"]), ask(served, transport, image, hints))


@on_both
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("frame", ["sensor", "display"])
def test_a_marked_place_is_what_it_was_marked_as_in_every_frame(
    served: Served, transport: str, orientation: int, frame: str
) -> None:
    """The marks lie where the network says otherwise, a pixel from the corner among them."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = two(240, 150)
    turned = frame == "display" and orientation >= 5
    width, height = (150, 240) if turned else (240, 150)
    hints = {
        "points": [point(width - 1, 0, "object"), point(width // 2, height // 2, "object")],
        "strokes": [{"vertices": [[1, height - 2], [width - 2, height - 2]], "width": 3, "mark": "object"}],
    }
    mask = ask(served, transport, picture(stored, exif=exif), hints, frame=frame)
    assert mask.shape == (height, width)
    assert mask[0, width - 1] == mask[height // 2, width // 2] == 255
    assert (mask[height - 2, 1 : width - 1] == 255).all()


@on_both
def test_the_object_is_within_the_box(served: Served, transport: str) -> None:
    pixels = two()
    box = {"left": 150, "top": 10, "right": 310, "bottom": 190}
    mask = ask(served, transport, picture(pixels), {"box": box})
    assert not mask[:, :150].any()
    assert not mask[:, 310:].any()
    assert mask[100, 240] == 255


@on_both
def test_a_cut_out_obeys_too_and_a_large_jpeg_is_seen_whole(served: Served, transport: str) -> None:
    pixels = two(2000, 1250)
    hints = {"points": [point(1500, 600), point(500, 600, "object")]}
    mask = ask(served, transport, picture(pixels, format_="JPEG", quality=95), hints)
    assert mask.shape == (1250, 2000)
    assert (mask == only_red(pixels)).mean() > 0.95


WRONG = {
    "outside": {"points": [point(320, 10)]},
    "negative": {"points": [point(-1, 10)]},
    "no mark": {"points": [point(5, 5, "perhaps")]},
    "empty stroke": {"strokes": [{"vertices": [], "mark": "object"}]},
    "thin stroke": {"strokes": [{"vertices": [[1, 1]], "width": 0, "mark": "object"}]},
    "box of nothing": {"box": {"left": 5, "top": 5, "right": 5, "bottom": 9}},
    "too many points": {"points": [point(1, 1)] * (MOST_POINTS + 1)},
    "too many vertices": {"strokes": [{"vertices": [[1, 1]] * MOST_VERTICES, "mark": "object"}] * 2},
    "no number": {"points": [point(float("nan"), 1)]},
}


@on_both
@pytest.mark.parametrize("name", WRONG)
def test_wrong_hints_are_refused(served: Served, transport: str, name: str) -> None:
    with pytest.raises(Refused) as caught:
        ask(served, transport, picture(two()), WRONG[name])
    assert caught.value.code == "PARAMETER_INVALID"


@pytest.mark.parametrize("text", ["[", "[]", "7", '{"points": 7}', '{"strange": []}', "[" * 5000, "null"])
def test_hints_that_are_no_hints(served: Served, text: str) -> None:
    response = served.http.post(served.kind.path, files={"image": ("a.png", picture(two()))}, data={"hints": text})
    assert response.status_code == (200 if text == "null" else 422)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"image": 7}', b'{"image": "%%"}', b"[" * 100_000])
def test_a_json_body_that_has_no_photograph(served: Served, body: bytes) -> None:
    response = served.http.post(served.kind.path, content=body, headers={"content-type": "application/json"})
    assert response.json()["code"] == "IMAGE_MISSING"


@on_both
def test_what_is_learnt_from_two_masks_carries_to_a_third_photograph(served: Served, transport: str) -> None:
    adapter = learn(served, transport, examples(2))
    assert adapter["dice_after"] > adapter["dice_before"]
    assert [example["from_hints"] for example in adapter["examples"]] == [False, False]
    assert len(json_format.ParseDict(adapter, pb.Adapter()).SerializeToString()) < 64 * 1024
    other = two(400, 300)[:, ::-1]
    before, after = ask(served, transport, picture(other)), ask(served, transport, picture(other), adapter=adapter)
    wanted = only_red(other)
    assert (after != wanted).sum() < (before != wanted).sum() / 2


@on_both
def test_one_example_cannot_be_measured_and_strokes_teach_as_masks_do(served: Served, transport: str) -> None:
    adapter = learn(served, transport, [(picture(two()), {"points": CLICKS})])
    assert "dice_after" not in adapter
    assert adapter["examples"][0]["from_hints"]
    mask = ask(served, transport, picture(two(400, 300)), adapter=adapter)
    assert (mask == only_red(two(400, 300))).mean() > 0.9


@on_both
def test_an_adapter_and_hints_together(served: Served, transport: str) -> None:
    adapter = learn(served, transport, examples(2))
    mask = ask(served, transport, picture(two()), {"points": [point(240, 100, "object")]}, adapter)
    assert mask[100, 240] == 255
    assert mask[100, 80] == 255


@on_both
@pytest.mark.parametrize("frame", ["sensor", "display"])
def test_the_masks_of_examples_are_in_the_frame_asked_for(served: Served, transport: str, frame: str) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    mask = Image.fromarray(only_red(two()))
    mask = mask.transpose(Image.Transpose.ROTATE_270) if frame == "display" else mask
    adapter = learn(served, transport, [(picture(two(), exif=exif), encode(mask))], frame=frame)
    assert (ask(served, transport, picture(two()), adapter=adapter) == only_red(two())).mean() > 0.95


@on_both
@pytest.mark.parametrize(
    "change",
    [{"version": 2}, {"weights": []}, {"weights": [1.0, 2.0]}, {"weights": [1e30] * 3}, {"weights": [0.5] * 20_000}],
    ids=["version", "none", "few", "huge", "many"],
)
def test_a_damaged_adapter(served: Served, transport: str, change: dict[str, Any]) -> None:
    adapter = learn(served, transport, examples(1)) | change
    with pytest.raises(Refused) as caught:
        ask(served, transport, picture(two()), adapter=adapter)
    assert caught.value.code == "PARAMETER_INVALID"


@pytest.mark.parametrize("text", ["[]", "7", "{", '{"weights": "abc"}', '{"strange": 1}', " " * (MOST_CHARACTERS + 1)])
def test_an_adapter_that_is_none(served: Served, text: str) -> None:
    response = served.http.post(served.kind.path, files={"image": ("a.png", picture(two()))}, data={"adapter": text})
    assert response.status_code in (400, 422)


@on_both
def test_examples_that_cannot_be_learnt_from(served: Served, transport: str) -> None:
    image = picture(two())
    wrong: list[tuple[list[tuple[bytes, Any]], str]] = [
        ([(image, picture(only_red(two(100, 100))))], "PARAMETER_INVALID"),
        ([(image, b"not a picture")], "IMAGE_UNDECODABLE"),
        ([(b"not a picture", image)], "IMAGE_UNDECODABLE"),
        ([(image, b"")], "PARAMETER_INVALID"),
        ([(image, {"points": [point(9999, 1)]})], "PARAMETER_INVALID"),
    ]
    for given, code in wrong:
        with pytest.raises(Refused) as caught:
            learn(served, transport, given)
        assert caught.value.code == code
    assert ask(served, transport, image).any()


@on_both
def test_too_many_examples_and_none(served: Served, transport: str) -> None:
    small = (tiny.picture(size=(8, 8)), encode(Image.new("L", (8, 8), 255)))
    with pytest.raises(Refused) as caught:
        learn(served, transport, [small] * (MOST_EXAMPLES + 1))
    assert caught.value.code in ("PARAMETER_INVALID", "IMAGE_MISSING")
    if transport == "grpc":
        with pytest.raises(grpc.RpcError) as ended:
            list(served.stub.Adapt(iter([])))
        assert Refused.from_grpc(ended.value).code == "PARAMETER_INVALID"
    assert learn(served, transport, [small])["version"] == 1


@on_both
def test_a_model_without_features_says_so(
    serve: Callable[..., Served], tmp_path_factory: pytest.TempPathFactory, transport: str
) -> None:
    root: Path = tmp_path_factory.mktemp("plain")
    tiny.remove_background(root, hints=False)
    served = serve("remove_background", models=root).until_ready()
    assert ask(served, transport, picture(two())).any()
    with pytest.raises(Refused) as caught:
        ask(served, transport, picture(two()), {"points": [point(1, 1)]})
    assert caught.value.code == "PARAMETER_INVALID"
    with pytest.raises(Refused) as caught:
        learn(served, transport, examples(1))
    assert caught.value.code == "PARAMETER_INVALID"


@pytest.fixture(scope="module")
def hasty(serve: Callable[..., Served]) -> Served:
    return serve("remove_background", idle_seconds=2).until_ready()


@on_both
def test_two_may_learn_at_a_time_and_who_sends_nothing_is_sent_away(hasty: Served, transport: str) -> None:
    over = threading.Event()

    def nothing() -> Any:
        over.wait(60)
        yield from ()

    idle = [hasty.stub.Adapt(nothing()) for _ in range(2)]

    def crowded() -> bool:
        # On a slow machine they are sent away before a third has come.
        idle[:] = [call if call.is_active() else hasty.stub.Adapt(nothing()) for call in idle]
        return _refusal(hasty, transport) == "OVERLOADED"

    until(crowded, lambda: "a third was let in")
    assert ask(hasty, transport, picture(two())).any(), "masks are answered meanwhile"
    for call in idle:
        with pytest.raises(grpc.RpcError) as ended:
            list(call)
        assert Refused.from_grpc(ended.value).code == "DEADLINE_EXCEEDED"
    over.set()
    assert learn(hasty, transport, examples(1))["version"] == 1


def _refusal(served: Served, transport: str) -> str:
    try:
        learn(served, transport, examples(1))
    except Refused as error:
        return error.code
    return ""
