"""Parts of a page that every map has below it, as HTML from plain texts."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from maquette.gather import Gathered
from maquette.links import text
from maquette.page import Section


def failures(gathered: Gathered) -> list[Section]:
    """What is not on the map, and why; nothing where all is."""
    if not gathered.failed:
        return []
    lines = (f"{photograph.path}: {reason}" for photograph, reason in gathered.failed)
    return [Section(f"Not on the map: {len(gathered.failed):,}", listed(text(line) for line in lines))]


def listed(sentences: Iterable[str]) -> str:
    """A list of plain sentences."""
    return "<ul>" + "".join(f"<li>{html.escape(sentence)}</li>" for sentence in sentences) + "</ul>"


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Names and plain values, those empty left out."""
    return "<dl>" + "".join(f"<dt>{html.escape(n)}</dt><dd>{html.escape(text(v))}</dd>" for n, v in pairs if v) + "</dl>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of plain cells; the first of a row names it."""
    top = "".join(f'<th scope="col">{html.escape(text(cell))}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{html.escape(text(name))}</th>'
        + "".join(f"<td>{html.escape(text(cell))}</td>" for cell in cells)
        + "</tr>"
        for name, *cells in rows
    )
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
