"""A running server, photographs, and the command line as a user has it."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from maquette.commands.app import app
from tests.maquette.server import Server

ROOT = Path(__file__).parents[2]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def photograph(level: int, kind: str = "JPEG", size: tuple[int, int] = (40, 30)) -> bytes:
    """An encoded picture of one grey ``level`` with a white square in it."""
    picture = Image.new("RGB", size, (level, level, level))
    picture.paste((255, 255, 255), (5, 5, 15, 15))
    stream = io.BytesIO()
    picture.save(stream, kind)
    return stream.getvalue()


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """photos/a.jpg, b.JPG, sub/c.png, beside what is not to be sent."""
    photos = tmp_path / "photos"
    (photos / "sub").mkdir(parents=True)
    (photos / ".hidden").mkdir()
    (photos / "a.jpg").write_bytes(photograph(10))
    (photos / "b.JPG").write_bytes(photograph(120))
    (photos / "sub" / "c.png").write_bytes(photograph(250, "PNG"))
    (photos / ".hidden" / "d.jpg").write_bytes(photograph(0))
    (photos / ".e.jpg").write_bytes(photograph(0))
    (photos / "notes.txt").write_text("not a photograph")
    return photos


@pytest.fixture
def maquette(tmp_path: Path) -> Run:
    """Run ``maquette`` in ``tmp_path``, in this process, with no variable of this machine; output is not a terminal."""

    def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        words = list(map(str, arguments))
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(tmp_path)
            for name in [name for name in os.environ if name.startswith("MAQUETTE_")]:
                patch.delenv(name)
            result = CliRunner().invoke(app, words, env=environment, catch_exceptions=False)
        return subprocess.CompletedProcess(words, result.exit_code, result.stdout, result.stderr)

    return run
