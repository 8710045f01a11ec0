"""``maquette ... --manifest``: a real image server, real services, and Web Annotations by canvas."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jsonschema
import pytest
from PIL import Image
from typer.testing import CliRunner

from maquette.commands.app import app
from maquette.iiif import manifest
from tests.serving import ROOT, Served
from tests.sources import iip
from tests.sources.conftest import Hosts

OBJECT = "https://museum.example/iiif/object-7"
NAMES = ("front", "back")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[iip.Images]:
    home = tmp_path_factory.mktemp("iip-manifest")
    for seed, name in enumerate(NAMES):
        iip.pyramid(home / f"{name}.tif", iip.photograph(seed, 800, 600))
    with iip.serving(home, home) as images:
        yield images


def version_3(server: iip.Images, lost: str) -> dict[str, Any]:
    """Two canvases twice as large as their photographs, a third whose photograph is lost, and one without any."""

    def canvas(name: str, body: Any) -> dict[str, Any]:
        id_ = f"{OBJECT}/canvas/{name}"
        annotation = {"id": f"{id_}/a", "type": "Annotation", "motivation": "painting", "body": body, "target": id_}
        pages = [{"id": f"{id_}/p", "type": "AnnotationPage", "items": [annotation]}]
        label = {"en": [f"The {name} / side"]}
        return {"id": id_, "type": "Canvas", "label": label, "width": 1600, "height": 1200, "items": pages}

    def picture(name: str) -> dict[str, Any]:
        service = [{"@id": server.at(f"{name}.tif"), "@type": "ImageService2", "profile": "level1"}]
        return {"id": server.at(f"{name}.tif/full/full/0/default.jpg"), "type": "Image", "service": service}

    bodies = {
        "front": picture("front"),
        "back": {"type": "Choice", "items": [picture("back"), picture("front")]},
        "lost": {"id": lost, "type": "Image"},
        "film": {"id": "https://museum.example/film.mp4", "type": "Video"},
    }
    context = "http://iiif.io/api/presentation/3/context.json"
    canvases = [canvas(name, body) for name, body in bodies.items()]
    return {"@context": context, "id": OBJECT, "type": "Manifest", "label": {"en": ["A bust"]}, "items": canvases}


def _version_2(server: iip.Images) -> dict[str, Any]:
    def canvas(name: str) -> dict[str, Any]:
        service = {"@context": "http://iiif.io/api/image/2/context.json", "@id": server.at(f"{name}.tif")}
        resource = {"@id": server.at(f"{name}.tif/full/full/0/default.jpg"), "@type": "dctypes:Image", "service": service}
        images = [{"@type": "oa:Annotation", "motivation": "sc:painting", "resource": resource}]
        return {"@id": f"{OBJECT}/canvas/{name}", "label": name, "width": 1600, "height": 1200, "images": images}

    return {"@id": OBJECT, "@type": "sc:Manifest", "sequences": [{"canvases": [canvas(name) for name in NAMES]}]}


@pytest.fixture
def given(server: iip.Images, hosts: Hosts, tmp_path: Path) -> Path:
    """A manifest as a file."""
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(version_3(server, hosts.at("missing.jpg"))))
    return path


@pytest.fixture
def maquette(running: dict[str, Served], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run a command in ``tmp_path`` against the service of its own."""
    services = {"classify": "classify", "cluster": "cluster_assign", "embed": "embed_latent", "mask": "remove_background"}

    def run(command: str, *arguments: object) -> Any:
        served = running[services[command]]
        monkeypatch.chdir(tmp_path)
        words = [command, *map(str, arguments), "--server", f"{served.host}:{served.grpc_port}"]
        return CliRunner().invoke(app, words, catch_exceptions=False)

    return run


