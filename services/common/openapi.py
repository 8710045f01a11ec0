"""The OpenAPI document of a service, made from its operations and the protos, so that nothing is written twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from services.common import batches, errors, forms, http, images, schemas
from services.common.fetching import FIELD as IMAGE_URL
from services.common.fetching import LONGEST as LONGEST_ADDRESS
from services.common.in_order import LONGEST_ID
from services.common.operations import Operation

# Of the contract: the second part grows with what is added, the first when a path or a field goes.
VERSION = "1.1.0"
_PROBLEM = {
    "type": "object",
    "description": "RFC 9457 problem details.",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "One sentence that says what to do."},
        "code": {"type": "string", "enum": sorted(errors.TABLE)},
        "request_id": {"type": "string"},
        "retry_after": {
            "type": "integer",
            "description": "Seconds after which asking again may help; absent where it does not.",
        },
    },
}
_REQUEST_ID = {"description": "Your own, or one made here; the log knows it.", "schema": {"type": "string"}}
_RETRY_AFTER = {"description": "Seconds.", "schema": {"type": "integer"}}
_OWN_ID = "Your own id of the photograph, given back."
_ADDRESS = "Where the photograph is, instead of the photograph: on a host that the service fetches from (MAQUETTE_SOURCES)."
_ONE = (
    f"The photograph is the body, as {', '.join(images.MEDIA_TYPES)} or without a name, or a file of a form, or in base64 in a "
    f"JSON object; or `{IMAGE_URL}` says where it is. Parameters may be fields of the form or the object as well. A parameter "
    "that is given twice with two values is refused."
)
_MANY = {
    "Batch": (
        "A form of any number of files, answered in order while it arrives: a line for each, with its answer or its error, "
        "as a JSON array or, where `Accept` names application/x-ndjson, as JSON lines. "
        "Parameters hold for all. To go on with a batch that broke off, send the files that have no line."
    ),
    "Archive": (
        "A form of files, at most the limit of one photograph together, whose names may have sub-folders. The zip holds a mask "
        "for each, named as a program wants it, and masks.jsonl: a line for each with its report or its error."
    ),
    "Examples": (
        "A form of 1 to 32 photographs, each followed by its mask or by its hints as a file of JSON, at most the limit of one "
        "photograph together. The answer is what was learnt; every mask request may carry it."
    ),
}
_OLD = {
    "/v1/remove-background": "It answers one picture as PNG, and two as JSON.",
    "/v1/decode": "It answers one point as PNG unless `Accept` names JSON.",
}
_PAGES = {
    "/livez": ("isAlive", "The process runs."),
    "/readyz": ("isReady", "The model answers."),
    "/metrics": ("metrics", "Prometheus metrics."),
}


def document(service: str, operations: Iterable[Operation], port: int) -> dict[str, Any]:
    """``port`` is the service's own, for whoever reads the document without its address."""
    paths: dict[str, Any] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _Described(service, operation).document()
    for path, (name, summary) in _PAGES.items():
        failures = _failures("NOT_READY") if path == "/readyz" else {}
        text = {"content": {"text/plain": {"schema": {"type": "string"}}}} if path == "/metrics" else {}
        answers = {"200": {"description": summary, **text}, **failures}
        paths[path] = {
            "get": {
                "operationId": name,
                "tags": ["operations"],
                "summary": summary,
                "description": summary,
                "security": [],
                "responses": answers,
            }
        }
    known = (
        schemas.schemas(service) | {"Problem": _PROBLEM} | {f"{rpc}Line": _line(service, rpc) for rpc in _batched(operations)}
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"Maquette {service}",
            "version": VERSION,
            "description": schemas.comments(service)[""],
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "contact": {"name": "Whoever runs this service"},
        },
        "servers": [
            {"url": "/", "description": "The host that this document came from."},
            {"url": f"http://localhost:{port}", "description": "The service as `make serve` starts it."},
        ],
        "tags": [
            {"name": service, "description": schemas.comments(service)[""]},
            {"name": "operations", "description": "Probes and metrics."},
        ],
        "security": [{}, {"key": []}, {"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": _reachable(paths, known),
            "securitySchemes": {
                "key": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "x-api-key",
                    "description": "Where the service asks for a key.",
                },
                "bearer": {"type": "http", "scheme": "bearer", "description": "The same key in `Authorization`."},
            },
        },
    }


