"""Classifications as linked data, held by the schemas in docs/schemas."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from maquette.records.linked_data import linked_art, web_annotation
from maquette.records.records import Record
from tests.maquette.conftest import ROOT, Run
from tests.maquette.server import VERSION, Server

BUST = "http://vocab.getty.edu/aat/300047457"
SCULPTURE = "http://vocab.getty.edu/aat/300047090"


def record(*, abstained: bool = False) -> Record:
    return {
        "file": "photos/a.JPG",
        "sha256": hashlib.sha256(b"a").hexdigest(),
        "predictions": [
            {"label": "bust", "name": "Bust", "probability": 0.9123, "uri": BUST, "broader": ""},
            {"label": "head", "name": "Head", "probability": 0.07, "uri": "", "broader": SCULPTURE},
        ],
        "abstained": abstained,
        "model_version": "1.2.0",
        "request_id": "r",
        "notes": [],
    }


def validate(document: Any, name: str) -> None:
    schema = json.loads((ROOT / "docs" / "schemas" / f"{name}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(document)


def page(*annotations: dict[str, Any]) -> dict[str, Any]:
    first = {"id": "urn:x", "type": "AnnotationPage", "items": list(annotations)}
    start = {"@context": "http://www.w3.org/ns/anno.jsonld", "id": "urn:y", "type": "AnnotationCollection"}
    return {**start, "first": first, "total": len(annotations)}


@pytest.mark.parametrize("abstained", [False, True])
def test_both_keep_to_their_schema(abstained: bool) -> None:
    validate([linked_art(record(abstained=abstained))], "linked-art")
    validate(page(web_annotation(record(abstained=abstained))), "web-annotation")


def test_the_schemas_refuse_what_is_wrong() -> None:
    wrong = linked_art(record())
    wrong["classified_as"][0].pop("id")
    with pytest.raises(jsonschema.ValidationError):
        validate([wrong], "linked-art")
    with pytest.raises(jsonschema.ValidationError):
        validate([linked_art(record()) | {"probability": 1}], "linked-art")
    for change in ({"motivation": "guessing"}, {"creator": {"type": "Person", "name": "x"}}, {"body": []}, {"extra": 1}):
        with pytest.raises(jsonschema.ValidationError):
            validate(page(web_annotation(record()) | change), "web-annotation")


def test_a_type_is_stated_with_its_authority() -> None:
    found = linked_art(record())
    assert found["classified_as"] == [{"id": BUST, "type": "Type", "_label": "Bust"}]
    (assertion,) = found["attributed_by"]
    assert assertion["referred_to_by"][0]["content"] == "maquette classify 1.2.0 gives Bust a probability of 0.912."
    assert assertion["classified_as"][0]["_label"] == "Probably"
    (body,) = web_annotation(record())["body"]
    assert (body["source"], body["confidence"]) == (BUST, 0.9123)


def test_what_was_abstained_from_is_no_type() -> None:
    found = linked_art(record(abstained=True))
    assert "classified_as" not in found
    assert [one["assigned"][0]["_label"] for one in found["attributed_by"]] == ["Bust", "Head"]
    assert found["attributed_by"][1]["assigned"][0]["broader"] == [{"id": SCULPTURE, "type": "Type"}]
    body = web_annotation(record(abstained=True))["body"]
    assert (body["type"], [one.get("source") or one["value"] for one in body["items"]]) == ("Choice", [BUST, "Head"])


def test_a_photograph_is_named_by_its_hash_and_always_alike() -> None:
    uri = web_annotation(record())["target"]["id"]
    digest = uri.removeprefix("ni:///sha-256;")
    assert base64.urlsafe_b64decode(digest + "=") == hashlib.sha256(b"a").digest()
    assert linked_art(record())["id"] == linked_art(record())["id"]
    assert linked_art(record())["representation"][0]["digitally_shown_by"][0]["format"] == "image/jpeg"


@pytest.mark.parametrize("name", ["linked-art", "web-annotation"])
def test_a_folder_becomes_one_document(maquette: Run, server: Server, folder: Path, tmp_path: Path, name: str) -> None:
    (folder / "bad.jpg").write_text("no image")
    done = maquette("classify", folder, "--format", name, "-o", "out.json", "--server", server.address)
    assert done.returncode == 1
    assert "bad.jpg: The bytes are not an image." in done.stderr
    document = json.loads((tmp_path / "out.json").read_text())
    validate(document, name)
    items = document if name == "linked-art" else document["first"]["items"]
    assert len({item["id"] for item in items}) == len(items) == 3
    if name == "web-annotation":
        assert document["total"] == 3
    assert VERSION in json.dumps(items[0])
    nothing = maquette("classify", folder / "bad.jpg", "--format", name, "--server", server.address)
    validate(json.loads(nothing.stdout), name)


def test_csv_in_short(maquette: Run, server: Server, folder: Path) -> None:
    done = maquette("classify", folder, "--csv", "--server", server.address)
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [(row["type"], row["runner_up"], row["abstained"]) for row in rows] == [
        ("dark", "middling", "false"), ("middling", rows[1]["runner_up"], "false"), ("bright", "middling", "false"),
    ]  # fmt: skip
    assert all(1 > float(row["probability"]) > float(row["runner_up_probability"]) > 0 for row in rows)
    assert {row["model_version"] for row in rows} == {VERSION}
    assert "choose one" in maquette("classify", folder, "--csv", "--format", "jsonl", "--server", server.address).stderr
