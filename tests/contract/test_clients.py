"""Programs that others generate from /docs.json answer the same twenty calls; a fuzzer finds no answer beside the document."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests import tiny
from tests.serving import KINDS, Served

CLIENTS = Path(__file__).parent / "clients"
TOOLS, NODE = Path(sys.prefix) / "clients" / "bin", Path(sys.prefix) / "node" / "node_modules"
# Ten minutes each before a release: FUZZ_SECONDS=600.
FUZZ_SECONDS = os.environ.get("FUZZ_SECONDS", "10")


def tool(name: str) -> Path:
    assert (TOOLS / name).exists(), f"{name} is not installed: run `make clients`"
    return TOOLS / name


def run(*command: object, cwd: Path) -> None:
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True, timeout=1000)
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]


@pytest.fixture(scope="module")
def documents(running: dict[str, Served], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with each service's document and a photograph."""
    folder = tmp_path_factory.mktemp("documents")
    for name in KINDS:
        (folder / f"{name}.json").write_bytes(running[name].http.get("/docs.json").content)
    (folder / "good.png").write_bytes(tiny.picture())
    return folder


@pytest.fixture(scope="module")
def ports(running: dict[str, Served]) -> str:
    return json.dumps({name: running[name].http_port for name in KINDS})


def test_python(documents: Path, ports: str, tmp_path: Path) -> None:
    generator = tool("openapi-python-client")
    for name in KINDS:
        options = ("--path", documents / f"{name}.json", "--output-path", name, "--meta", "none", "--fail-on-warning")
        run(generator, "generate", *options, cwd=tmp_path)
    run(sys.executable, CLIENTS / "twenty_calls.py", tmp_path, ports, documents / "good.png", cwd=tmp_path)


def test_typescript(documents: Path, ports: str, tmp_path: Path) -> None:
    if not (shutil.which("node") and (NODE / ".bin" / "tsc").exists()):
        pytest.skip("node and its packages are not installed: `make clients` does it where there is npm")
    (tmp_path / "node_modules").symlink_to(NODE)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    shutil.copy(CLIENTS / "twenty_calls.ts", tmp_path)
    for name in KINDS:
        run(NODE / ".bin/openapi-typescript", documents / f"{name}.json", "-o", f"{name}.ts", cwd=tmp_path)
    strict = ("--strict", "--noUncheckedIndexedAccess", "--module", "nodenext", "--target", "es2022", "--skipLibCheck")
    run(NODE / ".bin/tsc", *strict, "--types", "node", "twenty_calls.ts", cwd=tmp_path)
    run("node", "twenty_calls.js", ports, documents / "good.png", cwd=tmp_path)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", KINDS)
def test_a_fuzzer_finds_nothing(running: dict[str, Served], name: str, tmp_path: Path) -> None:
    """Statuses, media types, schemas and headers of thousands of requests, well-formed and not."""
    url = str(running[name].http.base_url).rstrip("/")
    options = ("--url", url, "--max-time", FUZZ_SECONDS, "--continue-on-failure", "--no-color", "--seed", 1)
    run(tool("st"), "--config-file", CLIENTS / "schemathesis.toml", "run", f"{url}/docs.json", *options, cwd=tmp_path)
    assert running[name].http.get("/readyz").status_code == httpx.codes.OK
