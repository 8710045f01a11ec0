"""The requests that Label Studio makes of an ML backend, answered; what it must not be led to; its export as masks."""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from label_studio_converter import brush
from PIL import Image
from typer.core import TyperGroup as Group
from typer.main import get_command

from maquette.commands import label_studio
from maquette.labelstudio.app import STATUS
from tests.maquette.conftest import ROOT, Run, photograph
from tests.maquette.labelstudio.conftest import PAGE, Running, started
from tests.maquette.server import Server
from tests.serving import free_ports

TOKEN = "0123456789abcdef"
SIZE = (40, 30)


class Pictures(BaseHTTPRequestHandler):
    """Label Studio's side: pictures for who has the token, and what a hostile task could lead to."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.headers.get("Authorization") != f"Token {TOKEN}":
            self.send_error(401)
        elif self.path == "/redirect.jpg":
            self.send_response(302)
            self.send_header("Location", "http://169.254.169.254/latest/meta-data")
            self.end_headers()
        elif self.path == "/endless.jpg":
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(bytes(2**20))
            except OSError:
                pass
        elif self.path.startswith("/data/upload/1/"):
            kind = "no picture" if "broken" in self.path else "picture"
            self.send_response(200)
            self.end_headers()
            self.wfile.write(photograph(20, size=SIZE) if kind == "picture" else b"no picture")
        else:
            self.send_error(404)

    def log_message(self, *words: Any) -> None:
        del words


@pytest.fixture(scope="module")
def pictures() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pictures)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def local_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("local")
    (folder / "root" / "sub").mkdir(parents=True)
    (folder / "root" / "sub" / "b.jpg").write_bytes(photograph(250, size=SIZE))
    (folder / "secret.jpg").write_bytes(photograph(250, size=SIZE))
    return folder / "root"


@pytest.fixture(scope="module")
def backend(services: Server, pictures: str, local_files: Path) -> Iterator[Running]:
    words = ["--url", pictures, "--server", services.address, "--largest", 1, "--local-files", local_files, "--patience", 0]
    with started(*words, MAQUETTE_LABEL_STUDIO_TOKEN=TOKEN) as running:
        yield running


def drawn(region: dict[str, Any]) -> Any:
    """uint8 [height, width] of a brush region."""
    size = region["original_height"], region["original_width"], 4
    return brush.decode_rle(region["value"]["rle"]).reshape(size)[:, :, 3]


def test_health_setup_and_versions(backend: Running) -> None:
    assert backend.http.get("/health").json()["status"] == "UP"
    asked = {"project": "1.1", "schema": PAGE, "hostname": "http://evil.example", "access_token": "x", "extra_params": None}
    version = "remove_background 0.1.0 classify 0.1.0"
    assert backend.http.post("/setup", json=asked).json() == {"model_version": version}
    assert backend.http.get("/versions").json() == {"versions": []}
    assert backend.http.post("/webhook", json={"action": "ANNOTATION_CREATED"}).status_code == 200
    trains = backend.http.post("/webhook", json={"action": "START_TRAINING", "project": {}})
    assert (trains.status_code, trains.json()["code"]) == (501, "UNSUPPORTED")


def test_a_prediction_has_the_mask_and_the_type(backend: Running) -> None:
    answer = backend.predict({"image": "/data/upload/1/a.jpg"}, {"image": "/data/local-files/?d=sub/b.jpg"}).json()
    (dark,), (bright,) = answer["results"]
    mask, kind = dark["result"]
    assert (mask["type"], mask["from_name"], mask["to_name"]) == ("brushlabels", "mask", "photo")
    assert mask["value"]["brushlabels"] == ["Object"]
    pixels = drawn(mask)
    assert pixels.shape == (30, 40)
    assert pixels[10, 10] == 255 and pixels[25, 30] == 0, "the white square of the photograph"
    assert kind["value"] == {"choices": ["Dark"]}
    assert 0 < kind["score"] < 1
    assert dark["model_version"] == "remove_background 0.1.0 classify 0.1.0"
    assert bright["result"][1]["value"] == {"choices": ["bright"]}, "by the alias, which Label Studio stores"


def test_clicks_and_boxes_are_hints(backend: Running) -> None:
    def click(x: float, y: float, positive: bool) -> dict[str, Any]:
        value = {"x": x, "y": y, "width": 0.5, "keypointlabels": ["Object"]}
        size = {"original_width": 40, "original_height": 30}
        return {
            "type": "keypointlabels",
            "from_name": "click",
            "to_name": "photo",
            "is_positive": positive,
            "value": value,
        } | size

    box = {"type": "rectanglelabels", "is_positive": True, "value": {"x": 5, "y": 5, "width": 90, "height": 90}}
    context = {"result": [click(80, 80, True), click(25, 33.4, False), box | {"original_width": 40, "original_height": 30}]}
    (answer,) = backend.predict({"image": "/data/upload/1/a.jpg"}, context=context).json()["results"]
    (mask,) = answer["result"]
    pixels = drawn(mask)
    assert pixels[24, 32] == 255, "what was clicked is object"
    assert pixels[10, 10] == 0, "and what was clicked as background is not"
    wrong = backend.predict({"image": "/data/upload/1/a.jpg"}, context={"result": [{"type": "keypointlabels", "value": 7}]})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "PARAMETER_INVALID")


def test_a_task_without_an_answer_has_no_prediction_and_the_others_theirs(backend: Running) -> None:
    tasks = [{"image": "/data/upload/1/broken.jpg"}, {"image": "/data/upload/1/a.jpg"}, {"other": 1}, {"image": 7}]
    results = backend.predict(*tasks).json()["results"]
    assert [len(one) for one in results] == [0, 1, 0, 0]


HOSTILE = [
    "http://169.254.169.254/latest/meta-data",
    "http://127.0.0.1:1/a.jpg",
    "//127.0.0.1:1/a.jpg",
    "file:///etc/passwd",
    "/etc/passwd",
    "s3://bucket/a.jpg",
    "/redirect.jpg",
    "/endless.jpg",
    "/data/local-files/?d=../secret.jpg",
    "/data/local-files/?d=/etc/passwd",
    "/data/local-files/?d=sub",
    "http://[",
    "\x00",
]


@pytest.mark.parametrize("value", HOSTILE)
def test_no_task_leads_anywhere_else(backend: Running, value: str) -> None:
    Pictures.asked.clear()
    context: dict[str, Any] = {"result": []}  # an interactive request, which says why
    answer = backend.predict({"image": value}, context=context)
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.json()["code"] in ("PARAMETER_INVALID", "FILE_UNREADABLE", "IMAGE_TOO_MANY_BYTES")
    assert all(path in ("/redirect.jpg", "/endless.jpg", "/etc/passwd", "/") for path in Pictures.asked)
    assert backend.http.get("/health").status_code == 200


def test_requests_that_are_none_are_refused(backend: Running) -> None:
    post = backend.http.post
    entity = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]><View><Image name="i" value="$i"/>&e;</View>'
    for path, body in (
        ("/predict", b"no JSON"),
        ("/predict", b"[" * 100_000),
        ("/predict", b"[]"),
        ("/predict", json.dumps({"tasks": [7], "label_config": PAGE}).encode()),
        ("/predict", json.dumps({"tasks": [{}] * 1001, "label_config": PAGE}).encode()),
        ("/predict", json.dumps({"tasks": [], "label_config": 7}).encode()),
        ("/setup", json.dumps({"schema": "<View"}).encode()),
        ("/setup", json.dumps({"schema": "<View/>"}).encode()),
        ("/setup", json.dumps({"schema": entity}).encode()),
    ):
        refused = post(path, content=body)
        assert (refused.status_code, refused.json()["code"]) == (422, "PARAMETER_INVALID"), body[:80]
    chunks = (bytes(2**20) for _ in range(40))
    assert post("/predict", content=chunks).status_code == 413


def test_a_password_and_services_that_are_away(pictures: str) -> None:
    away = ["--server", f"127.0.0.1:{free_ports(1)[0]}", "--patience", 0, "--timeout", 1]
    with started("--url", pictures, *away, MAQUETTE_BACKEND_PASSWORD="correct horse") as backend:
        for credentials in (None, ("x", "wrong"), ("x", "")):
            assert backend.http.get("/health", auth=credentials).status_code == 401
        backend.http.auth = ("curator", "correct horse")
        assert backend.http.get("/health").status_code == 200
        gone = backend.http.post("/setup", json={"schema": PAGE}, timeout=30)
        assert (gone.status_code, gone.json()["code"]) == (503, "UNREACHABLE")
        backend.process.terminate()
        assert "correct horse" not in backend.process.communicate(timeout=30)[1]


def annotated(number: int, image: str, mask: Any, label: str = "Object") -> dict[str, Any]:
    """A task as Label Studio exports it."""
    value = {"format": "rle", "rle": brush.mask2rle(mask), "brushlabels": [label]}
    size = {"original_width": mask.shape[1], "original_height": mask.shape[0], "image_rotation": 0}
    region = {"type": "brushlabels", "from_name": "mask", "to_name": "photo", "value": value} | size
    annotation = {"id": 1, "was_cancelled": False, "updated_at": "2026-11-22T00:00:00Z", "result": [region]}
    older = annotation | {"updated_at": "2026-11-21T00:00:00Z", "result": []}
    return {"id": number, "data": {"image": image}, "annotations": [older, annotation]}


def test_an_export_becomes_masks_to_learn_from(maquette: Run, folder: Path, tmp_path: Path) -> None:
    mask = np.zeros((30, 40), np.uint8)
    mask[5:20, 8:30] = 255
    with Image.open(folder / "a.jpg") as turned:
        exif = turned.getexif()
        exif[0x0112] = 6  # the camera was held upright: 30 x 40 as it is seen
        turned.save(folder / "my photo (1).jpg", exif=exif)
    upright = np.zeros((40, 30), np.uint8)
    upright[0:10, 20:30] = 255  # above, to the right
    export = [
        annotated(1, "/data/upload/1/0a1b2c3d-a.jpg", mask),
        annotated(2, "/data/local-files/?d=anything/sub/c.png", mask),
        annotated(3, "/data/upload/1/0a1b2c3d-my_photo_1.jpg", upright),
        annotated(4, "/data/upload/1/0a1b2c3d-unknown.jpg", mask),
        annotated(5, "/data/upload/1/0a1b2c3d-b.JPG", mask[:, :20]),
        {"id": 6, "data": {"image": "/data/upload/1/0a1b2c3d-b.JPG"}, "annotations": []},
    ]
    (tmp_path / "export.json").write_text(json.dumps(export))
    words = ["label-studio", "masks", "export.json", "photos", "-o", "corrected"]
    done = maquette(*words)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        "3 written, 0 the same, 0 kept, 2 failed; masks in corrected. Next: maquette mask"
    )
    assert "task 4: None of the photographs" in done.stderr and "task 5: What was drawn is of" in done.stderr
    made = {path.relative_to(tmp_path / "corrected").as_posix() for path in (tmp_path / "corrected").rglob("*.png")}
    assert made == {"a.jpg.png", "sub/c.png.png", "my photo (1).jpg.png"}
    with Image.open(tmp_path / "corrected" / "a.jpg.png") as same:
        assert np.array_equal(np.asarray(same), mask)
    with Image.open(tmp_path / "corrected" / "my photo (1).jpg.png") as stored:
        assert stored.size == (40, 30)
        assert np.array_equal(np.asarray(stored.transpose(Image.Transpose.ROTATE_270)), upright)

    before = {path: path.read_bytes() for path in (tmp_path / "corrected").rglob("*.png")}
    mine = io.BytesIO()
    Image.new("L", (40, 30), 255).save(mine, "PNG")
    (tmp_path / "corrected" / "a.jpg.png").write_bytes(mine.getvalue())
    again = maquette(*words)
    assert again.stderr.splitlines()[-1].startswith("0 written, 2 the same, 1 kept, 2 failed;")
    assert (tmp_path / "corrected" / "a.jpg.png").read_bytes() == mine.getvalue(), "a person's"
    maquette(*words, "--replace-mine")
    assert {path: path.read_bytes() for path in (tmp_path / "corrected").rglob("*.png")} == before


@pytest.mark.parametrize("text", ["no JSON", "{}", "[1]", '[{"data": 1}]'])
def test_an_export_that_is_none(maquette: Run, folder: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "export.json").write_text(text)
    refused = maquette("label-studio", "masks", "export.json", "photos", "-o", "corrected")
    assert refused.returncode == 2
    assert "is no export of Label Studio" in refused.stderr


def test_an_export_that_would_fill_the_memory(maquette: Run, folder: Path, tmp_path: Path) -> None:
    task = annotated(1, "/data/upload/1/a.jpg", np.zeros((30, 40), np.uint8))
    region = task["annotations"][1]["result"][0]
    region["value"]["rle"][:4] = [255, 255, 255, 255]
    (tmp_path / "export.json").write_text(json.dumps([task]))
    refused = maquette("label-studio", "masks", "export.json", "photos", "-o", "corrected")
    assert refused.returncode == 1 and "task 1: A brush region is not of 40 x 30 pixels." in refused.stderr


def test_the_page_names_every_option_and_every_status() -> None:
    page = (ROOT / "docs" / "label-studio.md").read_text("utf-8")
    settings = page.partition("## Settings")[2]
    shown = get_command(label_studio.app)
    assert isinstance(shown, Group)
    options = {option for parameter in shown.commands["serve"].params for option in parameter.opts}
    assert options == set(re.findall(r"`(--[a-z-]+)`", settings.partition("A picture is read")[0]))
    for code, status in STATUS.items():
        assert re.search(rf"^\| {status} \|.*`{code}`", settings, re.MULTILINE), code
