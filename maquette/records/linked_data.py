"""Classifications as linked data: Linked Art 1.0 (linked.art) and W3C Web Annotation (2017), for collection systems.

A photograph is named by the hash of its bytes (RFC 6920, ``ni:``). Its object is named by a UUID made from the id that the
collection gives it, and carries that id as an identifier; where no id is known, by one made from the photograph's hash. A
second run names both alike. Several photographs of one id are views of one object. What the model abstained from, and what
two views of an object disagree on, is never stated as a type, only as candidates.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePath
from typing import IO, Any

from maquette.records.records import Record

LINKED_ART_CONTEXT = "https://linked.art/ns/v1/linked-art.json"
ANNOTATION_CONTEXT = "http://www.w3.org/ns/anno.jsonld"
# The annotation vocabulary has no word for it; W3C's Internationalization Tag Set has: a tool's confidence, 0 to 1.
CONFIDENCE = {
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


def linked_art(*views: Record) -> dict[str, Any]:
    """One object, a HumanMadeObject that its photographs show, with the assertions of its type and who made them."""
    first = views[0]
    given = first.get("id", "")
    best = {_key(record["predictions"][0]): record["predictions"][0] for record in views if record["predictions"]}
    certain = len(best) == 1 and not any(record["abstained"] for record in views)
    found: dict[str, Any] = {
        "@context": LINKED_ART_CONTEXT,
        "id": named("maquette object", given) if given else named(_uri(first["sha256"]), "object"),
        "type": "HumanMadeObject",
        "_label": f"Object {given}" if given else f"Object in {PurePath(first['file']).name}",
    }
    if given:
        found["identified_by"] = [{"type": "Identifier", "content": given}]
    shown = {record["sha256"]: _digital(record) for record in views}  # a copy of a photograph is no further view
    found["representation"] = [{"type": "VisualItem", "digitally_shown_by": [one]} for one in shown.values()]
    found["attributed_by"] = [
        _assertion(record, one, _PROBABLY if certain else _POSSIBLY)
        for record in views
        for one in (record["predictions"] if record["abstained"] else record["predictions"][:1])
    ]
    if certain:
        found["classified_as"] = [_type(one) for one in best.values()]
    return found


def _digital(record: Record) -> dict[str, Any]:
    return {"id": _uri(record["sha256"]), "type": "DigitalObject", "_label": record["file"], **_format(record)}


def _key(prediction: dict[str, Any]) -> str:
    return str(prediction.get("label") or prediction["name"])


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
    bodies = [body_of_type(prediction) for prediction in record["predictions"]]
    return {
        "@context": [ANNOTATION_CONTEXT, CONFIDENCE],
        "id": named(uri, f"annotation {record['model_version']}"),
        "type": "Annotation",
        "motivation": "classifying",
        "creator": {"type": "Software", "name": _software(record)},
        "created": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "body": {"type": "Choice", "items": bodies} if record["abstained"] else bodies[:1],
        "target": {"id": uri, "type": "Image", "label": record["file"], **_identifier(record), **_format(record)},
    }


def body_of_type(prediction: dict[str, Any]) -> dict[str, Any]:
    """What an annotation says of a type: its authority record, or its name where there is none."""
    facts = {"purpose": "classifying", "confidence": round(prediction["probability"], 6)}
    if prediction.get("uri"):
        return {"type": "SpecificResource", "source": prediction["uri"], "label": prediction["name"], **facts}
    return {"type": "TextualBody", "value": prediction["name"], "format": "text/plain", **facts}


def _identifier(record: Record) -> dict[str, str]:
    return {"dcterms:identifier": record["id"]} if record.get("id") else {}


def _software(record: Record) -> str:
    return f"maquette classify {record['model_version']}"


def _format(record: Record) -> dict[str, str]:
    kind = _MEDIA.get(PurePath(record["file"]).suffix.lower())
    return {"format": kind} if kind else {}


def _uri(sha256: str) -> str:
    digest = base64.urlsafe_b64encode(bytes.fromhex(sha256)).decode().rstrip("=")
    return f"ni:///sha-256;{digest}"


def named(uri: str, what: str) -> str:
    """A name for what is said of ``uri``, the same each time it is said."""
    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{uri}#{what}')}"


@dataclass(frozen=True)
class Document:
    """One JSON document of many records: what stands before the first item, how one is said, what stands behind the last.

    ``views`` counts the photographs of each id, where those are one item; without it each record is one.
    """

    head: Callable[[], str]
    item: Callable[..., dict[str, Any]]
    tail: Callable[[int], str]
    views: Mapping[str, int] = field(default_factory=dict)


def _collection() -> str:
    start = {"@context": ANNOTATION_CONTEXT, "id": uuid.uuid4().urn, "type": "AnnotationCollection"}
    page = {"id": uuid.uuid4().urn, "type": "AnnotationPage", "startIndex": 0}
    return f'{json.dumps(start)[:-1]}, "first": {json.dumps(page)[:-1]}, "items": [\n'


def document(name: str, ids: Sequence[str]) -> Document | None:
    """The document of that ``--format``, for photographs of these ids (empty: none); None where the format is no document."""
    if name == "linked-art":
        return Document(lambda: "[\n", linked_art, lambda count: "\n]\n", Counter(one for one in ids if one))
    if name == "web-annotation":
        return Document(_collection, web_annotation, lambda count: f'\n]}}, "total": {count}}}\n')
    return None


class DocumentWriter:
    """Writes the items of a document, each as soon as all its views are there. A failed photograph is in none."""

    def __init__(self, stream: IO[str], document: Document) -> None:
        self._stream, self._document = stream, document
        self._count = 0
        self._left = dict(document.views)
        self._waiting: dict[str, list[Record]] = {}

    def write(self, record: Record) -> None:
        """Takes each record once."""
        given = record.get("id", "")
        if given not in self._left:
            self._write([record])
            return
        self._waiting.setdefault(given, []).append(record)
        self._left[given] -= 1
        if not self._left[given]:
            self._write(self._waiting.pop(given))

    def _write(self, views: list[Record]) -> None:
        answered = [record for record in views if "error" not in record]
        if not answered:
            return
        self._stream.write(",\n" if self._count else self._document.head())
        self._stream.write(json.dumps(self._document.item(*answered), ensure_ascii=False))
        self._stream.flush()
        self._count += 1

    def close(self) -> None:
        """Writes objects of which not all views came, and what stands behind the last."""
        for views in self._waiting.values():
            self._write(views)
        if not self._count:
            self._stream.write(self._document.head())
        self._stream.write(self._document.tail(self._count))
