"""From an answer to one record: nested as JSON has it, flat as a row of a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import MessageToDict

from maquette.client.streaming import Answer
from maquette.folders.photographs import Photograph

Record = dict[str, Any]


@dataclass(frozen=True)
class Shape:
    """How the records of a command become rows.

    ``columns`` are those of the CSV that only this command has; ``shown`` those of the table on a terminal;
    ``flatten`` gives the values of ``columns`` from a record without an error, where they are not the record's own.
    ``subject`` is the field that names what a record is about; ``carries`` are the fields behind ``columns``. ``typed`` are the
    fields of Parquet in the place of ``columns``: float, bool, str, or the length of a vector of floats; None where there is
    no Parquet.
    """

    columns: tuple[str, ...]
    shown: tuple[str, ...]
    flatten: Callable[[Record], Mapping[str, Any]]
    subject: str = "file"
    carries: tuple[str, ...] = ("model_version", "request_id", "notes")
    typed: Mapping[str, int | type] | None = None

    @property
    def all_columns(self) -> tuple[str, ...]:
        return (self.subject, "sha256", *self.columns, *self.carries, "error_code", "error_detail")

    def row(self, record: Record) -> dict[str, Any]:
        """A value for each of ``all_columns``; None where there is none."""
        error = record.get("error", {})
        own = {} if error else self.flatten(record)
        row = {name: own.get(name, record.get(name)) for name in self.all_columns}
        if "notes" in row:
            row["notes"] = "; ".join(row["notes"] or ()) or None
        return row | {"error_code": error.get("code"), "error_detail": error.get("detail")}


def record_of(photograph: Photograph, answer: Answer[Any], model_version: str) -> Record:
    """The JSON record; fields are those of the contract's message, image bytes left out.

    ``model_version`` is for a failure, whose answer names none.
    """
    start = {"file": str(photograph.path), "sha256": answer.sha256}
    if answer.error:
        error = {"code": answer.error.code, "detail": answer.error.detail}
        return start | {"model_version": model_version, "request_id": answer.error.request_id, "error": error}
    fields = as_dict(answer.result())
    return start | {name: value for name, value in fields.items() if name not in ("mask", "cutout", "explanation")}


def as_dict(message: Any) -> Record:
    """A message with the contract's field names, fields at their default included."""
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def _types(record: Record) -> Mapping[str, Any]:
    first, second = (*record["predictions"], {}, {})[:2]
    return {
        "type": first.get("label"),
        "name": first.get("name"),
        "uri": first.get("uri") or None,
        "broader": first.get("broader") or None,
        "probability": first.get("probability"),
        "runner_up": second.get("label"),
        "runner_up_probability": second.get("probability"),
    }


CLASSIFY = Shape(
    ("id", "type", "name", "uri", "broader", "probability", "runner_up", "runner_up_probability", "abstained"),
    ("file", "name", "probability", "runner_up", "abstained"),
    _types,
)


def _groups(record: Record) -> Mapping[str, Any]:
    first, second = (*record["assignments"], {}, {})[:2]
    cluster: Record = record.get("cluster", {})
    return {
        "cluster": cluster.get("id"),
        "q": first.get("q"),
        "runner_up": second.get("cluster"),
        "runner_up_q": second.get("q"),
        "size": cluster.get("size"),
        "neighbours": "|".join(neighbour["id"] for neighbour in record["neighbours"]) or None,
    }


CLUSTER = Shape(
    ("id", "cluster", "q", "runner_up", "runner_up_q", "between", "size", "neighbours", "embedding_space"),
    ("file", "cluster", "q", "runner_up", "between", "neighbours"),
    _groups,
)


def embed_shape(dimensions: int, features: int) -> Shape:
    """One column a dimension: ``latent_1`` ..., and ``feature_1`` ... where ``features`` is not 0."""
    latent, wider = _numbered("latent", dimensions), _numbered("feature", features)

    def flatten(record: Record) -> Mapping[str, Any]:
        return dict(zip(latent, record["latent"], strict=False)) | dict(zip(wider, record["features"], strict=False))

    columns = ("id", *latent, "prior_distance", "unlike_training", "embedding_space", *wider)
    typed: dict[str, int | type] = {"id": str, "latent": dimensions}
    typed |= {"features": features} if features else {}
    typed |= {"prior_distance": float, "unlike_training": bool, "embedding_space": str}
    return Shape(columns, ("file", *latent, "prior_distance", "unlike_training"), flatten, typed=typed)


def _numbered(name: str, count: int) -> Sequence[str]:
    return [f"{name}_{number}" for number in range(1, count + 1)]


def _report(record: Record) -> Mapping[str, Any]:
    report: Record = record.get("report", {})
    touches = "|".join(edge for edge, touched in report.get("edges", {}).items() if touched)
    return {**report, "touches": touches or None}


MASK = Shape(
    ("id", "output", "width", "height", "coverage", "touches", "components", "empty", "uncertainty", "skipped", "adapter"),
    ("file", "coverage", "touches", "uncertainty", "skipped"),
    _report,
)

# What ``mask --dry-run`` says.
PLAN = Shape(("output", "state"), ("file", "output", "state"), lambda record: {}, carries=())


def _input(record: Record) -> Mapping[str, Any]:
    size: Record = record.get("input", {})
    return {
        "input": f"{size['height']} x {size['width']}" if size else None,
        "classes": len(record["labels"]) or record.get("clusters"),
        "embedding_space": record.get("embedding_space"),
    }


MODELS = Shape(
    ("address", "version", "architecture", "input", "classes", "embedding_space", "licence", "created", "provider"),
    ("service", "address", "version", "architecture", "input", "classes", "licence"),
    _input,
    subject="service",
    carries=(),
)
