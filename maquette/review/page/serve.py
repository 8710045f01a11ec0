"""Run the page at 127.0.0.1 until Ctrl-C: on one port, and for who has the token."""

from __future__ import annotations

import secrets
import socket
import webbrowser
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import uvicorn
from starlette.routing import Route

from maquette.client.client import Client
from maquette.client.errors import make
from maquette.folders.photographs import Photograph
from maquette.masks.plan import Order
from maquette.review.page.app import application
from maquette.review.page.corrections import Corrections
from maquette.review.page.journal import REJECTED, Verdict
from maquette.review.page.mask_page import MaskPage
from maquette.review.page.mask_set import MaskSet
from maquette.review.page.rest import Rest
from maquette.review.page.type_page import TypePage
from maquette.review.page.type_set import TypeSet

Say = Callable[[str], None]


def listen(port: int) -> socket.socket:
    """A socket at 127.0.0.1; port 0 takes a free one. Raises :class:`ParameterInvalid` for one that is taken."""
    try:
        return socket.create_server(("127.0.0.1", port), backlog=128)
    except OSError as error:
        raise make("PARAMETER_INVALID", f"Nothing can listen at port {port}: {error.strerror}; leave out --port.") from error


def run(routes: list[Route], bound: socket.socket, browser: bool, say: Say) -> None:
    """Serve until Ctrl-C or SIGTERM; both end it in good order. ``say`` is told the address once it answers."""
    token, port = secrets.token_urlsafe(32), bound.getsockname()[1]
    address = f"http://127.0.0.1:{port}/?token={token}"

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            say(address)
            if browser:
                webbrowser.open(address)

    config = uvicorn.Config(
        application(routes, token, f"maquette-review-{port}"),
        ws="none",
        lifespan="off",
        access_log=False,  # its lines would hold the token
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=3,
        limit_concurrency=200,
        h11_max_incomplete_event_size=32 * 2**10,
    )
    try:
        Server(config).run(sockets=[bound])
    except KeyboardInterrupt:
        pass
    finally:
        bound.close()


def masks(
    client: Client,
    title: str,
    found: Sequence[Photograph],
    order: Order,
    bound: socket.socket,
    browser: bool,
    say: Say,
    in_flight: int,
) -> str:
    """Review masks until Ctrl-C; a sentence about how it stands. Raises :class:`MaquetteError` before it begins."""
    reviewed = MaskSet.open(title, found, order)
    corrections = Corrections(reviewed, client)
    rest = Rest(reviewed, client, corrections, in_flight)
    try:
        run(MaskPage(reviewed, corrections, rest, secrets.token_hex(4)).routes(), bound, browser, say)
    finally:
        rest.stop(wait=True)
        reviewed.close()
    counts = Counter(entry.verdict for entry in reviewed.journal.entries.values())
    rejected = f", listed in {order.folder / REJECTED}" if counts[Verdict.REJECTED] else ""
    left = len(found) - counts[Verdict.ACCEPTED] - counts[Verdict.REJECTED]
    said = f"{counts[Verdict.ACCEPTED]:,} accepted, {counts[Verdict.REJECTED]:,} rejected{rejected}, {left:,} undecided"
    return f"{said}; masks in {order.folder}. Next: the same command goes on where you were."


def types(
    client: Client,
    title: str,
    found: Sequence[Photograph],
    table: Path,
    bound: socket.socket,
    browser: bool,
    say: Say,
    in_flight: int,
) -> str:
    """Review types until Ctrl-C; a sentence about how it stands. Raises :class:`MaquetteError` before it begins."""
    reviewed = TypeSet.open(title, found, table, client, in_flight)
    try:
        run(TypePage(reviewed, secrets.token_hex(4)).routes(), bound, browser, say)
    finally:
        reviewed.close()
    decided = sum(bool(item.labels) for item in reviewed.items)
    said = f"{decided:,} of {len(found):,} photographs have their type, in {table}"
    return f"{said}. Next: python -m training.classify.train --data {table} --out RUN"
