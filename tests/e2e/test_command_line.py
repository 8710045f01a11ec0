"""The installed client against the services as they really run, on tiny bundles."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import maquette
from tests.maquette.pages import Page, check_closed
from tests.serving import ROOT, Served, alike

COMMANDS = {
    "classify": ["classify"],
    "cluster_assign": ["cluster"],
    "embed_latent": ["embed"],
    "remove_background": ["mask", "-o", "out"],
}


def picture(seed: int, size: tuple[int, int] = (320, 240)) -> bytes:
    """A JPEG of coloured noise: large enough that gRPC's retry buffer does not hold it by default."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=95)
    return stream.getvalue()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twelve photographs in two folders, and one file that is none."""
    for number in range(12):
        path = tmp_path / "photos" / f"room {number % 2}" / f"{number:02}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(number))
    (tmp_path / "photos" / "zz.jpg").write_text("not an image")
    return tmp_path / "photos"


def run(cwd: Path, served: Served, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAQUETTE_")}
    environment |= {"PYTHONPATH": str(ROOT), "MAQUETTE_SERVER": f"{served.host}:{served.grpc_port}"}
    command = [sys.executable, "-m", "maquette", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_folder_through_each_service(running: dict[str, Served], photos: Path, name: str) -> None:
    served = running[name]
    done = run(photos.parent, served, *COMMANDS[name], "photos")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("12 done, 0 skipped, 1 failed"), done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [record["file"] for record in records] == sorted(record["file"] for record in records)
    version = served.get("grpc", "/v1/model")["model"]["version"]
    for record in records:
        assert record["sha256"] == hashlib.sha256((photos.parent / record["file"]).read_bytes()).hexdigest()
        assert record["model_version"] == version
        assert record["request_id"]
    assert records[-1]["error"]["code"] == "IMAGE_UNDECODABLE"
    first = dict(served.call("grpc", (photos / "room 0" / "00.jpg").read_bytes()))
    for field in ("mask", "cutout", "explanation", "request_id"):
        first.pop(field, None)
    assert alike({key: records[0][key] for key in first}, first)


def test_masks_have_the_size_of_their_photographs(running: dict[str, Served], photos: Path) -> None:
    served = running["remove_background"]
    assert run(photos.parent, served, "mask", photos, "-o", "masks", "--for", "colmap").returncode == 1
    masks = sorted((photos.parent / "masks").rglob("*.png"))
    assert len(masks) == 12
    for mask in masks:
        with Image.open(mask) as opened:
            assert (opened.mode, opened.size) == ("L", (320, 240))
            assert set(np.unique(np.asarray(opened))) <= {0, 255}
    again = run(photos.parent, served, "mask", photos, "-o", "masks", "--for", "colmap")
    assert "0 done, 12 skipped, 1 failed" in again.stderr


def test_models_of_one_address(running: dict[str, Served], tmp_path: Path) -> None:
    done = run(tmp_path, running["embed_latent"], "models", "--format", "csv")
    assert done.returncode == 0, done.stderr
    assert [line.split(",")[0] for line in done.stdout.splitlines()] == ["service", "embed_latent"]


def test_more_in_flight_than_the_service_takes(running: dict[str, Served]) -> None:
    served = running["classify"]
    with maquette.Client(f"{served.host}:{served.grpc_port}") as client:
        answers = list(client.classify_many((picture(number) for number in range(300)), in_flight=200))
        assert [answer.index for answer in answers if answer.error is None] == list(range(300))
        with pytest.raises(maquette.ParameterInvalid):
            client.classify(picture(0), top_k=99)
        with pytest.raises(maquette.ServiceFailed, match="UNSUPPORTED"):
            client.space()


def test_maps_of_a_folder(running: dict[str, Served], photos: Path) -> None:
    done = run(photos.parent, running["cluster_assign"], "cluster", "photos", "-o", "report")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 2), done.stderr
    report = Page(photos.parent / "report" / "map.html")
    again = run(photos.parent, running["cluster_assign"], "cluster", "photos", "-o", "report")
    assert "0 done, 12 skipped, 1 failed" in again.stderr
    done = run(photos.parent, running["embed_latent"], "embed", "photos", "-o", "out.parquet", "--page", "plane.html")
    assert done.returncode == 1, done.stderr
    plane = Page(photos.parent / "plane.html")
    for page, service in ((report, "cluster_assign"), (plane, "embed_latent")):
        check_closed(page)
        assert len(page.data["links"]) == 12
        assert "photos/zz.jpg" in page.text
        model = running[service].get("grpc", "/v1/model")["model"]
        assert model["sha256"] in page.text and model["embedding_space"] in page.text
    clusters = running["cluster_assign"].get("grpc", "/v1/clusters")["clusters"]
    assert all(f"Group {cluster['id']}" in report.text for cluster in clusters)
    space = running["embed_latent"].get("grpc", "/v1/space")
    assert plane.data["names"][12:] == [point["id"] for point in space["points"]]
    assert len(plane.data["ellipses"]) == 3


def test_embed_and_decode(running: dict[str, Served]) -> None:
    served = running["embed_latent"]
    with maquette.Client(f"{served.host}:{served.grpc_port}") as client:
        points = [client.embed(picture(number)).latent for number in range(2)]
        pictures = client.decode(points, space=client.space().embedding_space)
        assert [Image.open(io.BytesIO(data)).format for data in pictures] == ["PNG", "PNG"]
        assert client.decode([points[1]]) == [pictures[1]]
        with pytest.raises(maquette.ParameterInvalid, match="another"):
            client.decode(points, space="another")
