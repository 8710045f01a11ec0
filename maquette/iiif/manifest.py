"""A IIIF Presentation manifest: its canvases and the photograph that is painted on each.

Of version 3 (Presentation API 3.0, section 5) and of version 2 (2.1, section 5). What is not needed for that is not read, nor
judged: published manifests are seldom without a fault.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from maquette.client.errors import FileFailed, make

_ACCEPT = 'application/ld+json;profile="http://iiif.io/api/presentation/3/context.json", application/json;q=0.9'
_PATIENCE = 30.0
_MOST_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Canvas:
    """``image`` is the photograph's address, ``service`` that of its IIIF Image API where it has one; empty: neither is known.

    ``width`` and ``height`` are the canvas' own, in its own units; 0 where they are not said.
    """

    id: str
    label: str
    width: int
    height: int
    image: str
    service: str


@dataclass(frozen=True)
class Manifest:
    """``id`` is the manifest's own, else where it was read."""

    id: str
    canvases: tuple[Canvas, ...]


def read(where: str) -> Manifest:
    """The manifest at an http(s) address, or in a file. Raises :class:`FileFailed`, :class:`ParameterInvalid`."""
    try:
        said = json.loads(_fetched(where) if _is_address(where) else Path(where).read_bytes())
        canvases = tuple(_of_version_2(said) if "sequences" in said else _of_version_3(said))
    except (OSError, httpx.HTTPError, httpx.InvalidURL) as error:
        raise FileFailed("FILE_UNREADABLE", f"The manifest {where} cannot be read: {error}.") from error
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError) as error:
        raise make("PARAMETER_INVALID", f"{where} is no manifest of IIIF Presentation 3 or 2.") from error
    if not canvases:
        raise make("PARAMETER_INVALID", f"The manifest {where} has no canvas; give one of an object, not of a collection.")
    return Manifest(str(said.get("id") or said.get("@id") or where), canvases)


def _is_address(where: str) -> bool:
    return where.lower().startswith(("http://", "https://"))


def _fetched(where: str) -> bytes:
    with httpx.stream("GET", where, headers={"Accept": _ACCEPT}, follow_redirects=True, timeout=_PATIENCE) as response:
        response.raise_for_status()
        pieces, size = [], 0
        for piece in response.iter_bytes():
            size += len(piece)
            if size > _MOST_BYTES:
                raise OSError("it is longer than 64 MiB")
            pieces.append(piece)
    return b"".join(pieces)


def _of_version_3(said: dict[str, Any]) -> Iterator[Canvas]:
    for canvas in said["items"]:
        if canvas.get("type") != "Canvas":
            continue
        painted = (
            annotation.get("body")
            for page in canvas.get("items", ())
            for annotation in page.get("items", ())
            if "painting" in annotation.get("motivation", ())
        )
        yield _canvas(canvas["id"], canvas, next((found for body in painted if (found := _picture(body))), {}))


def _of_version_2(said: dict[str, Any]) -> Iterator[Canvas]:
    for canvas in said["sequences"][0]["canvases"]:
        painted = (image.get("resource") for image in canvas.get("images", ()))
        yield _canvas(canvas["@id"], canvas, next((found for body in painted if (found := _picture(body))), {}))


def _canvas(id_: str, said: dict[str, Any], picture: dict[str, Any]) -> Canvas:
    services = picture.get("service") or []
    addresses = (
        str(service.get("id") or service.get("@id") or "").rstrip("/")
        for service in (services if isinstance(services, list) else [services])
        if isinstance(service, dict)
        and "image" in f"{service.get('type')}{service.get('@type')}{service.get('@context')}".lower()
    )
    width, height = (said.get(side) if isinstance(said.get(side), int) else 0 for side in ("width", "height"))
    image = str(picture.get("id") or picture.get("@id") or "")
    return Canvas(str(id_), _text(said.get("label")), width or 0, height or 0, image, next(addresses, ""))


def _picture(body: Any) -> dict[str, Any]:
    """The image of a body; of a choice the first, of a part of an image that image."""
    if isinstance(body, list):
        return next((found for each in body if (found := _picture(each))), {})
    if not isinstance(body, dict):
        return {}
    kind = str(body.get("type") or body.get("@type"))
    if kind in ("Choice", "oa:Choice"):
        return _picture(body.get("items") or body.get("default"))
    if kind in ("SpecificResource", "oa:SpecificResource"):
        return _picture(body.get("source") or body.get("full"))
    return body if kind in ("Image", "dctypes:Image") else {}


def _text(label: Any) -> str:
    """A label of either version, in the language that comes first."""
    if isinstance(label, dict):
        label = label.get("@value") or next(iter(label.values()), "")
    if isinstance(label, list):
        label = label[0] if label else ""
    return _text(label) if isinstance(label, dict) else str(label or "")
