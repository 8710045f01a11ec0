"""What the command line says: help, formats, narrow terminals, names in any spelling."""

from __future__ import annotations

import csv
import json
import os
import pty
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from tests.maquette.commands.test_app import lines
from tests.maquette.conftest import ROOT, Run, photograph
from tests.maquette.server import Server

COMMANDS = ("classify", "cluster", "embed", "mask", "models")


def test_help_shows_defaults(maquette: Run) -> None:
    assert "[default: (3); x>=1]" in " ".join(maquette("classify", "--help").stdout.split())
    assert "[default: 5; 0<=x<=50]" in " ".join(maquette("cluster", "--help").stdout.split())
    assert "[default: (IMG.jpg.png)]" in " ".join(maquette("mask", "--help").stdout.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_parquet_is_offered_where_it_works(maquette: Run, server: Server, folder: Path, command: str) -> None:
    offered = "parquet" in maquette(command, "--help").stdout
    words = [command, *([] if command == "models" else ["photos"]), *(["-o", "out"] if command == "mask" else [])]
    file = [] if command == "mask" else ["-o", "out.parquet"]
    done = maquette(*words, *file, "--format", "parquet", "--server", server.address)
    assert (offered, done.returncode) == ((True, 0) if command == "embed" else (False, 2))


def test_a_name_takes_one_line_of_a_narrow_terminal(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "photographs" / "of the excavation in the spring of 2026" / "trench 14"
    folder.mkdir(parents=True)
    for number in range(3):
        (folder / f"a vessel from the lowest layer, seen from the side {number}.jpg").write_bytes(photograph(10))
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "maquette", "mask", "photographs", "-o", "out", "--server", server.address],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "TERM": "dumb", "COLUMNS": "80"},
        stdout=theirs,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(theirs)
    seen = b""
    try:
        while chunk := os.read(ours, 4096):
            seen += chunk
    except OSError:  # Linux ends a pseudo-terminal so
        pass
    os.close(ours)
    _, stderr = process.communicate(timeout=60)
    shown = seen.decode().splitlines()
    assert len(shown) == 1 + 3
    assert all(len(line) <= 80 and line.split("  ")[0].endswith(f"{n}.jpg") for n, line in enumerate(shown[1:]))
    assert stderr == "3 done, 0 skipped, 0 failed, 0 to look at; masks in out. Next: open out/contact-sheet.html.\n"


def test_the_last_line_names_sheet_and_report_where_something_failed(maquette: Run, server: Server, folder: Path) -> None:
    (folder / "bad.jpg").write_text("no image")
    done = maquette("mask", folder, "-o", "out", "--report", "r.csv", "--server", server.address)
    assert done.stderr.splitlines()[-1] == (
        "3 done, 0 skipped, 1 failed, 3 to look at; masks in out, records in r.csv, contact sheet out/contact-sheet.html. "
        "Next: see to what is named above and run the same command again, it makes what is missing."
    )


@pytest.mark.parametrize(
    "name",
    [unicodedata.normalize("NFD", "Büste é.jpg"), os.fsdecode(b"B\xfcste.jpg"), "[red]&<b>.jpg", "-o.jpg", "zwei\nZeilen.jpg"],
)
def test_names_in_any_spelling(maquette: Run, server: Server, tmp_path: Path, name: str) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / name).write_bytes(photograph(10))
    run = ("mask", "photos", "-o", "out", "--server", server.address)
    first = maquette(*run)
    assert (first.returncode, lines(first.stdout)[0]["file"]) == (0, f"photos/{name}")
    assert f"{name}.png" in {path.name for path in (tmp_path / "out").iterdir()}
    (second,) = lines(maquette(*run).stdout)
    assert (second["skipped"], second["file"], second["output"]) == (True, f"photos/{name}", f"out/{name}.png")
    assert maquette(*run, "--report", "r.csv").returncode == 0
    with (tmp_path / "r.csv").open(encoding="utf-8", newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert json.loads(f'"{row["file"]}"'.replace("\n", "\\n")) == f"photos/{name}"
    page = (tmp_path / "out" / "contact-sheet.html").read_text("utf-8")
    assert page.count("<figure") == 1 and "<b>" not in page


def test_a_map_without_t_sne_says_so(maquette: Run, server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = ("cluster", folder, "-o", "report", "--server", server.address)
    assert "t-SNE" not in maquette(*run).stderr  # too few works for one
    monkeypatch.setitem(sys.modules, "openTSNE", None)  # as where the extra is not installed
    assert "The map has no t-SNE: pip install 'maquette-serving[report]'" in maquette(*run).stderr
