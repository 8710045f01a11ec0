"""`maquette label-studio serve` as a process, in front of the test's services."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.maquette.conftest import ROOT
from tests.maquette.server import Server
from tests.serving import free_ports

PAGE = """<View>
  <Image name="photo" value="$image"/>
  <BrushLabels name="mask" toName="photo"><Label value="Object"/><Label value="Base"/></BrushLabels>
  <KeyPointLabels name="click" toName="photo" smart="true"><Label value="Object"/></KeyPointLabels>
  <RectangleLabels name="box" toName="photo" smart="true"><Label value="Object"/></RectangleLabels>
  <Choices name="type" toName="photo"><Choice value="Dark"/><Choice alias="bright" value="Bright thing"/></Choices>
</View>"""


@dataclass
class Running:
    http: httpx.Client
    url: str
    process: subprocess.Popen[str]

    def predict(self, *data: dict[str, Any], context: Any = None, page: str = PAGE) -> httpx.Response:
        """As Label Studio 1.23 asks (label_studio/ml/api_connector.py)."""
        tasks = [{"id": number, "data": one, "project": 1} for number, one in enumerate(data, 1)]
        parameters = {"login": None, "password": None, "context": context}
        return self.http.post(
            "/predict", json={"tasks": tasks, "project": "1.1", "label_config": page, "params": parameters}, timeout=60
        )


Start = Callable[..., Running]


@contextmanager
def started(*options: object, **variables: str) -> Iterator[Running]:
    """The command with these options, until it answers, and then until the block ends."""
    (port,) = free_ports(1)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAQUETTE_")}
    environment |= {"PYTHONPATH": str(ROOT), **variables}
    words = [sys.executable, "-m", "maquette", "label-studio", "serve", "--port", port, *options]
    with subprocess.Popen([*map(str, words)], env=environment, stderr=subprocess.PIPE, text=True) as process:
        url = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=url, trust_env=False) as http:
            for _ in range(600):
                assert process.poll() is None, process.stderr and process.stderr.read()
                try:
                    http.get("/health")
                    break
                except httpx.TransportError:
                    time.sleep(0.1)
            try:
                yield Running(http, url, process)
            finally:
                process.terminate()
                process.communicate(timeout=30)


@pytest.fixture(scope="module")
def services() -> Iterator[Server]:
    with Server() as running:
        yield running
