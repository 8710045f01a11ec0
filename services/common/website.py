"""The pages of a service: `/` to try it and `/docs`, built from `web/` into the folder `web` beside this module.

A page brings its own code and style and asks nobody but the service it came from; its Content-Security-Policy holds it to that.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from services.common.http import Endpoint

_BUILT = Path(__file__).parent / "web"
_SAMPLES = Path(__file__).parents[2] / "samples"
_KINDS = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".jpg": "image/jpeg",
    ".png": "image/png",
}
# `blob:` are the person's own photograph and the pictures of an answer, which the page makes of what it was sent.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    # The names of the files stay from version to version.
    "Cache-Control": "no-cache",
}


def pages(service: str) -> dict[str, Endpoint]:
    """The paths of the pages of ``service``, of their files and of the sample photographs; each file is read once, at start."""
    files = {"/": _BUILT / f"{service}.html", "/docs": _BUILT / "docs.html"}
    files |= {f"/assets/{path.name}": path for path in sorted((_BUILT / "assets").iterdir())}
    files |= {f"/samples/{path.name}": path for path in sorted(_SAMPLES.glob("*.*g"))}
    return {path: _page(file) for path, file in files.items()}


def _page(file: Path) -> Endpoint:
    content = file.read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {**_HEADERS, "ETag": tag}

    async def respond(request: Request) -> Response:
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers, media_type=_KINDS[file.suffix])

    return respond