class _Described:
    """One operation, as OpenAPI writes it."""

    def __init__(self, service: str, operation: Operation) -> None:
        self._service, self._operation, self._message = service, operation, operation.response or f"{operation.rpc}Response"

    def document(self) -> dict[str, Any]:
        operation = self._operation
        summary = schemas.comments(self._service)[operation.rpc]
        described: dict[str, Any] = {
            "operationId": self._name(),
            "tags": [self._service],
            "summary": f"{summary.partition('. ')[0].rstrip('.')}{self._for_many()}.",
            "description": self._description(summary),
            "parameters": self._parameters(),
            "responses": {"200": self._answer(), **_failures(*self._codes())},
        }
        if operation.method == "POST":
            described["requestBody"] = {"required": True, "content": self._body()}
        return described | ({"deprecated": True} if operation.instead else {})

    @property
    def _one_photograph(self) -> bool:
        operation = self._operation
        return operation.method == "POST" and not operation.request and not operation.form_of_many

    def _for_many(self) -> str:
        return ", for many photographs" if self._operation.form_of_many in ("Batch", "Archive") else ""

    def _name(self) -> str:
        label = self._operation.label
        if self._operation.instead:
            return "old" + self._operation.path.rpartition("/")[2].title().replace("-", "")
        return label[0].lower() + label[1:]

    def _description(self, summary: str) -> str:
        operation = self._operation
        if operation.instead:
            old = _OLD.get(operation.path, "")
            return f"Deprecated, and gone with the next minor version: use {operation.instead}. {old}".strip()
        if operation.form_of_many:
            return _MANY[operation.form_of_many]
        return f"{summary} {_ONE}" if self._one_photograph else summary

    def _codes(self) -> list[str]:
        if self._operation.method == "GET":
            return ["PARAMETER_INVALID", "UNAUTHENTICATED", "NOT_READY", "INTERNAL"]
        return [code for code in errors.TABLE if not self._operation.request or not code.startswith(("IMAGE_", "SOURCE_"))]

    def _own(self, *, objects: bool) -> dict[str, Any]:
        """The schemas of its parameters: those that are JSON objects, which a body has, or the others, which the query has."""
        schema = self._operation.parameters.model_json_schema()
        every = {name: _in_place(each, schema.get("$defs", {})) for name, each in schema.get("properties", {}).items()}
        return {name: each for name, each in every.items() if (each.get("type") == "object") is objects}

    def _parameters(self) -> list[dict[str, Any]]:
        own = self._own(objects=False)
        if self._one_photograph:
            own[forms.ID] = {"type": "string", "maxLength": LONGEST_ID, "description": _OWN_ID}
        return [
            {"name": name, "in": "query", "required": False, "description": each.pop("description", ""), "schema": each}
            for name, each in own.items()
        ]

    def _body(self) -> dict[str, Any]:
        operation = self._operation
        if operation.request:
            return _content(operation.request)
        binary = {"type": "string", "format": "binary"}
        as_text = {
            name: {"type": "string", "description": f"As JSON: {each['description']}."}
            for name, each in self._own(objects=True).items()
        }
        if operation.form_of_many:
            properties: dict[str, Any] = {
                **as_text,
                forms.FILES: {"type": "array", "minItems": 1, "items": binary, "description": "The photographs."},
            }
            if operation.form_of_many == "Examples":
                properties["masks"] = {"type": "array", "items": binary, "description": "Each after its photograph."}
                properties["hints"] = properties["masks"]
            if operation.form_of_many == "Batch":
                ids = {"type": "array", "items": {"type": "string", "maxLength": LONGEST_ID}}
                description = "Your own ids of the photographs, in their order, each before its file."
                properties = {forms.ID: ids | {"description": description}, **properties}
            # No `required`: generated programs send what is required first, and the ids would come after the files.
            return {"multipart/form-data": {"schema": {"type": "object", "properties": properties}}}
        form = {forms.FIELD: {**binary, "description": "The photograph."}, IMAGE_URL: _address(), **as_text}
        encoded = {forms.FIELD: {"type": "string", "format": "byte", "description": "The photograph, in base64."}}
        given = encoded | {IMAGE_URL: _address()} | self._own(objects=True)
        return {
            "multipart/form-data": {"schema": {"type": "object", "properties": form}},
            http.JSON: {"schema": {"type": "object", "properties": given}},
            "application/octet-stream": {"schema": binary},
        }

    def _answer(self) -> dict[str, Any]:
        operation = self._operation
        content: dict[str, Any] = {}
        for media in operation.media:
            line = {"$ref": f"#/components/schemas/{operation.rpc}Line"}
            if media == http.JSON and operation.form_of_many == "Batch":
                content[media] = {"schema": {"type": "array", "items": line}}
            elif media == http.JSON:
                content |= _content(self._message)
            elif media == batches.LINES:
                described = {"type": "string", "contentMediaType": "application/json", "contentSchema": line}
                content[media] = {"schema": {**described, "description": "JSON objects, one a line, each of this schema."}}
            else:
                content[media] = {"schema": {"type": "string", "format": "binary"}}
        answer: dict[str, Any] = {"description": "The answer.", "headers": {"X-Request-ID": _REQUEST_ID}, "content": content}
        if http.PNG in operation.media:
            answer["headers"][http.ANSWER_HEADER] = {
                "description": "Beside a picture: the rest of the answer as JSON, without the pictures.",
                "content": _content(self._message),
            }
        return answer


