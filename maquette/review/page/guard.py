"""Who may talk to the local page: the browser that was given the address with its token, and nobody through it.

The token is in the address that the command prints, as Jupyter's is. The first visit exchanges it for a cookie that only this
address gets, and leads to the address without it. A page of another site that knows the port cannot use that cookie (SameSite,
and the Origin of what it sends), nor can it come by a name of its own that leads to 127.0.0.1 (Host).
"""

from __future__ import annotations

import hmac
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BODY = 256 * 2**10  # bytes; a stroke of 4,096 places has about 70,000
_NAMES = frozenset({"127.0.0.1", "localhost"})
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def problem(status: int, code: str, detail: str) -> Response:
    """An error as every service answers it (RFC 9457)."""
    body = {
        "type": f"urn:maquette:error:{code.lower().replace('_', '-')}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
    }
    return JSONResponse(body, status, media_type="application/problem+json")


class TooLarge(Exception):
    """The body of a request is larger than any that the page sends."""


class Guard:
    """ASGI around the page: lets pass what has the cookie, and puts the security headers on every answer."""

    def __init__(self, app: ASGIApp, token: str, cookie: str) -> None:
        self._app, self._token, self._cookie = app, token, cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # no WebSockets here: the server closes it

        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        request = Request(scope)
        refused = self._refused(request)
        if refused is not None:
            await refused(scope, receive, secured)
            return
        await self._app(scope, _counted(receive), secured)

    def _refused(self, request: Request) -> Response | None:
        host = request.headers.get("host", "")
        if _name(host) not in _NAMES:
            return problem(403, "UNAUTHENTICATED", "This page answers at 127.0.0.1 alone.")
        if request.method == "GET" and request.url.path == "/" and "token" in request.query_params:
            if not self._is_token(request.query_params["token"]):
                return self._no_token()
            leads = RedirectResponse("/", 303)
            leads.set_cookie(self._cookie, self._token, path="/", httponly=True, samesite="strict")
            return leads
        if not self._is_token(request.cookies.get(self._cookie, "")):
            return self._no_token()
        if request.method not in ("GET", "HEAD") and not _from_here(request.headers, host):
            return problem(403, "UNAUTHENTICATED", "Only the page itself may change anything.")
        if _announced(request.headers) > MOST_BODY:
            return problem(413, "PARAMETER_INVALID", f"A body has at most {MOST_BODY:,} bytes.")
        return None

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self._token.encode())

    @staticmethod
    def _no_token() -> Response:
        return problem(401, "UNAUTHENTICATED", "Open the address that `maquette review` printed: it holds the token.")


def _name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _from_here(headers: Headers, host: str) -> bool:
    origin = headers.get("origin")
    json = headers.get("content-type", "").partition(";")[0].strip() == "application/json"
    return json and origin == f"http://{host}" and headers.get("sec-fetch-site", "same-origin") == "same-origin"


def _announced(headers: Headers) -> int:
    given = headers.get("content-length", "0")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 16 else MOST_BODY + 1


def _counted(receive: Receive) -> Receive:
    count = 0

    async def counting() -> Message:
        nonlocal count
        message = await receive()
        count += len(message.get("body", b""))
        if count > MOST_BODY:
            raise TooLarge
        return message

    return counting
