"""The OpenAPI documents are valid and say what the protos say."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor
from openapi_spec_validator import OpenAPIV31SpecValidator

from services.classify.predictor import Parameters as ClassifyParameters
from services.cluster_assign.predictor import Parameters as AssignParameters
from services.common import errors, images, openapi
from services.embed_latent.predictor import Parameters as EmbedParameters
from services.remove_background.predictor import Parameters as RemoveParameters
from tests.serving import KINDS

PARAMETERS = {
    "classify": ClassifyParameters,
    "cluster_assign": AssignParameters,
    "embed_latent": EmbedParameters,
    "remove_background": RemoveParameters,
}


@pytest.fixture(params=KINDS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def document(name: str) -> dict[str, Any]:
    kind = KINDS[name]
    gets = {path: f"{rpc}Response" for path, rpc in kind.gets.items()}
    return openapi.document(name, posts={kind.path: (f"{kind.rpc}Response", PARAMETERS[name])}, gets=gets)


def test_it_is_valid(document: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(document).validate()


def test_schemas_have_the_fields_of_the_proto(name: str, document: dict[str, Any]) -> None:
    file = KINDS[name].pb.DESCRIPTOR
    messages: list[Descriptor] = [
        message for each in (file, *file.dependencies) for message in each.message_types_by_name.values()
    ]
    assert {message.name for message in messages} | {"Problem"} == set(document["components"]["schemas"])
    for message in messages:
        schema = document["components"]["schemas"][message.name]
        assert list(schema["properties"]) == [field.name for field in message.fields], message.name


def test_everything_is_described(name: str, document: dict[str, Any]) -> None:
    assert document["info"]["description"]
    for message, schema in document["components"]["schemas"].items():
        assert schema["description"], message
        if message != "Problem":
            for field, described in schema["properties"].items():
                assert described["description"], f"{message}.{field}"
    for parameter in document["paths"][KINDS[name].path]["post"]["parameters"]:
        assert parameter["description"], parameter["name"]


def test_every_code_is_listed_where_it_may_come(name: str, document: dict[str, Any]) -> None:
    responses = document["paths"][KINDS[name].path]["post"]["responses"]
    listed = ", ".join(response["description"] for response in responses.values()).split(", ")
    assert set(errors.TABLE) <= set(listed)
    assert document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"] == sorted(errors.TABLE)


def test_bodies_may_be_raw_multipart_or_json(name: str, document: dict[str, Any]) -> None:
    content = document["paths"][KINDS[name].path]["post"]["requestBody"]["content"]
    assert set(content) == {"multipart/form-data", "application/json", *images.MEDIA_TYPES}


def test_pictures_are_answers_too() -> None:
    document = openapi.document(
        "remove_background",
        posts={"/v1/remove-background": ("RemoveBackgroundResponse", RemoveParameters)},
        gets={},
        pictures=("image/png",),
    )
    OpenAPIV31SpecValidator(document).validate()
    answers = document["paths"]["/v1/remove-background"]["post"]["responses"]["200"]["content"]
    assert set(answers) == {"application/json", "image/png"}