def _page(path: Path) -> list[dict[str, Any]]:
    """The annotations of a page, each held to the schema of Web Annotations."""
    page = json.loads(path.read_text())
    assert page["type"] == "AnnotationPage" and page["@context"][0] == "http://www.w3.org/ns/anno.jsonld"
    schema = json.loads((ROOT / "docs" / "schemas" / "annotation-page.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(page)
    return list(page["items"])


def test_types_by_canvas(maquette: Callable[..., Any], given: Path, server: iip.Images, tmp_path: Path) -> None:
    before = len(server.asked)
    done = maquette("classify", "--manifest", given, "-o", "types.json")
    assert done.exit_code == 1, done.output
    for canvas, code in (("lost", "SOURCE_FAILED"), ("film", "IMAGE_MISSING")):
        assert any(f"{OBJECT}/canvas/{canvas}" in line and code in line for line in done.stderr.splitlines()), done.stderr
    items = _page(tmp_path / "types.json")
    assert [item["target"]["id"] for item in items] == [f"{OBJECT}/canvas/{name}" for name in NAMES]
    for item in items:
        assert item["motivation"] == "classifying"
        assert item["target"]["partOf"] == {"id": OBJECT, "type": "Manifest"}
        assert item["body"]
    # The model takes 32 x 32: 64 pixels of the shorter side are enough.
    asked = {path for path in server.asked[before:] if "full" in path}
    assert asked == {f"{name}.tif/full/86,/0/default.jpg" for name in NAMES}
    files = sorted((tmp_path / "types.photographs").iterdir())
    assert [file.name.rpartition("-")[0] for file in files] == ["The-back-side", "The-front-side"]

    again = len(server.asked)
    assert maquette("classify", "--manifest", given, "-o", "types.json").exit_code == 1
    assert len(server.asked) == again, "what is there is not fetched again"
    assert [item["id"] for item in _page(tmp_path / "types.json")] == [item["id"] for item in items]


def test_a_table_has_the_canvases_as_ids(maquette: Callable[..., Any], given: Path, tmp_path: Path) -> None:
    assert maquette("classify", "--manifest", given, "-o", "types.csv").exit_code == 1
    rows = (tmp_path / "types.csv").read_text().splitlines()
    assert len(rows) == 5
    assert f"{OBJECT}/canvas/front" in rows[1] and "SOURCE_FAILED" in rows[3]


def test_masks_by_canvas(maquette: Callable[..., Any], given: Path, server: iip.Images, tmp_path: Path) -> None:
    assert maquette("mask", "--manifest", given, "-o", "masks", "--report", "pages/masks.json").exit_code == 2
    (tmp_path / "pages").mkdir()
    done = maquette("mask", "--manifest", given, "-o", "masks", "--report", "pages/masks.json")
    assert done.exit_code == 1, done.output
    items = _page(tmp_path / "pages" / "masks.json")
    assert len(items) == 2
    for item in items:
        mask = tmp_path / "pages" / unquote(item["body"]["id"])
        with Image.open(mask) as opened:
            assert opened.size == (item["body"]["width"], item["body"]["height"]) == (800, 600)
            box = opened.getbbox()
        assert box
        region = item["target"]["selector"]["value"].removeprefix("xywh=").split(",")
        left, top, width, height = map(int, region)
        assert [left, top, left + width, top + height] == pytest.approx([2 * side for side in box], abs=2)


@pytest.mark.parametrize(("command", "motivation"), [("cluster", "tagging"), ("embed", "describing")])
def test_groups_and_vectors_of_version_2_by_address(
    maquette: Callable[..., Any], server: iip.Images, hosts: Hosts, tmp_path: Path, command: str, motivation: str
) -> None:
    hosts.second.pages["/old/manifest"] = json.dumps(_version_2(server)).encode()
    address = f"http://127.0.0.1:{hosts.second.port}/old/manifest"
    done = maquette(command, "--manifest", address, "-o", "page.json")
    assert done.exit_code == 0, done.output
    items = _page(tmp_path / "page.json")
    assert [(item["target"]["id"], item["motivation"]) for item in items] == [
        (f"{OBJECT}/canvas/{name}", motivation) for name in NAMES
    ]
    if command == "embed":
        assert json.loads(items[0]["body"]["value"])["latent"]


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"[]",
        b'{"items": 7}',
        b'{"type": "Collection", "items": [{"type": "Manifest", "id": "a"}]}',
        b'{"sequences": []}',
        b'{"items": [{"type": "Canvas"}]}',
        b'{"items": [7]}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_manifest(maquette: Callable[..., Any], tmp_path: Path, said: bytes) -> None:
    (tmp_path / "wrong.json").write_bytes(said)
    done = maquette("classify", "--manifest", "wrong.json", "-o", "page.json")
    assert done.exit_code == 2, done.output
    assert "wrong.json" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "page.json").exists()


def test_what_does_not_go_together(maquette: Callable[..., Any], given: Path, hosts: Hosts, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(iip.encoded(iip.photograph(0, 8, 8)))
    for arguments in (
        ("classify",),
        ("classify", "a.png", "--manifest", given, "-o", "page.json"),
        ("classify", "--manifest", given),
        ("classify", "--manifest", given, "-o", "page.json", "--id-from", "stem"),
        ("classify", "--manifest", given, "-o", "page.json", "--format", "linked-art"),
        ("mask", "--manifest", given, "-o", "masks", "--watch"),
        ("cluster", "--manifest", "nowhere.json", "-o", "page.json"),
        ("embed", "--manifest", hosts.at("missing"), "-o", "page.json"),
        ("embed", "--manifest", "http://[::/", "-o", "page.json"),
    ):
        done = maquette(*arguments)
        assert done.exit_code == 2, (arguments, done.output)
        assert done.stderr.startswith("maquette: ") and not (tmp_path / "page.json").exists()


def test_a_canvas_that_shows_a_part_of_an_image(tmp_path: Path) -> None:
    image = {"id": "https://a.example/b.jpg", "type": "Image"}
    body = {"type": "SpecificResource", "source": image, "selector": {"type": "ImageApiSelector"}}
    annotation = {"motivation": ["painting"], "body": [body]}
    canvas = {"id": "c", "type": "Canvas", "label": {"none": []}, "items": [{"items": [annotation]}]}
    (tmp_path / "manifest.json").write_text(json.dumps({"items": [canvas]}))
    read = manifest.read(str(tmp_path / "manifest.json"))
    assert read.canvases == (manifest.Canvas("c", "", 0, 0, "https://a.example/b.jpg", ""),)
