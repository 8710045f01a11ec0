"""The built pages in the packages are those of `web/`, and every page keeps to its Content-Security-Policy."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.serving import ROOT

BUILT = ("services/common/web", "maquette/review/web", "maquette/maps/web")


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_committed_pages_are_what_a_build_makes(tmp_path: Path) -> None:
    installed = ROOT / "web" / "node_modules"
    if not (shutil.which("npm") and (installed / ".bin" / "vite").exists()):
        pytest.skip("npm and the packages of web/ are not installed: `make web` does it where there is npm")
    shutil.copytree(ROOT / "web", tmp_path / "web", ignore=shutil.ignore_patterns("node_modules"))
    (tmp_path / "web" / "node_modules").symlink_to(installed)
    done = subprocess.run(["npm", "run", "build"], cwd=tmp_path / "web", capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    for folder in BUILT:
        fresh, committed = files(tmp_path / folder), files(ROOT / folder)
        assert set(fresh) == set(committed), folder
        differ = [name for name in fresh if fresh[name] != committed[name]]
        assert not differ, f"{folder}: run `make web` and commit"


@pytest.mark.parametrize("path", [path for folder in BUILT for path in sorted((ROOT / folder).glob("*.html"))], ids=str)
def test_a_page_has_no_code_and_no_style_of_its_own(path: Path) -> None:
    text = path.read_text("utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", text)
    for address in re.findall(r"(?:src|href)=\"([^\"]+)\"", text):
        assert (path.parent / address).is_file(), address


def test_the_wheel_and_the_images_take_them_in() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert {"web/*", "web/assets/*"} <= set(project["tool"]["setuptools"]["package-data"]["maquette.review"])
    assert {"templates/*", "web/*"} <= set(project["tool"]["setuptools"]["package-data"]["maquette.maps"])
    for path in (ROOT / "services").glob("*/bentofile.yaml"):
        assert {"services/common/web/*", "services/common/web/assets/*", "samples/*.*g"} <= {
            line.strip("- ") for line in path.read_text("utf-8").splitlines()
        }, path
