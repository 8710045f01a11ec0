"""File names on a page: as text, and as a link that leads there from where the page lies."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote


def text(name: str) -> str:
    """A name that is not UTF-8 as text that can be written."""
    return os.fsencode(name).decode("utf-8", "replace")


def link(path: Path, folder: Path) -> str:
    """The address of ``path`` for a page in ``folder``; percent-encoded, not escaped for HTML."""
    try:
        relative = os.path.relpath(path, folder)
    except ValueError:  # another drive
        return path.absolute().as_uri()
    return quote(os.fsencode(relative.replace(os.sep, "/")))
