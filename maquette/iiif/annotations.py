"""Records as a page of W3C Web Annotations (2017) whose targets are the canvases of a manifest."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from PIL import Image

from maquette.iiif.manifest import Canvas, Manifest
from maquette.records.linked_data import ANNOTATION_CONTEXT, CONFIDENCE, Document, body_of_type, named
from maquette.records.records import Record

# Makes of a record its motivation, its body and, where it is about a part of the canvas, a selector.
Say = Callable[[Record, Canvas], tuple[str, Any, Any]]


def document(manifest: Manifest, service: str, page: Path) -> Document:
    """An AnnotationPage of the answers of ``service``, whose ids are canvases. Masks are named as seen from ``page``."""
    canvases = {canvas.id: canvas for canvas in manifest.canvases}
    say: Mapping[str, Say] = {
        "classify": _types,
        "cluster": _group,
        "embed": _latent,
        "mask": lambda record, canvas: _mask(record, canvas, page.parent),
    }
    start = {
        "@context": [ANNOTATION_CONTEXT, CONFIDENCE],
        "id": named(manifest.id, f"annotations by maquette {service}"),
        "type": "AnnotationPage",
    }

    def item(record: Record) -> dict[str, Any]:
        canvas = canvases[record["id"]]
        motivation, body, selector = say[service](record, canvas)
        target: dict[str, Any] = {
            "id": canvas.id,
            "type": "Canvas",
            "partOf": {"id": manifest.id, "type": "Manifest"},
        }
        return {
            "id": named(canvas.id, f"annotation by {service} {record['model_version']}"),
            "type": "Annotation",
            "motivation": motivation,
            "creator": {"type": "Software", "name": f"maquette {service} {record['model_version']}"},
            "created": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "body": body,
            "target": {"type": "SpecificResource", "source": target, "selector": selector} if selector else target,
        }

    return Document(lambda: f'{json.dumps(start)[:-1]}, "items": [\n', item, lambda count: "\n]}\n")


def _types(record: Record, canvas: Canvas) -> tuple[str, Any, Any]:
    """The type as an AAT term; candidates that the model abstained from are a Choice."""
    bodies = [body_of_type(prediction) for prediction in record["predictions"]]
    return "classifying", {"type": "Choice", "items": bodies} if record["abstained"] else bodies[:1], None


def _group(record: Record, canvas: Canvas) -> tuple[str, Any, Any]:
    best = record["assignments"][0]
    text = f"visual group {best['cluster']} of {record['embedding_space']}"
    facts = {"purpose": "tagging", "confidence": round(best["q"], 6)}
    return "tagging", {"type": "TextualBody", "value": text, "format": "text/plain", **facts}, None


def _latent(record: Record, canvas: Canvas) -> tuple[str, Any, Any]:
    kept = {key: record[key] for key in ("embedding_space", "latent", "features", "prior_distance", "unlike_training")}
    return "describing", {"type": "TextualBody", "value": json.dumps(kept), "format": "application/json"}, None


def _mask(record: Record, canvas: Canvas, folder: Path) -> tuple[str, Any, Any]:
    """The mask as an image over the whole canvas, and the box around the object as what is selected."""
    with Image.open(record["output"]) as mask:
        (width, height), box = mask.size, mask.getchannel(mask.getbands()[-1]).getbbox()
    linked = quote(Path(os.path.relpath(record["output"], folder)).as_posix())
    body = {"id": linked, "type": "Image", "format": "image/png", "width": width, "height": height}
    selector = None
    if box and canvas.width and canvas.height:
        left, top, right, bottom = box
        across, down = canvas.width / width, canvas.height / height
        sides = (left * across, top * down, (right - left) * across, (bottom - top) * down)
        region = "xywh=" + ",".join(str(round(side)) for side in sides)
        selector = {"type": "FragmentSelector", "conformsTo": "http://www.w3.org/TR/media-frags/", "value": region}
    return "highlighting", body, selector
