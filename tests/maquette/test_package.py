"""What a caller installs, and what importing the client loads."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import setuptools

from tests.contract.test_layout import imports
from tests.maquette.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def names(requirements: list[str]) -> set[str]:
    return {found[0] for one in requirements if (found := re.match(r"[\w.-]+", one))}


def test_the_wheel_has_the_client_and_its_contract_alone() -> None:
    include = PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
    packages = setuptools.find_packages(str(ROOT), include=include)
    assert {package.partition(".")[0] for package in packages} == {"maquette", "protos"}
    rooms = {path.parent.name for path in (ROOT / "maquette").glob("*/__init__.py")}
    assert {f"maquette.{room}" for room in rooms} <= set(packages)


def test_the_client_needs_grpc_protobuf_and_tenacity() -> None:
    assert names(PROJECT["project"]["dependencies"]) == {"grpcio", "grpcio-status", "protobuf", "tenacity"}
    others = [
        "bentoml",
        "fsspec",
        "httpx",
        "jinja2",
        "lancedb",
        "numpy",
        "openTSNE",
        "pgvector",
        "PIL",
        "psycopg",
        "pyarrow",
        "rich",
        "services",
        "starlette",
        "typer",
        "uvicorn",
        "watchfiles",
    ]
    script = f"import sys; sys.modules.update(dict.fromkeys({others})); import maquette; maquette.Client('localhost').close()"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_rooms_hand_on_and_none_is_called_back() -> None:
    for path in (ROOT / "maquette").glob("*/*.py"):
        found = {module for module in imports(path) if module.startswith("maquette.")}
        if path.parent.name == "client":
            assert {module for module in found if not module.startswith("maquette.client")} == set(), path
        if path.parent.name != "commands":
            assert {module for module in found if module.startswith("maquette.commands")} == set(), path


@pytest.mark.parametrize(("to", "missing"), [("postgresql:///x", "psycopg"), ("lancedb:x", "lancedb")])
def test_without_their_extra_the_stores_say_what_to_install(to: str, missing: str) -> None:
    script = f"import sys; sys.modules['{missing}'] = None; from maquette.stores.table import table_at; table_at('{to}')"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "pip install 'maquette-serving[vectors]'. (PARAMETER_INVALID)" in done.stderr


@pytest.mark.parametrize(
    ("words", "missing"), [(["serve", "--url", "http://x"], "starlette"), (["masks", "x", "x"], "label_studio_converter")]
)
def test_without_its_extra_label_studio_says_what_to_install(words: list[str], missing: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    start = f"import sys; sys.modules['{missing}'] = None; sys.argv = ['maquette', 'label-studio', *sys.argv[1:]]"
    words = [*words, "-o", "y"] if words[0] == "masks" else words
    script = f"{start}; sys.path.insert(0, {str(ROOT)!r}); from maquette.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", script, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"maquette: maquette label-studio needs {missing}: pip install 'maquette-serving[label-studio]'.\n"


def test_without_its_extra_the_command_says_what_to_install() -> None:
    script = "import sys; sys.modules['typer'] = None; from maquette.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "maquette: the command line needs typer: pip install 'maquette-serving[cli]'.\n"


def test_without_its_extra_the_page_says_what_to_install() -> None:
    script = "import sys; sys.modules['uvicorn'] = None; from maquette.__main__ import main; main()"
    words = [sys.executable, "-c", script, "review", "samples", "-o", "masks"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "maquette: maquette review needs uvicorn: pip install 'maquette-serving[cli,review]'.\n"
