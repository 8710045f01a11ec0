"""Many photographs in, one zip of masks out, over HTTP against the service as it runs."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import httpx
import openapi_spec_validator
import pytest
from PIL import Image

from maquette.masks.naming import Tool
from tests.files import encode
from tests.serving import Refused, Served, read


def dark_corner(seed: int = 0) -> bytes:
    """The tiny model takes dark pixels for the object."""
    picture = Image.new("RGB", (64, 48), (230 + seed, 230, 230))
    picture.paste((20, 20, 20), (0, 0, 32, 24))
    return encode(picture, "JPEG")


@pytest.fixture
def served(running: dict[str, Served]) -> Served:
    return running["remove_background"]


def post(served: Served, files: dict[str, bytes], path: str = "/v1/masks/archive", **parameters: Any) -> httpx.Response:
    return served.http.post(path, params=parameters, files=[("images", (name, data)) for name, data in files.items()])


def opened(response: httpx.Response) -> tuple[dict[str, bytes], list[dict[str, Any]]]:
    """The masks by name, and the report."""
    assert (response.status_code, response.headers["content-type"]) == (200, "application/zip"), response.text
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        assert archive.testzip() is None
        content = {name: archive.read(name) for name in archive.namelist()}
    report = [json.loads(line) for line in content.pop("masks.jsonl").splitlines()]
    return content, report


@pytest.mark.parametrize(
    ("tool", "name"),
    [
        (None, "sub/IMG.jpg.png"),
        ("colmap", "sub/IMG.jpg.png"),
        ("metashape", "sub/IMG_mask.png"),
        ("realityscan", "sub/IMG.jpg.mask.png"),
        ("meshroom", "sub/IMG.png"),
        ("odm", "sub/IMG_mask.png"),
        ("openmvs", "sub/IMG.mask.png"),
    ],
)
def test_every_program_finds_its_masks(served: Served, tool: str | None, name: str) -> None:
    masks, report = opened(post(served, {"sub/IMG.jpg": dark_corner()}, **({"for": tool} if tool else {})))
    assert list(masks) == [name]
    assert [(record["file"], record["mask"]) for record in report] == [("sub/IMG.jpg", name)]


def test_a_mask_is_the_one_of_a_single_call(served: Served) -> None:
    files = {f"{number}.jpg": dark_corner(number) for number in range(20)}
    masks, report = opened(post(served, files, threshold=0.4))
    assert list(masks) == [f"{name}.png" for name in files]
    for record, (name, data) in zip(report, files.items(), strict=True):
        single = served.http.post("/v1/remove-background", content=data, params={"threshold": 0.4})
        assert masks[f"{name}.png"] == single.content
        assert record["report"] == json.loads(single.headers["x-maquette-answer"])["report"]


def test_bad_ones_are_lines_of_the_report(served: Served) -> None:
    files = {
        "a.jpg": dark_corner(),
        "b.jpg": b"no image",
        "../c.jpg": dark_corner(),
        "d.jpg": dark_corner(),
        "D.png": dark_corner(),
    }
    masks, report = opened(post(served, files, **{"for": "meshroom"}))
    assert list(masks) == ["a.png"]
    errors = {record["file"]: record["error"]["code"] for record in report if "error" in record}
    assert errors == dict.fromkeys(("../c.jpg", "d.jpg", "D.png"), "PARAMETER_INVALID") | {"b.jpg": "IMAGE_UNDECODABLE"}
    _, report = opened(post(served, {"my statue.jpg": dark_corner()}, **{"for": "odm"}))
    assert "space" in report[0]["error"]["detail"]


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"for": "blender"}, "PARAMETER_INVALID"),
        ({"threshold": 2}, "PARAMETER_INVALID"),
        ({"output": "cutout"}, "PARAMETER_INVALID"),
    ],
)
def test_wrong_parameters_are_problems(served: Served, parameters: dict[str, Any], code: str) -> None:
    with pytest.raises(Refused) as caught:
        read(post(served, {"a.jpg": dark_corner()}, **parameters))
    assert caught.value.code == code


@pytest.mark.parametrize(
    "body", [{"content": b"x"}, {"files": [("other", ("a.jpg", b"x"))]}, {"files": [("images", (None, b"x"))]}]
)
def test_no_files_is_a_problem(served: Served, body: dict[str, Any]) -> None:
    with pytest.raises(Refused) as caught:
        read(served.http.post("/v1/masks/archive", **body))
    assert caught.value.code == "IMAGE_MISSING"


def test_the_path_of_0_1_answers_the_same(served: Served) -> None:
    files = {"a.jpg": dark_corner(), "sub/b.jpg": b"no image"}
    masks, report = opened(post(served, files, path="/v1/masks", **{"for": "metashape"}))
    again, lines = opened(post(served, files, **{"for": "metashape"}))
    assert masks == again
    assert [line["file"] for line in report] == [line["file"] for line in lines] == list(files)


def test_it_is_documented_with_every_program(served: Served) -> None:
    document = served.http.get("/docs.json").json()
    openapi_spec_validator.validate(document)
    (program, *_) = document["paths"]["/v1/masks/archive"]["post"]["parameters"]
    assert program["schema"]["enum"] == list(Tool)


def test_its_place_is_given_back_each_time(served: Served) -> None:
    """Twice as many as may be at work at once, good and bad, one after the other."""
    for _ in range(4):
        opened(post(served, {"a.jpg": dark_corner()}))
        assert post(served, {"a.jpg": dark_corner()}, threshold=2).status_code == 422
