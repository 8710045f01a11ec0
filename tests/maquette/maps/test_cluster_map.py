"""``maquette cluster FOLDER -o REPORT``: the records, the map, and going on after a kill."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
import unicodedata
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.maquette.conftest import ROOT, Run, photograph
from tests.maquette.pages import Page, check_closed
from tests.maquette.server import Server

HOSTILE = [
    "</script><script>alert(1)</script>.jpg",
    "q\"u'o,te & <b>.jpg",
    "javascript:x.jpg",
    "Büste 像 \u2028.jpg",
    "$data.jpg",
]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def report(tmp_path: Path) -> Path:
    return tmp_path / "report"


def test_a_report_has_every_work_in_csv_and_on_the_map(maquette: Run, server: Server, folder: Path, report: Path) -> None:
    (folder / "bad & <b>.jpg").write_text("no image")
    done = maquette("cluster", folder, "-o", report, "--server", server.address, "--key", "secret")
    assert (done.returncode, done.stdout) == (1, "")
    assert "bad & <b>.jpg: The bytes are not an image. (IMAGE_UNDECODABLE)" in done.stderr
    assert done.stderr.splitlines()[-1] == (
        f"3 done, 0 skipped, 1 failed; records in {report / 'works.csv'}, map {report / 'map.html'}. "
        "Next: see to what is named above and run the same command again."
    )
    works = rows(report / "works.csv")
    assert [row["error_code"] for row in works] == ["", "", "IMAGE_UNDECODABLE", ""]
    page = Page(report / "map.html")
    check_closed(page)
    good = [row for row in works if not row["error_code"]]
    assert page.data["names"] == ["a.jpg", "b.JPG", "sub/c.png"]
    assert page.column("group") == [f"Group {row['cluster']}" for row in good]
    assert page.column("q") == pytest.approx([float(row["q"]) for row in good], abs=1e-6)
    assert page.column("sha256") == [row["sha256"] for row in good]
    assert page.column("folder") == [".", ".", "sub"]
    assert [(report / unquote(link)).resolve() for link in page.data["links"]] == [Path(row["file"]) for row in good]
    assert {len(layout["x"]) for layout in page.data["layouts"]} == {3}
    assert sorted(page.data["near"][0]) == [1, 2]
    for index, level in enumerate((10, 120, 250)):
        corner = page.tile(index).getpixel((30, 25))
        assert page.tile(index).size == (40, 30)
        assert corner == pytest.approx((level, level, level), abs=12)
    for told in ("bad & <b>.jpg", "Group 0", "silhouette 0.60", "dark <1>.jpg", "What may not be concluded", "levels", "0.1.0"):
        assert told in page.text
    assert f"maquette cluster {folder} --output {report} --server {server.address}" in page.text
    assert "secret" not in (report / "map.html").read_text()


def test_names_and_columns_cannot_break_the_page(maquette: Run, server: Server, tmp_path: Path, report: Path) -> None:
    photos = tmp_path / "<i>photos"
    photos.mkdir()
    for level, name in enumerate(HOSTILE):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        (photos / name).write_bytes(photograph(40 * level))
    names = sorted(HOSTILE, key=lambda name: name.split("/"))
    with (tmp_path / "own.csv").open("w", encoding="utf-8-sig", newline="") as stream:
        csv.writer(stream, delimiter=";").writerows(
            [
                ["file", "</script><b>", "year"],
                *([name, f'<img src=x onerror="{name}">', 1900 + n] for n, name in enumerate(names)),
            ]
        )
    done = maquette("cluster", photos, "-o", report, "--columns", tmp_path / "own.csv", "--server", server.address)
    assert done.returncode == 0, done.stderr
    page = Page(report / "map.html")
    check_closed(page)
    assert page.data["names"] == names
    assert page.column("</script><b>") == [f'<img src=x onerror="{name}">' for name in names]
    assert page.column("year") == [str(1900 + n) for n in range(len(names))]
    assert [row["file"] for row in rows(report / "works.csv")] == [str(photos / name) for name in names]


def test_a_name_that_is_not_utf_8(maquette: Run, server: Server, folder: Path, report: Path) -> None:
    (folder / os.fsdecode(b"\xff.jpg")).write_bytes(photograph(60))
    done = maquette("cluster", folder, "-o", report, "--server", server.address)
    assert done.returncode == 0, done.stderr
    page = Page(report / "map.html")
    assert "�.jpg" in page.data["names"]
    assert any(link.endswith("/%FF.jpg") for link in page.data["links"])


def test_a_second_run_asks_only_for_what_is_new(maquette: Run, server: Server, folder: Path, report: Path) -> None:
    run = ("cluster", folder, "-o", report, "--server", server.address)
    assert maquette(*run).returncode == 0
    first = rows(report / "works.csv")
    (folder / "new.jpg").write_bytes(photograph(90))
    (folder / "a.jpg").write_bytes(photograph(11))
    done = maquette(*run)
    assert (done.returncode, len(server.seen.items)) == (0, 3 + 2)
    assert "2 done, 2 skipped, 0 failed" in done.stderr
    second = rows(report / "works.csv")
    assert [row["file"] for row in second] == [str(folder / name) for name in ("a.jpg", "b.JPG", "new.jpg", "sub/c.png")]
    assert [second[1], second[3]] == first[1:]
    assert maquette(*run, "--overwrite").returncode == 0
    assert len(server.seen.items) == 5 + 4
    assert maquette(*run, "--neighbours", 1).returncode == 0
    assert {row["neighbours"] for row in rows(report / "works.csv")} == {"work0.jpg"}


def test_a_killed_run_goes_on_where_it_was(maquette: Run, server: Server, tmp_path: Path, report: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for level in range(20):
        (photos / f"{level:02}.jpg").write_bytes(photograph(level))
    (photos / "12.jpg").unlink()
    os.mkfifo(photos / "12.jpg")  # reading it waits, and so does the run
    command = [
        sys.executable,
        "-m",
        "maquette",
        "cluster",
        "photos",
        "-o",
        report,
        "--server",
        server.address,
        "--in-flight",
        "2",
    ]
    process = subprocess.Popen(list(map(str, command)), cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)})
    answers = report / "answers.jsonl"
    try:
        while not answers.is_file() or len(answers.read_bytes().splitlines()) < 1 + 10:
            assert process.poll() is None
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    had = len(answers.read_bytes().splitlines()) - 1
    with answers.open("ab") as stream:
        stream.write(b'{"file": "photos/cut sho')
        had_bytes = stream.tell()
    assert not (report / "works.csv").exists()
    (photos / "12.jpg").unlink()
    (photos / "12.jpg").write_bytes(photograph(12))
    before = len(server.seen.items)
    done = maquette("cluster", "photos", "-o", report, "--server", server.address)
    assert done.returncode == 0, done.stderr
    assert len(server.seen.items) - before == 20 - had
    lines = answers.read_bytes()[had_bytes + 1 :].splitlines()
    assert sum("sha256" in json.loads(line) for line in lines) == 20 - had, "what was cut short spoils no other line"
    assert len(rows(report / "works.csv")) == len(Page(report / "map.html").data["names"]) == 20


def test_embeddings_of_two_spaces_never_meet_in_a_report(maquette: Run, server: Server, folder: Path, report: Path) -> None:
    run = ("cluster", folder, "-o", report, "--server", server.address)
    assert maquette(*run).returncode == 0
    before = {path.name: path.read_bytes() for path in report.iterdir()}
    server.space = "other levels"
    (folder / "new.jpg").write_bytes(photograph(90))
    done = maquette(*run)
    assert (done.returncode, len(server.seen.items)) == (2, 3)
    for told in ("the space levels", "in other levels", "--overwrite", "another output"):
        assert told in done.stderr
    assert {path.name: path.read_bytes() for path in report.iterdir()} == before
    assert maquette(*run, "--overwrite").returncode == 0
    assert {row["embedding_space"] for row in rows(report / "works.csv")} == {"other levels"}


@pytest.mark.parametrize("output", ["report", "out.csv"])
def test_a_model_that_changes_during_the_run_is_refused(
    maquette: Run, server: Server, folder: Path, tmp_path: Path, output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(folder / "sub" / "d.jpg")
    command = [
        sys.executable,
        "-m",
        "maquette",
        "cluster",
        "photos",
        "-o",
        output,
        "--server",
        server.address,
        "--in-flight",
        "1",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    with (folder / "sub" / "d.jpg").open("wb") as stream:  # opens when the run has come to it
        server.space = "other levels"
        stream.write(photograph(33))
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "d.jpg was answered in the space other levels, those before it in levels" in errors
    assert not (tmp_path / "out.csv").exists()
    assert not (tmp_path / "report" / "works.csv").exists()


@pytest.mark.parametrize(
    ("own", "sentence"),
    [
        ("file,period\nnowhere.jpg,x\n", "No row of own.csv names a photograph: its first column, 'file'"),
        ("file,period,period\na.jpg,x,y\n", "names each column once"),
        ("file\na.jpg\n", "names each column once"),
        ("", "own.csv is empty"),
        (b"file,period\na.jpg,\xe9t\xe9\n", "own.csv is not UTF-8"),
        ('file,period\n"a.jpg,x\n', "own.csv is not CSV"),
    ],
)
def test_columns_that_are_of_no_use(
    maquette: Run, server: Server, folder: Path, tmp_path: Path, own: str | bytes, sentence: str
) -> None:
    (tmp_path / "own.csv").write_bytes(own if isinstance(own, bytes) else own.encode())
    done = maquette("cluster", folder, "-o", "report", "--columns", "own.csv", "--server", server.address)
    assert (done.returncode, server.seen.items) == (2, [])
    assert sentence in done.stderr


def test_rows_and_photographs_without_each_other_are_told(maquette: Run, server: Server, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("file\tperiod\nphotos/sub/c.png\tlate\na.jpg\tearly\ngone.jpg\tlost\n")
    done = maquette("cluster", folder, "-o", "report", "--columns", "own.csv", "--server", server.address)
    assert done.returncode == 0
    assert "Rows of own.csv that were not used: 1, the first 'gone.jpg': no photograph here is so named." in done.stderr
    assert "2 of 3 photographs have a row in own.csv." in done.stderr
    assert Page(tmp_path / "report" / "map.html").column("period") == ["early", None, "late"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-o", "report.html"], "-o takes a folder for the report, whose page will be FOLDER/map.html"),
        (["-o", "report", "--format", "csv"], "leave out --format"),
        (["-o", "out.csv", "--columns", "own.csv"], "give it with -o REPORT"),
        (["-o", "out.xlsx"], "a file that ends in .csv or .jsonl"),
        (["--id-from", "column"], "give it with --columns"),
        (["--id-from", "nose"], "--id-from takes stem, name, path, column or column:NAME"),
        (["--columns", "own.csv"], "give it with -o REPORT"),
        (["-o", "file"], "file is a file"),
        (["-o", "taken"], "taken/answers.jsonl was not written by maquette"),
        (["-o", "file/report"], "file/report cannot be written"),
    ],
)
def test_wrong_usage_of_a_report(
    maquette: Run, server: Server, folder: Path, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    (tmp_path / "own.csv").write_text("file,period\na.jpg,early\n")
    (tmp_path / "file").write_text("")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "answers.jsonl").write_text("somebody's own\n")
    done = maquette("cluster", folder, *arguments, MAQUETTE_SERVER=server.address)
    assert (done.returncode, server.seen.items) == (2, [])
    assert sentence in done.stderr
    assert (tmp_path / "taken" / "answers.jsonl").read_text() == "somebody's own\n"


def test_one_work_and_none_that_could_be_answered(maquette: Run, server: Server, folder: Path, tmp_path: Path) -> None:
    done = maquette("cluster", folder / "a.jpg", "-o", "one", "--server", server.address)
    assert done.returncode == 0, done.stderr
    assert Page(tmp_path / "one" / "map.html").data["names"] == ["a.jpg"]
    (folder / "bad.jpg").write_text("no image")
    done = maquette("cluster", folder / "bad.jpg", "-o", "none", "--server", server.address)
    assert done.returncode == 1
    assert not (tmp_path / "none" / "map.html").exists()


def test_a_name_with_a_point_is_a_folder(maquette: Run, server: Server, folder: Path, tmp_path: Path) -> None:
    assert maquette("cluster", folder, "-o", "Rijks v1.2", "--server", server.address).returncode == 0
    assert sorted(path.name for path in (tmp_path / "Rijks v1.2").iterdir()) == ["answers.jsonl", "map.html", "works.csv"]


def test_a_users_column_is_not_hidden_by_ours(
    maquette: Run, server: Server, folder: Path, report: Path, tmp_path: Path
) -> None:
    (tmp_path / "own.csv").write_text("file,group,q\na.jpg,A,1\nb.JPG,B,2\nsub/c.png,C,3\n")
    done = maquette("cluster", folder, "-o", report, "--columns", "own.csv", "--server", server.address)
    assert done.returncode == 0, done.stderr
    page = Page(report / "map.html")
    names = [column["name"] for column in page.data["columns"]]
    assert len(names) == len(set(names))
    assert page.column("group (own.csv)") == ["A", "B", "C"]
    assert set(page.column("group")) <= {"Group 0", "Group 1"}


def test_a_name_in_parts_and_a_catalogue_in_whole_letters(maquette: Run, server: Server, folder: Path, report: Path) -> None:
    """As a Mac's disk has it, and as Excel writes it."""
    (folder / unicodedata.normalize("NFD", "Büste.jpg")).write_bytes(photograph(60))
    (report.parent / "own.csv").write_text(unicodedata.normalize("NFC", "id,culture\nBüste,Colima\n"), encoding="utf-8")
    done = maquette("cluster", folder, "-o", report, "--columns", "own.csv", "--server", server.address)
    assert "1 of 4 photographs have a row in own.csv." in done.stderr
    page = Page(report / "map.html")
    assert dict(zip(page.data["names"], page.column("culture"), strict=True)) == {
        "Büste": "Colima", "a.jpg": None, "b.JPG": None, "sub/c.png": None,
    }  # fmt: skip
