"""The OpenAPI document, made from the proto descriptors, so that no schema is written twice.

``protos/maquette.binpb`` is what ``make proto`` writes: the descriptors with their comments, which become descriptions.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto
from pydantic import BaseModel

from services.common import errors, images, settings
from services.common.in_order import LONGEST_ID

_DESCRIPTORS = settings.ROOT / "protos" / "maquette.binpb"
_SCALARS: dict[int, dict[str, Any]] = {
    FieldDescriptorProto.TYPE_STRING: {"type": "string"},
    FieldDescriptorProto.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptorProto.TYPE_UINT32: {"type": "integer", "minimum": 0},
    FieldDescriptorProto.TYPE_FLOAT: {"type": "number", "format": "float"},
    FieldDescriptorProto.TYPE_DOUBLE: {"type": "number", "format": "double"},
    FieldDescriptorProto.TYPE_BYTES: {"type": "string", "format": "byte"},
}
_BASE64 = {"type": "string", "format": "byte", "description": "The photograph, in base64."}
_MESSAGE, _FIELD, _NESTED = 4, 2, 3
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
    },
}


def document(
    service: str,
    *,
    posts: Mapping[str, tuple[str, type[BaseModel]]],
    gets: Mapping[str, str],
    pictures: tuple[str, ...] = (),
) -> dict[str, Any]:
    """``posts``: path -> (response message, parameters); ``gets``: path -> response message; both named as in the proto.

    ``pictures`` are media types a POST may answer instead of JSON.
    """
    schemas = _schemas(service)
    paths: dict[str, Any] = {
        path: {"get": {"responses": {"200": _content(message), **_failures("UNAUTHENTICATED", "NOT_READY")}}}
        for path, message in gets.items()
    }
    for path, (message, parameters) in posts.items():
        answer = _content(message)
        answer["content"] |= {picture: {"schema": {"type": "string", "format": "binary"}} for picture in pictures}
        paths[path] = {"post": _post(answer, parameters)}
    for path, description in {
        "/livez": "The process runs.",
        "/readyz": "The model answers.",
        "/metrics": "Prometheus.",
    }.items():
        paths[path] = {"get": {"responses": {"200": {"description": description}}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": f"Maquette {service}", "version": "v1", "description": _comments(service)[""]},
        "servers": [{"url": "."}],
        "security": [{}, {"key": []}],
        "paths": paths,
        "components": {
            "schemas": {**schemas, "Problem": _PROBLEM},
            "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "x-api-key"}},
        },
    }


def _post(answer: dict[str, Any], parameters: type[BaseModel]) -> dict[str, Any]:
    schema = parameters.model_json_schema()
    properties = {name: _in_place(own, schema.get("$defs", {})) for name, own in schema["properties"].items()}
    properties["id"] = {"type": "string", "maxLength": LONGEST_ID, "description": "your own id of the photograph, given back"}
    form = {"image": {"type": "string", "format": "binary", "description": "The photograph."}, **properties}
    binary = {"schema": {"type": "string", "format": "binary"}}
    return {
        "parameters": [
            {"name": name, "in": "query", "required": False, "schema": schema, "description": schema.get("description", "")}
            for name, schema in properties.items()
        ],
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": {"type": "object", "required": ["image"], "properties": form}},
                "application/json": {
                    "schema": {"type": "object", "required": ["image"], "properties": {**properties, "image": _BASE64}}
                },
                **dict.fromkeys(images.MEDIA_TYPES, binary),
            },
        },
        "responses": {"200": answer, **_failures(*errors.TABLE)},
    }


def message_post(request: str, answer: str, *, pictures: tuple[str, ...] = ()) -> dict[str, Any]:
    """A POST that takes the message ``request`` as JSON and answers ``answer``, or one of the media types ``pictures``."""
    content = _content(answer)
    content["content"] |= {picture: {"schema": {"type": "string", "format": "binary"}} for picture in pictures}
    codes = [code for code in errors.TABLE if not code.startswith("IMAGE_")]
    body = {"required": True, "content": _content(request)["content"]}
    return {"requestBody": body, "responses": {"200": content, **_failures(*codes)}}


def _in_place(own: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """A parameter's schema without its reference to the model's own definitions, which leads nowhere in this document."""
    target = definitions.get(own.get("$ref", "").rpartition("/")[2], {})
    return {name: value for name, value in {**target, **own}.items() if name != "$ref"}


def _content(message: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{message}"}
    return {"description": "The answer.", "content": {"application/json": {"schema": schema}}}


def _failures(*codes: str) -> dict[str, Any]:
    by_status: dict[str, list[str]] = {}
    for code in codes:
        by_status.setdefault(str(errors.TABLE[code].http), []).append(code)
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": ", ".join(names), "content": content} for status, names in sorted(by_status.items())}


@functools.cache
def _files() -> dict[str, FileDescriptorProto]:
    every = descriptor_pb2.FileDescriptorSet.FromString(_DESCRIPTORS.read_bytes())
    return {file.package.split(".")[1]: file for file in every.file}


def _schemas(service: str) -> dict[str, Any]:
    return {
        message.name: _schema(message, file.enum_type, comments)
        for file, comments in ((_files()[name], _comments(name)) for name in (service, "common"))
        for message in file.message_type
    }


def _schema(message: DescriptorProto, enums: Any, comments: Mapping[str, str]) -> dict[str, Any]:
    maps = {nested.name: nested for nested in message.nested_type if nested.options.map_entry}
    properties = {}
    for field in message.field:
        name = field.type_name.rpartition(".")[2]
        if name in maps:
            schema: dict[str, Any] = {"type": "object", "additionalProperties": _field(maps[name].field[1], enums)}
        else:
            schema = _field(field, enums)
            if field.label == FieldDescriptorProto.LABEL_REPEATED:
                schema = {"type": "array", "items": schema}
        properties[field.name] = schema | {"description": comments[f"{message.name}.{field.name}"]}
    return {"type": "object", "description": comments[message.name], "properties": properties}


def _field(field: FieldDescriptorProto, enums: Any) -> dict[str, Any]:
    name = field.type_name.rpartition(".")[2]
    if field.type == FieldDescriptorProto.TYPE_MESSAGE:
        return {"$ref": f"#/components/schemas/{name}"}
    if field.type == FieldDescriptorProto.TYPE_ENUM:
        values: list[EnumDescriptorProto] = [enum for enum in enums if enum.name == name]
        return {"type": "string", "enum": [value.name for value in values[0].value]}
    return dict(_SCALARS[field.type])


def _comments(service: str) -> dict[str, str]:
    """``Message`` and ``Message.field`` -> comment; the empty name is the package's."""
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
    return found
