"""The user's ids, from the command line to every record, to linked data and to the map."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.maquette.conftest import Run, photograph
from tests.maquette.pages import Page
from tests.maquette.records.test_linked_data import validate
from tests.maquette.server import Server


@pytest.fixture
def views(tmp_path: Path) -> Path:
    """Two photographs of 17, one of them in another folder, one of 18, one that is no image, and one of neither."""
    photos = tmp_path / "photos"
    for name, level in (("front/17.jpg", 10), ("back/17.jpg", 20), ("front/18.jpg", 250), ("front/19.jpg", 120)):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        (photos / name).write_bytes(photograph(level))
    (photos / "back" / "18.jpg").write_text("no image")
    (tmp_path / "own.csv").write_text("inventory,culture\n17,Colima\n18,Nayarit\n")
    return photos


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("command", ["classify", "cluster", "embed"])
@pytest.mark.parametrize(
    ("id_from", "ids"),
    [
        ("stem", ["17", "18", "17", "18", "19"]),
        ("name", ["17.jpg", "18.jpg", "17.jpg", "18.jpg", "19.jpg"]),
        ("path", ["back/17.jpg", "back/18.jpg", "front/17.jpg", "front/18.jpg", "front/19.jpg"]),
    ],
)
def test_every_record_carries_it(
    maquette: Run, server: Server, views: Path, tmp_path: Path, command: str, id_from: str, ids: list[str]
) -> None:
    done = maquette(command, "photos", "--id-from", id_from, "--server", server.address)
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == ids, "also where a photograph failed"
    maquette(command, "photos", "--id-from", id_from, "-o", "out.csv", "--server", server.address)
    assert [row["id"] for row in rows(tmp_path / "out.csv")] == ids


@pytest.mark.parametrize(("id_from", "ids"), [("stem", ["17", "18", "17", "18", "19"]), ("path", None)])
def test_masks_carry_it_too(
    maquette: Run, server: Server, views: Path, tmp_path: Path, id_from: str, ids: list[str] | None
) -> None:
    maquette("mask", "photos", "-o", "out", "--id-from", id_from, "--report", "masks.csv", "--server", server.address)
    records = rows(tmp_path / "masks.csv")
    assert [row["id"] for row in records] == (ids or [row["file"].removeprefix("photos/") for row in records])


def test_a_record_without_an_id_has_none(maquette: Run, server: Server, views: Path) -> None:
    assert all(
        "id" not in json.loads(line) for line in maquette("classify", views, "--server", server.address).stdout.splitlines()
    )


def test_an_id_is_that_of_the_run_and_not_of_the_answers_that_are_kept(
    maquette: Run, server: Server, views: Path, tmp_path: Path
) -> None:
    run = ("cluster", "photos", "-o", "report", "--server", server.address)
    for id_from, first in (("stem", "17"), ("path", "back/17.jpg")):
        maquette(*run, "--id-from", id_from)
        assert rows(tmp_path / "report" / "works.csv")[0]["id"] == first
    assert len(server.seen.items) == 5 + 1, "only what is no image was asked again"


def linked(maquette: Run, server: Server, *words: str) -> dict[str, Any]:
    done = maquette("classify", "photos", "--format", "linked-art", *words, "--server", server.address)
    document = json.loads(done.stdout)
    validate(document, "linked-art")
    return {item["_label"]: item for item in document}


def test_views_of_one_object_are_one_object_in_linked_art(maquette: Run, server: Server, views: Path) -> None:
    objects = linked(maquette, server, "--id-from", "stem")
    assert objects.keys() == {"Object 17", "Object 18", "Object 19"}
    assert objects["Object 17"]["identified_by"] == [{"type": "Identifier", "content": "17"}]
    shown = [one["_label"] for view in objects["Object 17"]["representation"] for one in view["digitally_shown_by"]]
    assert shown == ["photos/back/17.jpg", "photos/front/17.jpg"]
    assert [one["_label"] for one in objects["Object 17"]["classified_as"]] == ["Dark"]
    assert len(objects["Object 17"]["attributed_by"]) == 2, "what each photograph says"
    assert linked(maquette, server, "--id-from", "stem")["Object 17"]["id"] == objects["Object 17"]["id"]
    assert linked(maquette, server)["Object in 17.jpg"].get("identified_by") is None


def test_views_that_disagree_state_no_type(maquette: Run, server: Server, views: Path) -> None:
    (views / "back" / "17.jpg").write_bytes(photograph(255))
    one = linked(maquette, server, "--id-from", "stem")["Object 17"]
    assert "classified_as" not in one
    assert {assertion["classified_as"][0]["_label"] for assertion in one["attributed_by"]} == {"Possibly"}


def test_an_annotation_names_the_object(maquette: Run, server: Server, views: Path) -> None:
    words = ("--format", "web-annotation", "--id-from", "stem")
    document = json.loads(maquette("classify", views, *words, "--server", server.address).stdout)
    validate(document, "web-annotation")
    assert [one["target"]["dcterms:identifier"] for one in document["first"]["items"]] == ["17", "17", "18", "19"]


def test_an_object_is_one_work_on_the_map(maquette: Run, server: Server, views: Path, tmp_path: Path) -> None:
    run = ("--columns", "own.csv", "--id-from", "stem", "--server", server.address)
    maquette("cluster", "photos", "-o", "report", *run)
    maquette("embed", "photos", "--page", "plane.html", "-o", "out.csv", *run)
    for path in (tmp_path / "report" / "map.html", tmp_path / "plane.html"):
        page = Page(path)
        assert page.data["names"][:3] == ["17", "18", "19"]
        assert page.column("culture")[:3] in (["Colima", "Nayarit", None], ["Colima", "Nayarit", "no value"])
        assert page.column("photographs")[:3] == [2, 1, 1]
        assert [len(one) for one in page.data["views"]] == [1, 0, 0]
    assert len(rows(tmp_path / "report" / "works.csv")) == 5, "the records are of photographs"


def test_photographs_of_one_name_in_two_folders_are_told_apart(
    maquette: Run, server: Server, views: Path, tmp_path: Path
) -> None:
    done = maquette("cluster", "photos/front", "photos/back", "-o", "report", "--server", server.address)
    assert done.returncode == 1
    assert Page(tmp_path / "report" / "map.html").data["names"] == [
        "photos/front/17.jpg",
        "18.jpg",
        "19.jpg",
        "photos/back/17.jpg",
    ]
