"""Many photographs in one request: JSON lines, or record batches read by another implementation of Arrow."""

from __future__ import annotations

import json
from typing import Any

import httpx
import numpy as np
import openapi_spec_validator
import pyarrow as pa
import pytest

from tests import tiny
from tests.serving import Refused, Served, alike, read

ARROW = {"accept": "application/vnd.apache.arrow.stream"}


@pytest.fixture
def served(running: dict[str, Served]) -> Served:
    return running["embed_latent"]


def post(served: Served, files: dict[str, bytes], headers: dict[str, str] | None = None, **parameters: Any) -> httpx.Response:
    sent = [("images", (name, data)) for name, data in files.items()]
    return served.http.post("/v1/embeddings", params=parameters, files=sent, headers=headers)


@pytest.mark.parametrize("ids", [[], ["record 1", "record 2"]])
def test_a_streamed_batch_is_arrow_too(served: Served, ids: list[str]) -> None:
    parts: list[Any] = [("id", (None, id_)) for id_ in ids]
    parts += [("images", ("a.png", tiny.picture(1))), ("images", ("b.png", b"no image"))]
    rows = table(served.http.post("/v1/embeddings/batch", files=parts, headers=ARROW)).to_pylist()
    assert [(row["file"], row["error_code"]) for row in rows] == [("a.png", None), ("b.png", "IMAGE_UNDECODABLE")]
    assert [row["id"] for row in rows] == (ids or [None, None])


def table(response: httpx.Response) -> pa.Table:
    assert (response.status_code, response.headers["content-type"]) == (200, ARROW["accept"]), response.text
    with pa.ipc.open_stream(response.content) as reader:
        whole = reader.read_all()
    whole.validate(full=True)
    return whole


PHOTOGRAPHS = {f"sub/{number}.png": tiny.picture(number) for number in range(70)}


@pytest.mark.parametrize("features", [False, True])
def test_arrow_rows_are_the_answers_of_single_calls(served: Served, features: bool) -> None:
    rows = table(post(served, PHOTOGRAPHS, ARROW, features=features))
    assert rows["file"].to_pylist() == list(PHOTOGRAPHS)
    assert rows.schema.field("latent").type == pa.list_(pa.float32(), 2)
    assert ("features" in rows.column_names) == features
    metadata = rows.schema.metadata
    assert (metadata[b"embedding_space"], metadata[b"model_version"]) == (b"tiny-plane", b"0.0.1")
    assert len(metadata[b"request_id"]) > 8
    for row in rows.to_pylist()[::17]:
        single = served.call("grpc", PHOTOGRAPHS[row["file"]], features=features)
        assert (row["error_code"], row["error_detail"]) == (None, None)
        assert alike(
            {name: single[name] for name in row if name in single}, {name: row[name] for name in row if name in single}
        )
        assert {"latent", "prior_distance", "unlike_training", "notes"} <= row.keys() & single.keys()


def test_a_bad_photograph_is_a_row_with_its_error(served: Served) -> None:
    files = {"a.png": tiny.picture(1), "b.png": b"no image", "c.png": tiny.picture(2)[:200], "ü.png": tiny.picture(3)}
    rows = table(post(served, files, ARROW, features=True)).to_pylist()
    assert [row["error_code"] for row in rows] == [None, "IMAGE_UNDECODABLE", "IMAGE_TRUNCATED", None]
    assert [row["file"] for row in rows] == list(files)
    for row in rows[1:3]:
        assert {row[name] for name in ("latent", "features", "prior_distance", "unlike_training", "notes")} == {None}
        assert row["error_detail"]
    assert np.isfinite(rows[3]["latent"]).all()
    lines = [json.loads(line) for line in post(served, files, features=True).text.splitlines()]
    assert [line.get("error", {}).get("code") for line in lines] == [row["error_code"] for row in rows]
    assert lines[0]["latent"] == pytest.approx(rows[0]["latent"])


def test_nothing_but_bad_photographs(served: Served) -> None:
    rows = table(post(served, {"a.png": b"x", "b.png": b""}, ARROW))
    assert rows["latent"].null_count == 2
    assert rows["error_code"].to_pylist() == ["IMAGE_UNDECODABLE", "IMAGE_MISSING"]


def test_notes_are_a_list(served: Served) -> None:
    pages = tiny.picture(1, format_="TIFF", save_all=True, append_images=[])
    rows = table(post(served, {"a.tif": pages, "b.png": tiny.picture()}, ARROW)).to_pylist()
    assert [row["notes"] for row in rows] == [served.call("grpc", pages)["notes"], []]


def test_json_lines_are_the_default(served: Served) -> None:
    response = post(served, PHOTOGRAPHS)
    assert response.headers["content-type"].startswith("application/x-ndjson")
    lines = [json.loads(line) for line in response.text.splitlines()]
    assert [line.pop("file") for line in lines] == list(PHOTOGRAPHS)
    assert [line.pop("index") for line in lines] == list(range(len(PHOTOGRAPHS)))
    single = served.call("http", PHOTOGRAPHS["sub/5.png"])
    assert lines[5].pop("request_id") == response.headers["x-request-id"] != single.pop("request_id")
    assert alike(lines[5], single)


@pytest.mark.parametrize(
    ("body", "parameters", "code"),
    [
        ({"content": b"x"}, {}, "IMAGE_MISSING"),
        ({"files": [("other", ("a.png", b"x"))]}, {}, "IMAGE_MISSING"),
        ({"files": [("images", ("a.png", b"x"))]}, {"features": "perhaps"}, "PARAMETER_INVALID"),
        ({"files": [("images", ("a.png", b"x"))]}, {"latent": "1"}, "PARAMETER_INVALID"),
        ({"files": [("images", ("a.png", b"x"))]}, {"mask": "true"}, "PARAMETER_INVALID"),
    ],
)
def test_what_is_wrong_with_the_whole_request_is_a_problem(served: Served, body: Any, parameters: Any, code: str) -> None:
    with pytest.raises(Refused) as caught:
        read(served.http.post("/v1/embeddings/batch", params=parameters, headers=ARROW, **body))
    assert caught.value.code == code


def test_its_place_is_given_back_each_time(served: Served) -> None:
    for _ in range(5):
        table(post(served, {"a.png": tiny.picture()}, ARROW))
        assert post(served, {"a.png": tiny.picture()}, features=2).status_code == 422
        assert served.http.post("/v1/embeddings", content=b"x").status_code == 400


def test_the_document_is_valid(served: Served) -> None:
    document = served.http.get("/docs.json").json()
    openapi_spec_validator.validate(document)
    assert {"/v1/decodings", "/v1/embeddings/batch"} <= document["paths"].keys()
