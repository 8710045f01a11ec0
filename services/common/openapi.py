"""The OpenAPI document, made from the proto descriptors, so that no schema is written twice.

``protos/maquette.binpb`` is what ``make proto`` writes: the descriptors with their comments, which become descriptions.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto

from services.common import batches, bodies, errors, http, images, settings
from services.common.in_order import LONGEST_ID
from services.common.operations import Operation

VERSION = "1.1.0"
_DESCRIPTORS = settings.ROOT / "protos" / "maquette.binpb"
_SCALARS: dict[int, dict[str, Any]] = {
    FieldDescriptorProto.TYPE_STRING: {"type": "string"},
    FieldDescriptorProto.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptorProto.TYPE_UINT32: {"type": "integer", "minimum": 0},
    FieldDescriptorProto.TYPE_FLOAT: {"type": "number", "format": "float"},
    FieldDescriptorProto.TYPE_DOUBLE: {"type": "number", "format": "double"},
    FieldDescriptorProto.TYPE_BYTES: {"type": "string", "format": "byte"},
}
_MESSAGE, _FIELD, _SERVICE = 4, 2, 6
_WELL_KNOWN = {".google.protobuf.Timestamp": {"type": "string", "format": "date-time"}}
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
_ONE = (
    "The photograph is the body, or a file of a form; parameters may then be fields of the form as well. "
    "A parameter that is given twice with two values is refused."
)
_MANY = {
    "Batch": (
        "A form of any number of files, answered in order while it arrives: a line for each, with its answer or its error. "
        "Parameters hold for all. To go on with a batch that broke off, send the files that have no line."
    ),
    "Archive": (
        "A form of files, at most the limit of one photograph together, whose names may have sub-folders. The zip holds a mask "
        "for each, named as a program wants it, and masks.jsonl: a line for each with its report or its error."
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
        answers = {"200": {"description": summary}, **failures}
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
    known = _schemas(service) | {"Problem": _PROBLEM} | {f"{rpc}Line": _line(service, rpc) for rpc in _batched(operations)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"Maquette {service}",
            "version": VERSION,
            "description": _comments(service)[""],
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "contact": {"name": "Whoever runs this service"},
        },
        "servers": [
            {"url": "/", "description": "The host that this document came from."},
            {"url": f"http://localhost:{port}", "description": "The service as `make serve` starts it."},
        ],
        "tags": [
            {"name": service, "description": _comments(service)[""]},
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
        self._service, self._operation, self._message = service, operation, f"{operation.rpc}Response"

    def document(self) -> dict[str, Any]:
        operation = self._operation
        summary = _comments(self._service)[operation.rpc]
        described: dict[str, Any] = {
            "operationId": self._name(),
            "tags": [self._service],
            "summary": f"{summary.partition('. ')[0].rstrip('.')}{', for many photographs' if operation.form_of_many else ''}.",
            "description": self._description(summary),
            "parameters": self._parameters(),
            "responses": {"200": self._answer(), **_failures(*self._codes())},
        }
        if operation.method == "POST":
            described["requestBody"] = {"required": True, "content": self._body()}
        return described | ({"deprecated": True} if operation.instead else {})

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
        return f"{summary} {_ONE}" if operation.method == "POST" and not operation.request else summary

    def _codes(self) -> list[str]:
        if self._operation.method == "GET":
            return ["PARAMETER_INVALID", "UNAUTHENTICATED", "NOT_READY", "INTERNAL"]
        return [code for code in errors.TABLE if not self._operation.request or not code.startswith("IMAGE_")]

    def _parameters(self) -> list[dict[str, Any]]:
        schema = self._operation.parameters.model_json_schema()
        own = (
            {name: _in_place(each, schema.get("$defs", {})) for name, each in schema["properties"].items()}
            if ("properties" in schema)
            else {}
        )
        if self._operation.method == "POST" and not self._operation.request and not self._operation.form_of_many:
            own[bodies.ID] = {"type": "string", "maxLength": LONGEST_ID, "description": _OWN_ID}
        return [
            {"name": name, "in": "query", "required": False, "description": each.pop("description", ""), "schema": each}
            for name, each in own.items()
        ]

    def _body(self) -> dict[str, Any]:
        operation = self._operation
        if operation.request:
            return _content(operation.request)
        binary = {"type": "string", "format": "binary"}
        if operation.form_of_many:
            properties = {
                bodies.ID: {
                    "type": "array",
                    "items": {"type": "string", "maxLength": LONGEST_ID},
                    "description": "Your own ids of the photographs, in their order, each before its file.",
                },
                bodies.FILES: {"type": "array", "minItems": 1, "items": binary, "description": "The photographs."},
            }
            return {"multipart/form-data": {"schema": {"type": "object", "required": [bodies.FILES], "properties": properties}}}
        form = {bodies.FIELD: {**binary, "description": "The photograph."}}
        return {
            "multipart/form-data": {"schema": {"type": "object", "required": [bodies.FIELD], "properties": form}},
            "application/octet-stream": {"schema": binary},
            **{media: {"schema": binary} for media in images.MEDIA_TYPES},
        }

    def _answer(self) -> dict[str, Any]:
        operation = self._operation
        content: dict[str, Any] = {}
        for media in operation.media:
            if media == http.JSON:
                content |= _content(self._message)
            elif media == batches.LINES:
                line = {"$ref": f"#/components/schemas/{operation.rpc}Line"}
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


def _batched(operations: Iterable[Operation]) -> set[str]:
    return {operation.rpc for operation in operations if operation.form_of_many == "Batch"}


def _line(service: str, rpc: str) -> dict[str, Any]:
    """A line of a batch: the fields of the answer, or an error, after what says of which photograph it is."""
    answer = _schemas(service)[f"{rpc}Response"]
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


@functools.cache
def _files() -> dict[str, FileDescriptorProto]:
    every = descriptor_pb2.FileDescriptorSet.FromString(_DESCRIPTORS.read_bytes())
    return {file.package.split(".")[1]: file for file in every.file if file.package.startswith("maquette.")}


def _schemas(service: str) -> dict[str, Any]:
    return {
        message.name: _schema(message, file.enum_type, comments)
        for file, comments in ((_files()[name], _comments(name)) for name in (service, "common"))
        for message in file.message_type
    }


def _schema(message: DescriptorProto, enums: Any, comments: Mapping[str, str]) -> dict[str, Any]:
    maps = {nested.name: nested for nested in message.nested_type if nested.options.map_entry}
    properties, required = {}, []
    for field in message.field:
        name = field.type_name.rpartition(".")[2]
        if name in maps:
            schema: dict[str, Any] = {"type": "object", "additionalProperties": _field(maps[name].field[1], enums)}
        else:
            schema = _field(field, enums)
            if field.label == FieldDescriptorProto.LABEL_REPEATED:
                schema = {"type": "array", "items": schema}
        described = schema | {"description": comments[f"{message.name}.{field.name}"]}
        properties[field.name] = described | ({"deprecated": True} if field.options.deprecated else {})
        if not field.proto3_optional:  # such a field is in every answer, whatever its value
            required.append(field.name)
    return {"type": "object", "description": comments[message.name], "required": required, "properties": properties}


def _field(field: FieldDescriptorProto, enums: Any) -> dict[str, Any]:
    name = field.type_name.rpartition(".")[2]
    if field.type_name in _WELL_KNOWN:
        return dict(_WELL_KNOWN[field.type_name])
    if field.type == FieldDescriptorProto.TYPE_MESSAGE:
        return {"$ref": f"#/components/schemas/{name}"}
    if field.type == FieldDescriptorProto.TYPE_ENUM:
        values: list[EnumDescriptorProto] = [enum for enum in enums if enum.name == name]
        return {"type": "string", "enum": [value.name for value in values[0].value]}
    return dict(_SCALARS[field.type])


def _comments(service: str) -> dict[str, str]:
    """``Message``, ``Message.field`` and ``Rpc`` -> comment; the empty name is the package's."""
    file = _files()[service]
    found = {}
    for location in file.source_code_info.location:
        path, text = list(location.path), " ".join(location.leading_comments.split())
        if path == [2]:
            found[""] = text
        elif len(path) == 2 and path[0] == _MESSAGE:
            found[file.message_type[path[1]].name] = text
        elif len(path) == 4 and path[0] == _MESSAGE and path[2] == _FIELD:
            message = file.message_type[path[1]]
            found[f"{message.name}.{message.field[path[3]].name}"] = text
        elif len(path) == 4 and path[0] == _SERVICE:
            found[file.service[path[1]].method[path[3]].name] = text
    return found
