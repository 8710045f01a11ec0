"""The real Label Studio, with its real HTTP API: a project, our backend, predictions, a click, a correction, the export.

It runs where `make label-studio` has installed it, in an environment of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from label_studio_converter import brush
from PIL import Image

from tests.maquette.conftest import Run, photograph
from tests.maquette.labelstudio.conftest import PAGE, started
from tests.maquette.labelstudio.test_requests import drawn
from tests.maquette.server import Server
from tests.serving import free_ports

PROGRAM = Path(sys.prefix) / "label-studio" / "bin" / "label-studio"
TOKEN = "0123456789abcdef0123456789abcdef01234567"
pytestmark = [pytest.mark.skipif(not PROGRAM.exists(), reason="run `make label-studio`"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def label_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a fresh Label Studio, as its first user."""
    home, (port,) = tmp_path_factory.mktemp("label-studio"), free_ports(1)
    # Label Studio asks no backend, and calls no webhook of one, at a private address by default.
    variables = {
        "ML_BLOCK_LOCAL_IP": "false",
        "SSRF_PROTECTION_ENABLED": "false",
        "COLLECT_ANALYTICS": "0",
        "LATEST_VERSION_CHECK": "0",
        "SENTRY_DSN": "",
    }
    user = [
        "--username",
        "curator@example.org",
        "--password",
        "maquette-2026",
        "--user-token",
        TOKEN,
        "--enable-legacy-api-token",
    ]
    words = [PROGRAM, "start", "--no-browser", "--data-dir", home, "--port", port, "--internal-host", "127.0.0.1", *user]
    with (
        (home / "log").open("w") as log,
        subprocess.Popen([*map(str, words)], env=os.environ | variables, stdout=log, stderr=log, cwd=home) as process,
    ):
        headers = {"Authorization": f"Token {TOKEN}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60, trust_env=False) as client:
            for _ in range(1200):
                assert process.poll() is None, (home / "log").read_text()[-3000:]
                try:
                    if client.get("/health").is_success:
                        break
                except httpx.TransportError:
                    pass
                time.sleep(0.25)
            yield client
        process.terminate()


def good(response: httpx.Response) -> Any:
    assert response.is_success, response.text
    return response.json()


@pytest.mark.parametrize("kind", ["legacy", "personal"])
def test_from_a_project_to_masks_to_learn_from(
    label_studio: httpx.Client, server: Server, folder: Path, maquette: Run, tmp_path: Path, kind: str
) -> None:
    api, names = label_studio, ["a.jpg", "two words (1).jpg"]
    (folder / names[1]).write_bytes(photograph(60))
    token = TOKEN if kind == "legacy" else good(api.post("/api/token/", json={}))["token"]
    project = good(api.post("/api/projects/", json={"title": kind, "label_config": PAGE}))["id"]
    files = [(name, (name, (folder / name).read_bytes(), "image/jpeg")) for name in names]
    good(api.post(f"/api/projects/{project}/import", files=files))
    first, second = (task["id"] for task in good(api.get("/api/tasks", params={"project": project, "fields": "all"}))["tasks"])

    url = str(api.base_url)
    with started(
        "--url", url, "--server", server.address, MAQUETTE_LABEL_STUDIO_TOKEN=token, MAQUETTE_BACKEND_PASSWORD="pass word"
    ) as backend:
        login = {"auth_method": "BASIC_AUTH", "basic_auth_user": "label-studio", "basic_auth_pass": "pass word"}
        connection = {"project": project, "url": backend.url, "title": "Maquette", "is_interactive": True}
        refused = api.post("/api/ml/", json=connection)
        assert refused.is_error, "without the password"
        connected = good(api.post("/api/ml/", json=connection | login))
        assert (connected["state"], connected["model_version"]) == ("CO", "remove_background 0.1.0 classify 0.1.0")

        # What the data manager's action "Retrieve predictions" asks.
        action = {"id": "retrieve_tasks_predictions", "project": project}
        selected = {"selectedItems": {"all": True, "excluded": []}, "ordering": []}
        good(api.post("/api/dm/actions", params=action, json=selected))
        predictions = {one["task"]: one for one in good(api.get("/api/predictions/", params={"project": project}))}
        assert predictions.keys() == {first, second}
        mask, type_ = predictions[first]["result"]
        assert drawn(mask)[10, 10] == 255 and drawn(mask)[25, 30] == 0
        assert type_["value"]["choices"] == ["Dark"]
        assert predictions[first]["model_version"] == connected["model_version"]

        # What the page asks when someone clicks with a smart tool.
        size = {"original_width": 40, "original_height": 30, "image_rotation": 0}
        click = {"x": 80, "y": 80, "width": 1, "keypointlabels": ["Object"]}
        region = {
            "id": "x",
            "type": "keypointlabels",
            "from_name": "click",
            "to_name": "photo",
            "is_positive": True,
            "value": click,
        }
        asked = {"task": first, "context": {"result": [region | size]}}
        answer = good(api.post(f"/api/ml/{connected['id']}/interactive-annotating", json=asked))
        assert "errors" not in answer, answer
        (clicked,) = answer["data"]["result"]
        assert drawn(clicked)[24, 32] == 255

    # A person paints over it, and submits.
    corrected = np.array(drawn(clicked))
    corrected[0:4, 0:40] = 255
    painted = clicked | {"id": "y", "value": clicked["value"] | {"rle": brush.mask2rle(corrected)}}
    good(api.post(f"/api/tasks/{first}/annotations/", json={"result": [painted], "lead_time": 1.0}))
    export = api.get(f"/api/projects/{project}/export", params={"exportType": "JSON", "download_all_tasks": "true"})
    assert len(good(export)) == 2
    (tmp_path / "export.json").write_bytes(export.content)
    made = maquette("label-studio", "masks", "export.json", "photos", "-o", "corrected")
    assert made.returncode == 0, made.stderr
    assert [path.name for path in (tmp_path / "corrected").rglob("*")] == ["a.jpg.png"], "the other was not submitted"
    with Image.open(tmp_path / "corrected" / "a.jpg.png") as picture:
        assert np.array_equal(np.asarray(picture), corrected)
    names_sent = [task["data"]["image"] for task in json.loads(export.content)]
    good(api.post(f"/api/tasks/{second}/annotations/", json={"result": [painted], "lead_time": 1.0}))
    (tmp_path / "export.json").write_bytes(api.get(f"/api/projects/{project}/export", params={"exportType": "JSON"}).content)
    assert maquette("label-studio", "masks", "export.json", "photos", "-o", "corrected").returncode == 0, names_sent
    assert {path.name for path in (tmp_path / "corrected").rglob("*")} == {f"{name}.png" for name in names}
