"""The OpenAPI documents, as the services serve them, are valid and say what the protos, the routes and the manifests say."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor
from openapi_spec_validator import OpenAPIV31SpecValidator

from services.common import errors
from tests.k8s import rendered
from tests.serving import KINDS, Served

PAGES = {"/livez", "/readyz", "/metrics"}


@pytest.fixture(params=KINDS)
def served(request: pytest.FixtureRequest, running: dict[str, Served]) -> Served:
    return running[request.param]


@pytest.fixture
def document(served: Served) -> dict[str, Any]:
    return dict(served.http.get("/docs.json").json())


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {f"{method} {path}": each for path, item in document["paths"].items() for method, each in item.items()}


def test_it_is_valid(document: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(document).validate()


def test_answers_have_the_fields_of_the_proto_in_their_order(served: Served, document: dict[str, Any]) -> None:
    file = served.kind.pb.DESCRIPTOR
    messages: dict[str, Descriptor] = {
        name: message for each in (file, *file.dependencies) for name, message in each.message_types_by_name.items()
    }
    schemas = document["components"]["schemas"]
    assert f"{served.kind.rpc}Response" in schemas
    for name in messages.keys() & schemas.keys():
        fields = messages[name].fields
        assert list(schemas[name]["properties"]) == [field.name for field in fields], name
        optional = {field.name for field in fields if field.has_presence and not field.message_type}
        assert set(schemas[name]["required"]) == {field.name for field in fields} - optional, name
    line = schemas[f"{served.kind.rpc}Line"]["properties"]
    assert set(line) == {"index", "file", "id", "error"} | set(schemas[f"{served.kind.rpc}Response"]["properties"])


def test_no_schema_is_dead(document: dict[str, Any]) -> None:
    used = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert used == set(document["components"]["schemas"])


def test_every_operation_says_what_it_is(document: dict[str, Any]) -> None:
    every = operations(document)
    names = [operation["operationId"] for operation in every.values()]
    assert len(set(names)) == len(names)
    for name, operation in every.items():
        assert operation["summary"] and operation["description"] and operation["tags"], name
        parameters = [parameter["name"] for parameter in operation.get("parameters", ())]
        assert all(parameter["description"] for parameter in operation.get("parameters", ())), name
        form = operation.get("requestBody", {}).get("content", {}).get("multipart/form-data", {}).get("schema", {})
        assert not set(parameters) & set(form.get("properties", ())), "a parameter is documented once"
        for parameter in operation.get("parameters", ()):
            assert {"type": "null"} not in parameter["schema"].get("anyOf", []), "no query can send null"
        if "post" in name:
            listed = ", ".join(response["description"].rstrip(".") for response in operation["responses"].values())
            wanted = (
                set(errors.TABLE) if form else {code for code in errors.TABLE if not code.startswith(("IMAGE_", "SOURCE_"))}
            )
            assert wanted <= set(listed.split(", ")), name
        for content in operation["responses"]["200"].get("content", {}):
            beside_a_picture = "X-Maquette-Answer" in operation["responses"]["200"].get("headers", {})
            assert content != "image/png" or beside_a_picture


def test_old_paths_are_deprecated_and_lead_to_the_new_ones(served: Served, document: dict[str, Any]) -> None:
    old = {name for name, operation in operations(document).items() if operation.get("deprecated")}
    assert {f"post {served.kind.path}", "get /v1/model"} <= old
    for name in old:
        [instead] = re.findall(r"use (/v1/[\w/-]+)\.", operations(document)[name]["description"])
        assert f"{name.partition(' ')[0]} {instead}" in operations(document)


def test_the_gateway_and_the_ingress_route_every_path(served: Served, document: dict[str, Any]) -> None:
    service = served.kind.name.replace("_", "-")
    wanted = set(document["paths"]) - PAGES - {"/v1/model"}
    [route] = [thing for thing in rendered.objects("components/gateway-api") if thing["kind"] == "HTTPRoute"]
    rules = [rule for rule in route["spec"]["rules"] if rule["backendRefs"][0]["name"] == f"{service}-http"]
    paths = {match["path"]["value"] for rule in rules for match in rule["matches"]}
    assert paths == wanted | {f"/{service}/v1/model"}
    ingresses = [thing for thing in rendered.objects("components/ingress-nginx") if thing["kind"] == "Ingress"]
    routed = {
        path["path"]: ingress["metadata"]["annotations"]
        for ingress in ingresses
        for path in ingress["spec"]["rules"][0]["http"]["paths"]
        if path["backend"]["service"]["name"] == f"{service}-http"
    }
    assert routed.keys() == wanted
    for path, notes in routed.items():
        unlimited = notes["nginx.ingress.kubernetes.io/proxy-body-size"] == "0"
        assert unlimited == path.endswith("/batch"), "a batch has no limit in all, everything else has"


def test_four_services_share_a_host(running: dict[str, Served]) -> None:
    seen: set[str] = set()
    for name in KINDS:
        paths = set(running[name].http.get("/docs.json").json()["paths"]) - PAGES - {"/v1/model"}
        assert not paths & seen
        seen |= paths


def test_a_linter_has_nothing_to_say(served: Served, document: dict[str, Any], tmp_path: Path) -> None:
    """Spectral's rules for OpenAPI, where npm has installed it."""
    program = Path(sys.prefix) / "node/node_modules/.bin/spectral"
    if not program.exists():
        pytest.skip("spectral is not installed: `make clients` does it where there is npm")
    (tmp_path / "docs.json").write_text(json.dumps(document))
    (tmp_path / "rules.yaml").write_text('extends: ["spectral:oas"]\n')
    command = [program, "lint", "docs.json", "--ruleset", "rules.yaml", "--fail-severity", "hint"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
