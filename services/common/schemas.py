"""JSON schemas of the proto's messages, with their comments as descriptions.

``protos/maquette.binpb`` is what ``make proto`` writes: the descriptors with their comments.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto

from services.common import settings

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


@functools.cache
def _files() -> dict[str, FileDescriptorProto]:
    every = descriptor_pb2.FileDescriptorSet.FromString(_DESCRIPTORS.read_bytes())
    return {file.package.split(".")[1]: file for file in every.file if file.package.startswith("maquette.")}


def schemas(service: str) -> dict[str, Any]:
    return {
        message.name: _schema(message, file.enum_type, comments)
        for file, comments in ((_files()[name], comments(name)) for name in (service, "common"))
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


def comments(service: str) -> dict[str, str]:
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
