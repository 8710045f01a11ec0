"""Classifications as linked data: Linked Art 1.0 (linked.art) and W3C Web Annotation (2017), for collection systems.

A photograph is named by the hash of its bytes (RFC 6920, ``ni:``) and the object in it by a UUID made from that hash: a
second run names both alike, and whoever takes the records in can put the collection's own identifiers in their place. What
the model abstained from is never stated as a type, only as candidates.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePath
from typing import IO, Any

from maquette.records import Record

LINKED_ART_CONTEXT = "https://linked.art/ns/v1/linked-art.json"
ANNOTATION_CONTEXT = "http://www.w3.org/ns/anno.jsonld"
# The annotation vocabulary has no word for it; W3C's Internationalization Tag Set has: a tool's confidence, 0 to 1.
_CONFIDENCE = {
    "confidence": {
        "@id": "http://www.w3.org/2005/11/its/rdf#taConfidence",
        "@type": "http://www.w3.org/2001/XMLSchema#double",
    }
}
# Getty AAT terms by which Linked Art qualifies an assertion.
_PROBABLY = {"id": "http://vocab.getty.edu/aat/300435721", "type": "Type", "_label": "Probably"}
_POSSIBLY = {"id": "http://vocab.getty.edu/aat/300435722", "type": "Type", "_label": "Possibly"}
_MEDIA = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"} | dict.fromkeys(
    (".tif", ".tiff"), "image/tiff"
)


def linked_art(record: Record) -> dict[str, Any]:
    """The record as a HumanMadeObject that the photograph shows, with the assertion of its type and who made it."""
    uri = _uri(record["sha256"])
    abstained = record["abstained"]
    candidates = record["predictions"] if abstained else record["predictions"][:1]
    digital: dict[str, Any] = {"id": uri, "type": "DigitalObject", "_label": record["file"], **_format(record)}
    found: dict[str, Any] = {
        "@context": LINKED_ART_CONTEXT,
        "id": _named(uri, "object"),
        "type": "HumanMadeObject",
        "_label": f"Object in {PurePath(record['file']).name}",
        "representation": [{"type": "VisualItem", "digitally_shown_by": [digital]}],
        "attributed_by": [_assertion(record, one, _POSSIBLY if abstained else _PROBABLY) for one in candidates],
    }
    if not abstained:
        found["classified_as"] = [_type(one) for one in candidates]
    return found


def _assertion(record: Record, prediction: dict[str, Any], qualifier: dict[str, str]) -> dict[str, Any]:
    said = f"{_software(record)} gives {prediction['name']} a probability of {prediction['probability']:.3f}."
    return {
        "type": "AttributeAssignment",
        "_label": said,
        "classified_as": [qualifier],
        "assigned": [_type(prediction)],
        "assigned_property": "classified_as",
        "referred_to_by": [{"type": "LinguisticObject", "content": said, "format": "text/plain"}],
    }


def _type(prediction: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "Type", "_label": prediction["name"]}
    if prediction.get("uri"):
        return {"id": prediction["uri"], **found}
    found["identified_by"] = [{"type": "Name", "content": prediction["name"]}]
    if prediction.get("broader"):
        found["broader"] = [{"id": prediction["broader"], "type": "Type"}]
    return found


def web_annotation(record: Record) -> dict[str, Any]:
    """The record as an annotation that classifies the photograph; candidates the model abstained from are a Choice."""
    uri = _uri(record["sha256"])
    bodies = [_body(prediction) for prediction in record["predictions"]]
    return {
        "@context": [ANNOTATION_CONTEXT, _CONFIDENCE],
        "id": _named(uri, f"annotation {record['model_version']}"),
        "type": "Annotation",
        "motivation": "classifying",
        "creator": {"type": "Software", "name": _software(record)},
        "created": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "body": {"type": "Choice", "items": bodies} if record["abstained"] else bodies[:1],
        "target": {"id": uri, "type": "Image", "label": record["file"], **_format(record)},
    }


def _body(prediction: dict[str, Any]) -> dict[str, Any]:
    facts = {"purpose": "classifying", "confidence": round(prediction["probability"], 6)}
    if prediction.get("uri"):
        return {"type": "SpecificResource", "source": prediction["uri"], "label": prediction["name"], **facts}
    return {"type": "TextualBody", "value": prediction["name"], "format": "text/plain", **facts}


def _software(record: Record) -> str:
    return f"maquette classify {record['model_version']}"


def _format(record: Record) -> dict[str, str]:
    kind = _MEDIA.get(PurePath(record["file"]).suffix.lower())
    return {"format": kind} if kind else {}


def _uri(sha256: str) -> str:
    digest = base64.urlsafe_b64encode(bytes.fromhex(sha256)).decode().rstrip("=")
    return f"ni:///sha-256;{digest}"


def _named(uri: str, what: str) -> str:
    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{uri}#{what}')}"


@dataclass(frozen=True)
class Document:
    """One JSON document of many records: what stands before the first, how each is said, what stands behind the last."""

    head: Callable[[], str]
    item: Callable[[Record], dict[str, Any]]
    tail: Callable[[int], str]


def _collection() -> str:
    start = {"@context": ANNOTATION_CONTEXT, "id": uuid.uuid4().urn, "type": "AnnotationCollection"}
    page = {"id": uuid.uuid4().urn, "type": "AnnotationPage", "startIndex": 0}
    return f'{json.dumps(start)[:-1]}, "first": {json.dumps(page)[:-1]}, "items": [\n'


DOCUMENTS = {
    "linked-art": Document(lambda: "[\n", linked_art, lambda count: "\n]\n"),
    "web-annotation": Document(_collection, web_annotation, lambda count: f'\n]}}, "total": {count}}}\n'),
}


class DocumentWriter:
    """Writes the records of a document as they come. A failed photograph is in none: it is named at the end."""

    def __init__(self, stream: IO[str], document: Document) -> None:
        self._stream, self._document = stream, document
        self._count = 0

    def write(self, record: Record) -> None:
        if "error" in record:
            return
        self._stream.write(",\n" if self._count else self._document.head())
        self._stream.write(json.dumps(self._document.item(record), ensure_ascii=False))
        self._stream.flush()
        self._count += 1

    def close(self) -> None:
        if not self._count:
            self._stream.write(self._document.head())
        self._stream.write(self._document.tail(self._count))
