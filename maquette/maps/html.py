"""One HTML file with a map of works: pictures, script and style are in it, and it asks no network for anything.

``templates/page.html`` is its template; its script and style are built from the repository's ``web/src/map`` into ``web/``;
this module gives them their data. What the user's files say reaches the page escaped or as JSON, and the page's content
security policy runs no script but that one.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined

from maquette.folders import atomic
from maquette.folders.links import link, text
from maquette.folders.photographs import Photograph
from maquette.maps import thumbnails
from maquette.maps.projection import Layout

Kind = Literal["category", "number", "text"]
# A column with more values than this is not worth a legend, unless it counts something.
_MOST_CATEGORIES = 60


@dataclass(frozen=True)
class Column:
    """What is known of each work: a text (category), a number or None, or a text that nothing is coloured by.

    ``order`` are the categories as the legend has them; the others follow by size. ``like`` gives a category the colour and
    shape of another. ``texts`` are the numbers as the user wrote them, which is how they are shown.
    """

    name: str
    kind: Kind
    values: Sequence[str | float | None]
    order: Sequence[str] = ()
    like: Mapping[str, str] = field(default_factory=dict)
    texts: Sequence[str] = ()


@dataclass(frozen=True)
class Section:
    """A part below the map: ``kind`` is a macro of ``templates/sections.html``, which shows ``body``."""

    title: str
    kind: Literal["sentences", "facts", "table", "cards"]
    body: Any


@dataclass(frozen=True)
class Page:
    """``photographs`` are the works that have a picture, ``names`` what they are called, each once, and ``views`` the further
    photographs of each; ``references`` names further points, which follow them in ``layouts`` and ``columns``. ``ellipses``
    are (centre, half-axes, name) in the units of the layout with axes. The first column of ``columns`` that can be is coloured
    by, and the first of ``layouts`` is shown.
    """

    title: str
    summary: str
    photographs: Sequence[Photograph]
    names: Sequence[str]
    layouts: Sequence[Layout]
    columns: Sequence[Column]
    sections: Sequence[Section]
    near: Sequence[Sequence[int]] = ()
    references: Sequence[str] = ()
    ellipses: Sequence[tuple[tuple[float, float], tuple[float, float], str]] = field(default_factory=tuple)
    contours: bool = False
    views: Sequence[Sequence[Photograph]] = ()


def column_of(name: str, values: Sequence[str]) -> Column:
    """A column of the user's own texts: numbers where all are, categories where they are few enough, else texts."""
    given = [value for value in values if value]
    numbers = [_number(value) for value in given]
    distinct = len(set(given))
    if given and None not in numbers and distinct > 12:
        return Column(name, "number", [_number(value) for value in values], texts=values)
    if 0 < distinct <= _MOST_CATEGORIES:
        return Column(name, "category", values, sorted(set(given), key=_number) if given and None not in numbers else ())  # type: ignore[arg-type]
    return Column(name, "text", values)


def _number(value: str) -> float | None:
    """The number that a text is. One that begins with a nought, such as 00123, is a code and none."""
    digits = value.lstrip("+-")
    if "_" in value or (digits[:1] == "0" and digits[1:2].isdigit()):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None


def write(path: Path, page: Page, advance: Callable[[], None] = lambda: None) -> None:
    """Write the page; ``advance`` is called for each photograph that was made small. Raises :class:`FileFailed`."""
    sprites = thumbnails.Sprites(thumbnails.tile_side(len(page.photographs)))
    for picture in thumbnails.all_of([photograph.path for photograph in page.photographs], sprites.tile):
        sprites.add(picture)
        advance()
    web = files("maquette.maps") / "web"
    script, style = ((web / name).read_text("utf-8") for name in ("map.js", "map.css"))
    filled = (
        _environment()
        .get_template("page.html")
        .generate(
            page=page,
            policy=f"default-src 'none'; img-src 'self' file: data:; style-src {_digest(style)}; script-src {_digest(script)}",
            style=style,
            script=script,
            data=_data(page, sprites, path.parent),
            sprites=_encoded(sprites.finish()),
        )
    )
    with atomic.whole(path) as stream:
        stream.writelines(filled)  # a sprite, of which most of the page is made, at a time


def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("maquette.maps", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # File names may hold bytes that are no text; a page cannot.
        finalize=lambda value: text(value) if type(value) is str else value,
    )
    made.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    return made


def _digest(inline: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()}'"


def _encoded(sprites: Sequence[bytes]) -> Iterator[str]:
    for sprite in sprites:
        yield base64.b64encode(sprite).decode()


def _data(page: Page, sprites: thumbnails.Sprites, folder: Path) -> dict[str, Any]:
    return {
        "names": [*map(text, page.names), *map(text, page.references)],
        "links": [link(photograph.path, folder) for photograph in page.photographs],
        "views": [[[text(str(one.path)), link(one.path, folder)] for one in views] for views in page.views],
        "tile": sprites.tile,
        "across": sprites.columns,
        "sizes": sprites.sizes,
        "layouts": [
            {
                "name": one.name,
                "note": one.note,
                "axes": one.axes,
                "x": [round(float(x), 5) for x in one.points[:, 0]],
                "y": [round(float(y), 5) for y in one.points[:, 1]],
            }
            for one in page.layouts
        ],
        "columns": [_column(column) for column in page.columns],
        "near": [list(map(int, row)) for row in page.near],
        "ellipses": page.ellipses,
        "contours": page.contours,
    }


def _column(column: Column) -> dict[str, Any]:
    start: dict[str, Any] = {"name": text(column.name), "kind": column.kind}
    if column.kind == "number":
        values = [None if value is None else round(float(value), 6) for value in column.values]
        return start | {"values": values} | ({"texts": [*map(text, column.texts)]} if column.texts else {})
    texts = [text(str(value or "")) for value in column.values]
    if column.kind == "text":
        return start | {"values": texts}
    counts: dict[str, int] = {}
    for value in texts:
        counts[value] = counts.get(value, 0) + 1
    first = [text(name) for name in column.order if text(name) in counts]
    names = first + sorted((name for name in counts if name and name not in first), key=lambda name: (-counts[name], name))
    places = {name: place for place, name in enumerate(names)}
    like = [places.get(text(column.like.get(name, name)), place) for name, place in places.items()]
    return start | {"names": names, "like": like, "codes": [places.get(value, -1) for value in texts]}
