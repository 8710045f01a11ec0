"""``POST /v1/embeddings``: many photographs in one multipart body, a row for each, as JSON lines or as an Arrow stream.

Rows are sent while the rest is at work; a bad photograph is a row with its error, and the others go on.
"""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import aclosing
from typing import Any

import nanoarrow as na
import numpy as np
from nanoarrow.ipc import StreamWriter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from protos.maquette.embed_latent.v1 import embed_latent_pb2 as pb
from services.common import bodies, errors, http, telemetry
from services.embed_latent.predictor import Parameters
from services.embed_latent.runtime import EmbedRuntime
from services.embed_latent.servicer import message

PATH = "/v1/embeddings"
ARROW, LINES = "application/vnd.apache.arrow.stream", "application/x-ndjson"
# Rows of a record batch: a caller sees the first long before a thousand are done.
ROWS = 32
OPERATION: dict[str, Any] = {
    "parameters": [
        {"name": name, "in": "query", "schema": {"type": "boolean"}, "description": field.description}
        for name, field in Parameters.model_fields.items()
    ],
    "requestBody": bodies.BATCH,
    "responses": {
        "200": {
            "description": "A row for each photograph, in order: its answer or its error. Arrow where `Accept` asks for it.",
            "content": {
                LINES: {"schema": {"type": "string", "description": "a line each: `file` and EmbedResponse, or `error`"}},
                ARROW: {"schema": {"type": "string", "format": "binary"}},
            },
        }
    },
}

Row = tuple[str, pb.EmbedResponse | errors.MaquetteError]


async def respond(runtime: EmbedRuntime, request: Request) -> Response:
    """Check everything that concerns the whole request, then stream. Raises any of the domain errors."""
    parameters = runtime.parse(dict(request.query_params))
    runtime.require_ready()
    runtime.predictor.check(parameters)
    arrow = ARROW in request.headers.get("accept", "")

    files = await bodies.read_batch(request, runtime)

    async def embed(index: int) -> pb.EmbedResponse:
        return message(runtime, await runtime.answer(files[index].data, parameters, bulk=True))

    async def content() -> AsyncIterator[bytes]:
        write = _Arrow(runtime, parameters) if arrow else _Lines()
        rows: list[Row] = []
        async with aclosing(http.batch(runtime, request, files, embed)) as answers:
            async for index, answer in answers:
                rows.append((files[index].name, answer))
                if len(rows) == ROWS:
                    yield write(rows)
                    rows = []
        yield write(rows, last=True)

    return StreamingResponse(content(), media_type=ARROW if arrow else LINES)


class _Lines:
    def __call__(self, rows: list[Row], *, last: bool = False) -> bytes:
        return b"".join(json.dumps({"file": file, **self._rest(answer)}).encode() + b"\n" for file, answer in rows)

    @staticmethod
    def _rest(answer: pb.EmbedResponse | errors.MaquetteError) -> dict[str, Any]:
        if isinstance(answer, errors.MaquetteError):
            return {"error": {"code": answer.code, "detail": answer.detail}}
        return http.as_dict(answer)


class _Arrow:
    """Record batches. What all rows share (space, version, request id) is metadata of the schema."""

    def __init__(self, runtime: EmbedRuntime, parameters: Parameters) -> None:
        self._sink = io.BytesIO()
        self._writer = StreamWriter.from_writable(self._sink)
        predictor = runtime.predictor
        columns: dict[str, tuple[na.Schema, Callable[[pb.EmbedResponse], Any]]] = {
            "latent": (na.fixed_size_list(na.float32(), len(predictor.prior.mean)), lambda answer: answer.latent)
        }
        if parameters.features:
            width = na.fixed_size_list(na.float32(), predictor.feature_dimensions)
            columns["features"] = (width, lambda answer: answer.features)
        columns |= {
            "prior_distance": (na.float32(), lambda answer: answer.prior_distance),
            "unlike_training": (na.bool_(), lambda answer: answer.unlike_training),
            "notes": (na.list_(na.string()), lambda answer: answer.notes),
        }
        self._columns = columns
        shared = {
            "embedding_space": predictor.space,
            "model_version": runtime.bundle.manifest.version,
            "request_id": telemetry.current().request_id,
        }
        types = {"file": na.string(), **{name: kind for name, (kind, _) in columns.items()}}
        fields = [na.Schema(kind, name=name) for name, kind in (types | dict.fromkeys(_ERROR, na.string())).items()]
        self._schema = na.Schema(na.Type.STRUCT, fields=fields, nullable=False, metadata=shared)

    def __call__(self, rows: list[Row], *, last: bool = False) -> bytes:
        failed = [answer if isinstance(answer, errors.MaquetteError) else None for _, answer in rows]
        good = [None if isinstance(answer, errors.MaquetteError) else answer for _, answer in rows]
        columns = [na.c_array([file for file, _ in rows], na.string())]
        for kind, value in self._columns.values():
            columns.append(_column(kind, [None if answer is None else value(answer) for answer in good]))
        columns += [
            na.c_array([error and getattr(error, name.removeprefix("error_")) for error in failed], na.string())
            for name in _ERROR
        ]
        batch = na.c_array_from_buffers(self._schema, length=len(rows), buffers=[None], children=columns)
        if rows or self._sink.tell() == 0:
            self._writer.write_stream(batch)
        if last:
            self._writer.close()
        written = self._sink.getvalue()
        self._sink.seek(0)
        self._sink.truncate()
        return written


_ERROR = ("error_code", "error_detail")


def _column(kind: na.Schema, values: list[Any]) -> Any:
    """A value or None a row -> an Arrow array of ``kind``: a primitive, a list of fixed size, or a list of strings."""
    valid = na.c_buffer(np.packbits([value is not None for value in values], bitorder="little"))
    if kind.type is na.Type.FIXED_SIZE_LIST:
        size = kind.list_size
        flat = np.array([value or [0] * size for value in values], np.float32).reshape(-1)
        return na.c_array_from_buffers(kind, len(values), [valid], children=[na.c_array(flat)])
    if kind.type is na.Type.LIST:
        lists: Iterable[list[str]] = [list(value or ()) for value in values]
        offsets = np.cumsum([0, *map(len, lists)]).astype(np.int32)
        strings = na.c_array([text for texts in lists for text in texts], na.string())
        return na.c_array_from_buffers(kind, len(values), [valid, offsets], children=[strings])
    return na.c_array(values, kind)