def _address() -> dict[str, Any]:
    return {"type": "string", "format": "uri", "maxLength": LONGEST_ADDRESS, "description": _ADDRESS}


def _batched(operations: Iterable[Operation]) -> set[str]:
    return {operation.rpc for operation in operations if operation.form_of_many == "Batch"}


def _line(service: str, rpc: str) -> dict[str, Any]:
    """A line of a batch: the fields of the answer, or an error, after what says of which photograph it is."""
    answer = schemas.schemas(service)[f"{rpc}Response"]
    head = {
        "index": {"type": "integer", "minimum": 0, "description": "The photograph's place in the request, from 0."},
        "file": {"type": "string", "description": "The name its sender gave it."},
        "id": {"type": "string", "description": "The caller's own id of it."},
        "error": {"$ref": "#/components/schemas/Problem", "description": "Why it has no answer."},
    }
    description = (
        "The answer to one photograph, or its error. An error without `index` ends the batch: send what has no line again."
    )
    return {
        "type": "object",
        "description": description,
        "properties": head | {name: own for name, own in answer["properties"].items() if name not in head},
    }


def _reachable(paths: Any, known: Mapping[str, Any]) -> dict[str, Any]:
    """The schemas that the paths refer to, and those that these refer to."""
    found: dict[str, Any] = {}
    waiting = [paths]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            name = str(each.get("$ref", "")).rpartition("/")[2]
            if name and name not in found:
                found[name] = known[name]
                waiting.append(known[name])
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each
    return {name: found[name] for name in known if name in found}


def _in_place(own: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """A parameter's schema without references to the model's own definitions, and without the null that no query can send."""
    rest = dict(own)
    choices = [each for each in rest.pop("anyOf", ()) if each != {"type": "null"}]
    for each in (*choices, *rest.pop("allOf", ()), {"$ref": rest.pop("$ref", "")}):
        rest = {**definitions.get(each.get("$ref", "").rpartition("/")[2], each), **rest}
    return {name: value for name, value in rest.items() if name not in ("$ref", "title") and value is not None}


def _content(message: str) -> dict[str, Any]:
    return {http.JSON: {"schema": {"$ref": f"#/components/schemas/{message}"}}}


def _failures(*codes: str) -> dict[str, Any]:
    by_status: dict[str, list[str]] = {}
    for code in codes:
        by_status.setdefault(str(errors.TABLE[code].http), []).append(code)
    content = {http.PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    answers = {}
    for status, names in sorted(by_status.items()):
        headers = {"X-Request-ID": _REQUEST_ID} | ({"Retry-After": _RETRY_AFTER} if status == "503" else {})
        answers[status] = {"description": f"{', '.join(names)}.", "headers": headers, "content": content}
    return answers
