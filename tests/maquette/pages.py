"""A page as a browser would take it apart: its elements, what they refer to, and its data."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from PIL import Image

_VOID = {"meta", "img", "input", "link", "br", "hr"}


class Page(HTMLParser):
    """Reads the file; a tag that is not closed in order, or an attribute given twice, is an assertion error."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.text = ""
        self.scripts: list[tuple[str, str]] = []  # (type, text)
        self.style = self.policy = ""
        self.references: list[str] = []
        self.sprites: list[Image.Image] = []
        self._open: list[str] = []
        self.feed(path.read_text("utf-8"))
        self.close()
        assert self._open == []
        assert len(self.ids) == len(set(self.ids))
        ((_, data),) = [script for script in self.scripts if script[0] == "application/json"]
        self.data: dict[str, Any] = json.loads(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert len(given) == len(attrs)
        assert not [name for name in given if name.startswith("on")], "no handler stands in the markup"
        if tag not in _VOID:
            self._open.append(tag)
        if tag == "script":
            self.scripts.append((given.get("type") or "", ""))
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"] or ""
        if "id" in given:
            self.ids.append(given["id"] or "")
        for name in ("src", "href", "action", "srcset", "poster", "data"):
            if name in given:
                self.references.append(given[name] or "")
        if tag == "img":
            kind, _, encoded = (given["src"] or "").partition(",")
            assert kind == "data:image/webp;base64"
            self.sprites.append(Image.open(io.BytesIO(base64.b64decode(encoded))))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "script":
            kind, before = self.scripts[-1]
            self.scripts[-1] = (kind, before + data)
        elif self._open and self._open[-1] == "style":
            self.style += data
        else:
            self.text += data

    def column(self, name: str) -> list[Any]:
        """A value for each point; None where it has none."""
        (column,) = [column for column in self.data["columns"] if column["name"] == name]
        if column["kind"] != "category":
            return list(column["values"])
        return [column["names"][code] if code >= 0 else None for code in column["codes"]]

    def tile(self, index: int) -> Image.Image:
        """The thumbnail of a work."""
        width, height = self.data["sizes"][index]
        across, tile = self.data["across"], self.data["tile"]
        sheet, place = divmod(index, across**2)
        left, top = place % across * tile, place // across * tile
        return self.sprites[sheet].crop((left, top, left + width, top + height))


def check_closed(page: Page) -> None:
    """Nothing is loaded from elsewhere, and no script runs but the page's own."""
    assert all(reference.startswith(("data:", "#")) for reference in page.references)
    (script,) = [text for kind, text in page.scripts if kind != "application/json"]
    script_digest, style_digest = (
        f"'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'" for code in (script, page.style)
    )
    # No connect-src, font-src, worker-src or frame-src: what the policy does not name, nothing may load.
    assert page.policy == (
        f"default-src 'none'; img-src 'self' file: data:; style-src {style_digest}; script-src {script_digest}"
    )
    assert not re.search(r"https?:|url\(|@import", page.style)
    assert not [link for link in page.data["links"] if re.match(r"[a-z]+:|//", link, re.IGNORECASE)]
