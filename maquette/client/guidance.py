"""What a person marks or teaches, as the contract's messages: hints, adapters, and the examples these are learnt from."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from maquette.client import errors
from maquette.client.images import Image, load
from protos.maquette.remove_background.v1.remove_background_pb2 import Adapter, AdaptRequest, Hints

# A mapping as the HTTP API takes it: {"points": [{"x": 10, "y": 20, "mark": "object"}], "strokes": [...], "box": {...}}.
AnyHints = Hints | Mapping[str, Any]
# The message itself, its JSON, or a file of that.
AnyAdapter = Adapter | Mapping[str, Any] | str | os.PathLike[str]
# A photograph, with its mask as an image or its hints.
Example = tuple[Image, Image | AnyHints]


def hints_of(given: AnyHints | None) -> Hints | None:
    """Raises :class:`ParameterInvalid` for a mapping that is none."""
    if given is None or isinstance(given, Hints):
        return given
    try:
        marked = {
            **given,
            "points": [_marked(point) for point in given.get("points", ())],
            "strokes": [_stroke(stroke) for stroke in given.get("strokes", ())],
        }
        return json_format.ParseDict(marked, Hints())
    except (json_format.ParseError, AttributeError, TypeError, ValueError, KeyError) as error:
        raise errors.make("PARAMETER_INVALID", f"hints are not as the contract has them: {error}") from error


def adapter_of(given: AnyAdapter | None) -> Adapter | None:
    """Raises :class:`ParameterInvalid` for what is none, :class:`FileFailed` for a file that cannot be read."""
    if given is None or isinstance(given, Adapter):
        return given
    try:
        if isinstance(given, Mapping):
            return json_format.ParseDict(dict(given), Adapter())
        return json_format.Parse(Path(given).read_bytes(), Adapter())
    except OSError as error:
        raise errors.make("FILE_UNREADABLE", f"{given} cannot be read: {error.strerror or error}.") from error
    except (json_format.ParseError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise errors.make("PARAMETER_INVALID", f"{given} is no adapter: it should be the JSON that `adapt` made.") from error


def adapter_text(adapter: Adapter) -> str:
    """The JSON of an adapter, as :func:`adapter_of` reads it: the same for the same adapter."""
    return json_format.MessageToJson(adapter, preserving_proto_field_name=True, indent=None) + "\n"


def requests(examples: Iterable[Example], frame: str) -> Iterator[AdaptRequest]:
    """A request for each example, read when it is its turn. Raises the error of a file that cannot be read."""
    for photograph, truth in examples:
        given: dict[str, Any] = {"image": _bytes(photograph), "frame": f"FRAME_{frame.upper()}"}
        if isinstance(truth, (Hints, Mapping)):
            given["hints"] = hints_of(truth)
        else:
            given["mask"] = _bytes(truth)
        yield AdaptRequest(**given)


def _bytes(image: Image) -> bytes:
    loaded = load(image)
    if loaded.error:
        raise loaded.error
    return loaded.data


def _marked(one: Mapping[str, Any]) -> dict[str, Any]:
    mark = one["mark"]
    if mark not in ("object", "background"):
        raise ValueError(f"a mark is object or background, not {mark!r}")
    return {**one, "mark": f"MARK_{mark.upper()}"}


def _stroke(one: Mapping[str, Any]) -> dict[str, Any]:
    return {**_marked(one), "vertices": [v if isinstance(v, Mapping) else {"x": v[0], "y": v[1]} for v in one["vertices"]]}


def carried(**messages: Message | None) -> dict[str, Message]:
    """Those that are there, as fields of a request."""
    return {name: message for name, message in messages.items() if message is not None}
