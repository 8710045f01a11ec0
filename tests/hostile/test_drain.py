"""A pod that leaves in the middle of a batch: what was begun is finished."""

from __future__ import annotations

import io
import json
import threading
import zipfile
from collections.abc import Callable

import httpx
import pytest

from tests import tiny
from tests.hostile.watch.pod import Pod
from tests.serving import until

COUNT = 60


@pytest.mark.parametrize(("name", "path"), [("remove_background", "/v1/masks"), ("embed_latent", "/v1/embeddings")])
def test_a_batch_begun_before_a_drain(start: Callable[..., Pod], name: str, path: str) -> None:
    """A rolling update: every row of the batch is answered, none of them NOT_READY."""
    pod = start(name, threads=1, drain_seconds=60, timeout_seconds=120, max_mebibytes=64, mebibytes_in_flight=256).until_ready()
    photograph = tiny.picture(1, (2000, 1500), "JPEG")
    files = [("images", (f"{number}.jpg", photograph)) for number in range(COUNT)]
    answers: list[httpx.Response] = []
    thread = threading.Thread(target=lambda: answers.append(pod.http.post(path, files=files)))
    before = pod.metric("maquette_items_total")
    thread.start()
    until(lambda: pod.metric("maquette_items_total") > before, lambda: "the batch did not begin")
    pod.terminate()
    thread.join()
    assert answers[0].status_code == httpx.codes.OK
    if path == "/v1/masks":
        lines = zipfile.ZipFile(io.BytesIO(answers[0].content)).read("masks.jsonl").splitlines()
    else:
        lines = answers[0].content.splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["error"] for row in rows if "error" in row] == []
    assert len(rows) == COUNT
    pod.process.wait(90)
    assert pod.process.returncode == 0, pod.log
