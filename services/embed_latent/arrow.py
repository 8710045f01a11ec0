"""A batch of embeddings as an Arrow stream: columns instead of JSON lines (docs/decisions/0008-arrow-by-nanoarrow.md)."""

from __future__ import annotations

import io
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from typing import Any

import nanoarrow as na
import numpy as np
from nanoarrow.ipc import StreamWriter

from protos.maquette.embed_latent.v1 import embed_latent_pb2 as pb
from services.common import errors, telemetry
from services.common.batches import Rows, Writer
from services.embed_latent.predictor import Parameters
from services.embed_latent.runtime import EmbedRuntime

ARROW = "application/vnd.apache.arrow.stream"
# Rows of a record batch: a caller sees the first long before a thousand are done.
ROWS = 32

Row = tuple[str | None, str | None, Any]  # file, id, EmbedResponse or error


def writer(runtime: EmbedRuntime, parameters: Parameters) -> Writer:
    """Rows -> an Arrow IPC stream in record batches of ``ROWS``."""

    async def write(answers: Rows) -> AsyncGenerator[bytes, None]:
        batches, waiting = _Arrow(runtime, parameters), list[Row]()
        async with aclosing(answers):
            async for _, file, answer in answers:
                waiting.append((file.name if file else None, file.id if file else None, answer))
                if len(waiting) == ROWS:
                    yield batches.write(waiting)
                    waiting = []
        yield batches.write(waiting, last=True)

    return write


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
        types = {"file": na.string(), "id": na.string(), **{name: kind for name, (kind, _) in columns.items()}}
        fields = [na.Schema(kind, name=name) for name, kind in (types | dict.fromkeys(_ERROR, na.string())).items()]
        self._schema = na.Schema(na.Type.STRUCT, fields=fields, nullable=False, metadata=shared)

    def write(self, rows: list[Row], *, last: bool = False) -> bytes:
        failed = [answer if isinstance(answer, errors.MaquetteError) else None for _, _, answer in rows]
        good = [None if isinstance(answer, errors.MaquetteError) else answer for _, _, answer in rows]
        columns = [na.c_array([row[number] for row in rows], na.string()) for number in range(2)]
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
