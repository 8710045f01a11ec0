"""One HTML file with a map of works: pictures, script and style are in it, and it asks no network for anything.

The page's script is ``web/map.js`` and ``web/panel.js``; this module gives it its data. What the user's files say reaches the
page as text or as JSON, and the page's content security policy runs no script but that one.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any, Literal

from maquette import output, thumbnails
from maquette.layout import Layout
from maquette.links import link, text
from maquette.photographs import Photograph

Kind = Literal["category", "number", "text"]
# A column with more values than this is not worth a legend, unless it counts something.
_MOST_CATEGORIES = 60


@dataclass(frozen=True)
class Column:
    """What is known of each work: a text (category), a number or None, or a text that nothing is coloured by.

    ``order`` are the categories as the legend has them; the others follow by size. ``like`` gives a category the colour and
    shape of another.
    """

    name: str
    kind: Kind
    values: Sequence[str | float | None]
    order: Sequence[str] = ()
    like: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Section:
    """A part below the map; ``body`` is HTML."""

    title: str
    body: str


@dataclass(frozen=True)
class Page:
    """``photographs`` are the works that have a picture; ``references`` names further points, which follow them in ``layouts``
    and ``columns``. ``ellipses`` are (centre, half-axes, name) in the units of the layout with axes. The first column of
    ``columns`` that can be is coloured by, and the first of ``layouts`` is shown.
    """

    title: str
    summary: str
    photographs: Sequence[Photograph]
    layouts: Sequence[Layout]
    columns: Sequence[Column]
    sections: Sequence[Section]
    near: Sequence[Sequence[int]] = ()
    references: Sequence[str] = ()
    ellipses: Sequence[tuple[tuple[float, float], tuple[float, float], str]] = field(default_factory=tuple)
    contours: bool = False


def column_of(name: str, values: Sequence[str]) -> Column:
    """A column of the user's own texts: numbers where all are, categories where they are few enough, else texts."""
    given = [value for value in values if value]
    numbers = [_number(value) for value in given]
    distinct = len(set(given))
    if given and None not in numbers and distinct > 12:
        return Column(name, "number", [_number(value) for value in values])
    if 0 < distinct <= _MOST_CATEGORIES:
        return Column(name, "category", values, sorted(set(given), key=_number) if given and None not in numbers else ())  # type: ignore[arg-type]
    return Column(name, "text", values)


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None


def write(path: Path, page: Page, advance: Callable[[], None] = lambda: None) -> None:
    """Write the page; ``advance`` is called for each photograph that was made small. Raises :class:`FileFailed`."""
    sheets = thumbnails.Sheets(thumbnails.tile_side(len(page.photographs)))
    for picture in thumbnails.all_of([photograph.path for photograph in page.photographs], sheets.tile):
        sheets.add(picture)
        advance()
    web = files("maquette") / "web"
    script, style = (
        "".join((web / name).read_text("utf-8") for name in names) for names in (("map.js", "panel.js"), ("page.css",))
    )
    # The sheets, most of the page, are written between the two halves as they are, and one at a time.
    before, after = (Template(half) for half in (web / "page.html").read_text("utf-8").split("$$sheets"))
    filled = {
        "title": html.escape(text(page.title)),
        "summary": html.escape(text(page.summary)),
        "policy": f"default-src 'none'; img-src 'self' file: data:; style-src {_digest(style)}; script-src {_digest(script)}",
        "style": style,
        "script": script,
        "data": json.dumps(_data(page, sheets, path.parent), separators=(",", ":")).replace("<", "\\u003c"),
        "sections": "".join(f"<section><h2>{html.escape(part.title)}</h2>{part.body}</section>\n" for part in page.sections),
    }
    with output.whole(path) as stream:
        stream.write(before.substitute(filled))
        stream.writelines(_images(sheets.finish()))
        stream.write(after.substitute(filled))


def _digest(inline: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()}'"


def _images(sheets: list[bytes]) -> Iterator[str]:
    for sheet in sheets:
        yield f'<img class="sheet" alt="" hidden src="data:image/webp;base64,{base64.b64encode(sheet).decode()}">\n'


def _data(page: Page, sheets: thumbnails.Sheets, folder: Path) -> dict[str, Any]:
    return {
        "names": [*(text(str(one.name.as_posix())) for one in page.photographs), *map(text, page.references)],
        "links": [link(photograph.path, folder) for photograph in page.photographs],
        "tile": sheets.tile,
        "across": sheets.columns,
        "sizes": sheets.sizes,
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
        return start | {"values": values}
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
