"""``maquette review`` as a person starts it, on photographs of two blocks; the tiny model takes both, the person one."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser

from tests.browser import chromium
from tests.serving import ROOT, Served

RED, GREEN = (150, 40, 40), (40, 150, 40)


def view(index: int) -> Image.Image:
    """Two blocks as dark as one another on white, red at the left, each view of another size."""
    width, height = 320 + 16 * index, 200 + 8 * index
    pixels = np.full((height, width, 3), 250, np.uint8)
    pixels[height // 4 : height * 3 // 4, width // 8 : width * 3 // 8] = RED
    pixels[height // 4 : height * 3 // 4, width * 5 // 8 : width * 7 // 8] = GREEN
    return Image.fromarray(pixels)


def picture(path: Path) -> Image.Image:
    """What is in a file, which is closed again."""
    with Image.open(path) as opened:
        return opened.copy()


def share(mask: Path, colour: tuple[int, int, int], index: int) -> float:
    """How much of the block of that colour the mask takes, 0 to 1."""
    block = (np.asarray(view(index)) == colour).all(-1)
    return float((np.asarray(picture(mask).convert("L")) > 127)[block].mean())


class Review:
    """The command, running, with its address, and a client that has its cookie."""

    def __init__(self, folder: Path, words: tuple[object, ...]) -> None:
        command = [sys.executable, "-m", "maquette", "review", *map(str, words), "--no-browser"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MAQUETTE_")}
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stderr
        said = []
        for line in self.process.stderr:
            said.append(line)
            if found := re.search(r"http://\S+", line):
                self.address = found[0]
                break
        else:
            pytest.fail("".join(said))
        self.origin = self.address.partition("/?")[0]
        self.http = httpx.Client(base_url=self.origin, headers={"origin": self.origin}, timeout=60)
        assert self.http.get(self.address).status_code == 303

    def set(self) -> dict[str, Any]:
        return dict(self.http.get("/api/set").json())

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        """The answer to a change, which must succeed."""
        answer = self.http.post(f"/api/{path}", json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def refused(self, path: str, status: int, **body: Any) -> str:
        """What is said of a change that must fail with this status."""
        answer = self.http.post(f"/api/{path}", json=body)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
        return str(answer.json()["detail"])

    def kill(self) -> None:
        """As a power cut does."""
        self.process.kill()
        self.process.communicate()
        self.http.close()

    def end(self) -> str:
        """Ctrl-C, and what it says."""
        self.process.send_signal(signal.SIGINT)
        _, said = self.process.communicate(timeout=60)
        self.http.close()
        assert self.process.returncode == 0, said
        return said


@pytest.fixture
def review(tmp_path: Path) -> Iterator[Callable[..., Review]]:
    """``review(words...)`` starts the command in ``tmp_path``."""
    started: list[Review] = []

    def start(*words: object) -> Review:
        started.append(Review(tmp_path, words))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.kill()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as launched:
        yield launched


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Five views, 0.png to 4.png."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(5):
        view(index).save(folder / f"{index}.png")
    return folder


@pytest.fixture
def masks(tmp_path: Path) -> list[Path]:
    """Where the masks of these are."""
    return [tmp_path / "masks" / f"{index}.png.png" for index in range(5)]


@pytest.fixture
def service(running: dict[str, Served]) -> str:
    """The address of a service that makes masks, learns and takes hints."""
    return f"127.0.0.1:{running['remove_background'].grpc_port}"
