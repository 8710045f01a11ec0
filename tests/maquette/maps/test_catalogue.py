"""Rows of a catalogue and the photographs that they are of."""

from __future__ import annotations

import unicodedata
from pathlib import Path, PurePath

import pytest

from maquette.client.errors import ParameterInvalid
from maquette.folders.photographs import Photograph
from maquette.maps import catalogue
from maquette.maps.catalogue import Columns
from maquette.maps.html import column_of
from maquette.records.ids import IdFrom


def photographs(*names: str, root: str = "/photos") -> list[Photograph]:
    return [Photograph(Path(root) / name, PurePath(name)) for name in names]


def read(tmp_path: Path, found: list[Photograph], *rows: str, id_from: str | None = None) -> Columns:
    (tmp_path / "own.csv").write_text("\n".join(["key,period,object", *rows]) + "\n", encoding="utf-8")
    return catalogue.read(tmp_path / "own.csv", found, IdFrom.parse(id_from))


def test_a_row_that_names_two_photographs_is_said_and_goes_to_neither(tmp_path: Path) -> None:
    found = [*photographs("a.jpg", root="/one"), *photographs("a.jpg", root="/two")]
    columns = read(tmp_path, found, "a.jpg,late,x", "two/a.jpg,early,y")
    assert columns.values["period"] == ["", "early"]
    assert columns.ambiguous == ["a.jpg"]
    assert "Rows of own.csv that were not used: 1, the first 'a.jpg': several photographs are so named" in columns.remarks()[1]


def test_a_path_within_the_folder_comes_before_the_end_of_another(tmp_path: Path) -> None:
    columns = read(tmp_path, photographs("a.jpg", "sub/a.jpg"), "a.jpg,late,x")
    assert (columns.values["period"], columns.ambiguous) == (["late", ""], [])


@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
@pytest.mark.parametrize("written", ["NFC", "NFD"])
def test_names_match_in_either_form_of_unicode(tmp_path: Path, on_disk: str, written: str) -> None:
    name = unicodedata.normalize(on_disk, "Büste é.jpg")  # type: ignore[arg-type]
    row = unicodedata.normalize(written, "Büste é.jpg,late,x")  # type: ignore[arg-type]
    assert read(tmp_path, photographs(name), row).values["period"] == ["late"]


def test_ids_without_suffix_match_stems_and_are_the_ids(tmp_path: Path) -> None:
    found = photographs("00123.jpg", "sub/B 1.2.tif", "c.png")
    columns = read(tmp_path, found, "00123,late,x", "B 1.2,early,y", "c.png,old,z", "lost,old,z")
    assert columns.values["period"] == ["late", "early", "old"]
    assert columns.ids == ["00123", "B 1.2", ""]
    assert columns.remarks() == [
        "3 of 3 photographs have a row in own.csv.",
        "Rows of own.csv that were not used: 1, the first 'lost': no photograph here is so named.",
    ]


def test_two_files_of_one_stem_are_two_photographs_unless_ids_are_stems(tmp_path: Path) -> None:
    found = photographs("1.jpg", "1.png", "2.jpg")
    assert read(tmp_path, found, "1,late,x", "2,old,y").values["period"] == ["", "", "old"]
    columns = read(tmp_path, found, "1,late,x", "2,old,y", id_from="stem")
    assert (columns.values["period"], columns.ids) == (["late", "late", "old"], ["1", "1", "2"])


def test_ids_from_a_column(tmp_path: Path) -> None:
    found = photographs("a.jpg", "b.jpg")
    rows = ("a.jpg,late,K 7", "b.jpg,late,K 7", "b.jpg,old,K 8")
    columns = read(tmp_path, found, *rows, id_from="column:object")
    assert columns.ids == ["K 7", "K 7"]
    assert columns.repeated == ["b.jpg"]
    assert "object" not in columns.values, "it is the work's name"
    assert read(tmp_path, found, *rows, id_from="column").ids == ["a.jpg", "b.jpg"]
    with pytest.raises(ParameterInvalid, match="no column 'inventory'; it has key, period, object"):
        read(tmp_path, found, *rows, id_from="column:inventory")


def test_codes_are_no_numbers_and_numbers_keep_their_digits() -> None:
    numbers = [str(123456 + number) for number in range(20)]
    column = column_of("inventory", numbers)
    assert (column.kind, column.texts) == ("number", numbers)
    codes = [f"{number:05}" for number in range(20)]
    assert (column_of("code", codes).kind, column_of("code", codes).values) == ("category", codes)
    assert column_of("share", [f"0.{number}" for number in range(20)]).kind == "number"
