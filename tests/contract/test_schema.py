"""Every HTTP answer is what /docs.json says it is."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from tests import tiny
from tests.serving import KINDS, Served

GOOD = tiny.picture()


@pytest.fixture(params=KINDS)
def served(request: pytest.FixtureRequest, running: dict[str, Served]) -> Served:
    return running[request.param]


def strict(schema: Any) -> Any:
    """The document's schemas leave room for fields of later versions; an answer of this version has none but its own."""
    if isinstance(schema, dict):
        closed = {key: strict(value) for key, value in schema.items()}
        if schema.get("type") == "object" and "properties" in schema:
            closed |= {"additionalProperties": False}
        return closed
    return [strict(each) for each in schema] if isinstance(schema, list) else schema


def hold(served: Served, response: httpx.Response, body: Any = None) -> None:
    """Raise when an answer is not what the document says of its path, method, status and media type."""
    document = served.http.get("/docs.json").json()
    request = response.request
    operation = document["paths"][request.url.path][request.method.lower()]
    content = operation["responses"][str(response.status_code)]["content"]
    if body is None:
        described = content[response.headers["content-type"]]
    else:
        described = operation["responses"]["200"]["headers"]["X-Maquette-Answer"]["content"]["application/json"]
    schema = {**described["schema"], "components": strict(document["components"])}
    Draft202012Validator(schema).validate(response.json() if body is None else body)


def test_answers(served: Served) -> None:
    parameters = {"id": "17"} | ({"output": "both-as-json"} if served.kind.name == "remove_background" else {})
    for path in (served.kind.noun, served.kind.path):
        response = served.http.post(path, content=GOOD, params=parameters)
        assert response.status_code == httpx.codes.OK
        hold(served, response)


def test_batches(served: Served) -> None:
    files = [("images", ("a.png", GOOD)), ("images", ("b.png", b"no image"))]
    response = served.http.post(f"{served.kind.noun}/batch", files=files)
    assert response.status_code == httpx.codes.OK
    hold(served, response)


def test_the_header_beside_a_picture(running: dict[str, Served]) -> None:
    served = running["remove_background"]
    for output, field in (("mask", "mask"), ("cutout", "cutout")):
        response = served.http.post(served.kind.path, content=GOOD, params={"output": output, "id": "17"})
        answer = json.loads(response.headers["x-maquette-answer"])
        assert field not in answer
        hold(served, response, answer)


def test_questions(served: Served) -> None:
    for path in served.kind.gets:
        hold(served, served.http.get(path))


@pytest.mark.parametrize(
    ("body", "parameters"),
    [(b"", {}), (b"text", {}), (GOOD[:200], {}), (b"GIF89a", {}), (GOOD, {"nonsense": "1"})],
    ids=["missing", "undecodable", "truncated", "format", "parameter"],
)
def test_problems(served: Served, body: bytes, parameters: dict[str, str]) -> None:
    response = served.http.post(served.kind.noun, content=body, params=parameters)
    assert response.status_code >= httpx.codes.BAD_REQUEST
    hold(served, response)


def test_parameters_are_the_proto_s(served: Served) -> None:
    """HTTP's parameters and the fields of the gRPC request are the same, by name."""
    document = served.http.get("/docs.json").json()
    operation = document["paths"][served.kind.noun]["post"]
    over_http = {parameter["name"] for parameter in operation["parameters"]}
    over_http |= set(operation["requestBody"]["content"]["application/json"]["schema"]["properties"])
    request = served.kind.pb.DESCRIPTOR.message_types_by_name[f"{served.kind.rpc}Request"]
    assert over_http == {field.name for field in request.fields}
