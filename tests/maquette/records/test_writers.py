from __future__ import annotations

import csv
import io
import json
import zlib
from pathlib import Path

import pytest
from PIL import Image

from maquette.client.errors import FileFailed, ParameterInvalid, ServiceFailed
from maquette.folders import atomic
from maquette.masks import png
from maquette.records import writers
from maquette.records.records import Record, Shape
from maquette.records.writers import Format
from tests.maquette.conftest import photograph

SHAPE = Shape(("type", "sure"), ("file", "type"), lambda record: {"type": record["best"], "sure": True})
GOOD: Record = {
    "file": 'a "b", c.jpg',
    "sha256": "00",
    "best": "Büste",
    "model_version": "1",
    "request_id": "r",
    "notes": ["x", "y"],
}
BAD: Record = {"file": "d.jpg", "sha256": "", "error": {"code": "IMAGE_TRUNCATED", "detail": "cut"}}


def written(format_: Format, path: Path) -> str:
    with writers.writer(format_, path, SHAPE) as writer:
        writer.write(GOOD)
        writer.write(BAD)
    return path.read_text("utf-8")


def test_json_lines_are_the_records(tmp_path: Path) -> None:
    assert [json.loads(line) for line in written(Format.JSONL, tmp_path / "out").splitlines()] == [GOOD, BAD]


def test_csv_has_one_row_and_all_columns_for_each(tmp_path: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(written(Format.CSV, tmp_path / "out"))))
    assert list(rows[0]) == [
        "file", "sha256", "type", "sure", "model_version", "request_id", "notes", "error_code", "error_detail",
    ]  # fmt: skip
    assert rows[0] | {"file": 'a "b", c.jpg', "type": "Büste", "sure": "true", "notes": "x; y", "error_code": ""} == rows[0]
    assert rows[1] | {"file": "d.jpg", "type": "", "error_code": "IMAGE_TRUNCATED", "error_detail": "cut"} == rows[1]


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1", "-2+3", "@SUM(A1)", "\t=1"])
def test_a_text_that_a_spreadsheet_would_run_is_a_text(tmp_path: Path, text: str) -> None:
    path = tmp_path / "out.csv"
    with writers.writer(Format.CSV, path, SHAPE) as writer:
        writer.write(GOOD | {"file": text, "best": -0.5})
    (row,) = csv.DictReader(io.StringIO(path.read_text("utf-8")))
    assert (row["file"], row["type"]) == (f"'{text}", "-0.5"), "a number stays one"


@pytest.mark.parametrize("name", ["out.xlsx", "out.v2", "Rijks v1.2"])
def test_a_file_that_says_another_format_is_refused(name: str) -> None:
    with pytest.raises(ParameterInvalid, match=r"let it end in \.csv"):
        writers.choose(None, Path(name))


def test_a_table_keeps_lines_whole_and_shows_errors(tmp_path: Path) -> None:
    lines = written(Format.TABLE, tmp_path / "out").splitlines()
    assert len(lines) == 3
    assert lines[1].split() == ["a", '"b",', "c.jpg", "Büste"]
    assert lines[2].split() == ["d.jpg", "IMAGE_TRUNCATED"]


def test_a_file_name_is_no_markup(tmp_path: Path) -> None:
    with writers.writer(Format.TABLE, tmp_path / "out", SHAPE) as writer:
        writer.write(GOOD | {"file": "[red]x[/red].jpg"})
    assert "[red]x[/red].jpg" in (tmp_path / "out").read_text()


def test_a_name_that_is_not_utf_8_survives_json(tmp_path: Path) -> None:
    name = b"\xff.jpg".decode("utf-8", "surrogateescape")
    with writers.writer(Format.JSONL, tmp_path / "out", SHAPE) as writer:
        writer.write(GOOD | {"file": name})
    assert json.loads((tmp_path / "out").read_text("utf-8"))["file"] == name


def test_a_run_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("before")
    with pytest.raises(RuntimeError), writers.writer(Format.JSONL, path, SHAPE) as writer:
        writer.write(GOOD)
        raise RuntimeError
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileFailed, match="nowhere"), atomic.whole(tmp_path / "nowhere" / "out"):
        pass


@pytest.mark.parametrize(
    ("asked", "file", "expected"),
    [
        (Format.TABLE, "x.csv", Format.TABLE),
        (None, "x.CSV", Format.CSV),
        (None, "x.jsonl", Format.JSONL),
        (None, None, Format.JSONL),
    ],
)
def test_the_format_when_nobody_looks(asked: Format | None, file: str | None, expected: Format) -> None:
    assert writers.choose(asked, Path(file) if file else None) is expected


def test_a_png_carries_its_origin_and_stays_a_png(tmp_path: Path) -> None:
    original, path = photograph(90, "PNG"), tmp_path / "x.png"
    path.write_bytes(b"".join(png.parts(original, {"sha256": "00", "name": "Büste"})))
    facts = {"sha256": "00", "name": "Büste"}
    assert png.facts(path) == png.owned(path) == facts | {"pixels": (png.facts(path) or {})["pixels"]}
    assert png.is_whole(path)
    with Image.open(path) as ours, Image.open(io.BytesIO(original)) as theirs:
        ours.load()  # Pillow checks every chunk's CRC
        assert json.loads(ours.info["maquette"])["sha256"] == "00"
        assert ours.tobytes() == theirs.tobytes()


def test_only_our_own_chunk_counts(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    original = photograph(90, "PNG")
    body = b"tEXtmaquette\x00no json"
    foreign = (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    for content in (original, original[:33] + foreign + original[33:], b"", photograph(90)):
        path.write_bytes(content)
        assert png.facts(path) is None


@pytest.mark.parametrize("cut", [0, 20, -1])
def test_half_a_png_is_not_whole(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(photograph(90, "PNG")[:cut])
    assert not png.is_whole(path)
    with pytest.raises(ServiceFailed):
        png.parts(path.read_bytes(), {})
