"""``maquette embed``: Parquet, and the latent plane as a page."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet
import pytest

from tests.maquette.conftest import ROOT, Run, photograph
from tests.maquette.pages import Page, check_closed
from tests.maquette.server import VERSION, Server


def test_parquet_has_the_records_with_vectors_as_lists(maquette: Run, server: Server, folder: Path, tmp_path: Path) -> None:
    (folder / "bad.jpg").write_text("no image")
    records = [
        json.loads(line) for line in maquette("embed", folder, "--features", "--server", server.address).stdout.splitlines()
    ]
    done = maquette("embed", folder, "--features", "-o", "out.parquet", "--server", server.address)
    assert (done.returncode, done.stdout) == (1, "")
    table = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    assert (
        str(table.schema.field("latent").type).startswith("fixed_size_list")
        and table.schema.field("latent").type.list_size == 2
    )
    assert table.schema.field("features").type.list_size == 3
    rows = table.to_pylist()
    assert [row["file"] for row in rows] == [record["file"] for record in records]
    for row, record in zip(rows, records, strict=True):
        for name in (
            "sha256",
            "latent",
            "features",
            "prior_distance",
            "unlike_training",
            "embedding_space",
            "model_version",
            "notes",
        ):
            assert row[name] == (
                pytest.approx(record[name])
                if name in ("latent", "features", "prior_distance") and row[name]
                else record.get(name)
            )
        assert (row["error_code"], row["error_detail"]) == tuple(
            record.get("error", {}).get(name) for name in ("code", "detail")
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.parquet", "photos"]


def test_a_page_shows_works_beside_references_and_the_prior(
    maquette: Run, server: Server, folder: Path, tmp_path: Path
) -> None:
    (folder / "sub<").mkdir()
    (folder / "sub<" / "script>.png").write_bytes(photograph(200, "PNG"))
    done = maquette("embed", folder, "-o", "out.csv", "--page", "plane.html", "--server", server.address)
    assert done.returncode == 0, done.stderr
    page = Page(tmp_path / "plane.html")
    check_closed(page)
    assert page.data["names"] == ["a.jpg", "b.JPG", "sub/c.png", "sub</script>.png", "<0>.jpg", "<1>.jpg", "<2>.jpg"]
    assert len(page.data["links"]) == len(page.data["sizes"]) == 4
    assert page.column("folder") == [".", ".", "sub", "sub<", "sub (reference)", "<other> (reference)", "sub (reference)"]
    (column,) = [column for column in page.data["columns"] if column["name"] == "folder"]
    assert column["names"] == [".", "sub", "sub<", "<other> (reference)", "sub (reference)"]
    assert column["like"] == [0, 1, 2, 3, 1]
    rows = [json.loads(line) for line in maquette("embed", folder, "--server", server.address).stdout.splitlines()]
    (plane,) = page.data["layouts"]
    assert plane["x"] == pytest.approx([*(row["latent"][0] for row in rows), 0, 1, 2], abs=1e-4)
    assert plane["y"] == pytest.approx([*(row["latent"][1] for row in rows), 0, -1, -2], abs=1e-4)
    assert page.data["ellipses"] == [[[0, 1], [5 * n, 4 * n], f"{n}σ"] for n in (1, 2, 3)]
    assert page.data["contours"] is True
    assert page.column("nearest reference points")[0].startswith("<0>.jpg (sub); <1>.jpg (<other>)")
    for told in (
        "What may not be concluded",
        f"embed_latent {VERSION}",
        "levels",
        "4 works beside 3 reference points of 2 groups",
    ):
        assert told in page.text


def test_groups_are_the_users_own_where_there_are_some(maquette: Run, server: Server, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("file,culture\na.jpg,Colima\nb.JPG,Nayarit\n")
    done = maquette("embed", folder, "--page", "plane.html", "--columns", "own.csv", "--server", server.address)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 3, "the records go on to standard output"
    page = Page(tmp_path / "plane.html")
    assert page.column("culture")[:3] == ["Colima", "Nayarit", "no value"]
    assert page.column("folder")[:3] == [".", ".", "sub"]


def test_an_unfinished_run_goes_on_and_a_finished_one_leaves_nothing(
    maquette: Run, server: Server, folder: Path, tmp_path: Path
) -> None:
    run = ("embed", folder, "-o", "out.parquet", "--page", "plane.html", "--server", server.address)
    server.faults.overloaded_items, server.faults.overloaded_unary = 1, 99
    assert maquette(*run, "--patience", 0).returncode == 1
    assert (tmp_path / ".out.parquet.answers").exists(), "what failed may pass"
    server.faults.overloaded_unary = 0
    before = len(server.seen.items)
    server.space = "other levels"
    done = maquette(*run)
    assert done.returncode == 2
    assert "levels" in done.stderr and "other levels" in done.stderr
    server.space = "levels"
    done = maquette(*run)
    assert done.returncode == 0
    assert len(server.seen.items) - before == 1
    assert "1 done, 2 skipped, 0 failed" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.parquet", "photos", "plane.html"]
    assert (
        pyarrow.parquet.read_table(tmp_path / "out.parquet").num_rows == len(Page(tmp_path / "plane.html").data["links"]) == 3
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["embed", "photos", "--columns", "own.csv"], "give it with --page"),
        (["embed", "photos", "-o", "x.html", "--page", "x.html"], "two files"),
        (["embed", "photos", "--format", "parquet"], "name a file with -o"),
        (["classify", "photos", "-o", "out.parquet"], "name a file that ends in .csv or .jsonl"),
        (["embed", "photos", "-o", "nowhere/out.parquet"], "cannot be written"),
    ],
)
def test_wrong_usage(maquette: Run, server: Server, folder: Path, tmp_path: Path, arguments: list[str], sentence: str) -> None:
    (tmp_path / "own.csv").write_text("file,culture\na.jpg,Colima\n")
    done = maquette(*arguments, MAQUETTE_SERVER=server.address)
    assert done.returncode == 2, done.stderr
    assert sentence in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) in (
        ["own.csv", "photos"],
        [".out.parquet.answers", "own.csv", "photos"],
    )


def test_without_pyarrow_and_open_tsne_all_else_works(server: Server, folder: Path, tmp_path: Path) -> None:
    bare = (
        "import sys; sys.modules.update(dict.fromkeys(('pyarrow', 'pyarrow.parquet', 'openTSNE')))\n"
        "from maquette.commands.app import app; app()"
    )

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", bare, "embed", "photos", *arguments, "--server", server.address]
        return subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)

    done = run("-o", "out.parquet")
    assert done.returncode == 2
    assert "pip install '.[report]'" in done.stderr
    assert run("-o", "out.csv", "--page", "plane.html").returncode == 0
    assert len(Page(tmp_path / "plane.html").data["links"]) == 3
