"""HTTP/1.1 as no client library would send it, over plain sockets."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from tests.serving import Served

_PATIENCE = 120.0


@contextmanager
def connection(served: Served, receive_buffer: int = 0) -> Iterator[socket.socket]:
    """A connection; ``receive_buffer`` bytes at most are taken from the service while nobody reads."""
    with socket.socket() as one:
        if receive_buffer:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        one.settimeout(_PATIENCE)
        one.connect((served.host, served.http_port))
        yield one


def connections(stack: ExitStack, served: Served, count: int) -> list[socket.socket]:
    return [stack.enter_context(connection(served)) for _ in range(count)]


def head(method: str, path: str, **headers: object) -> bytes:
    """The head of a request; ``content_length`` and the like become header names."""
    fields = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: test", *fields, "", ""]).encode("latin-1")


def answer(one: socket.socket) -> tuple[int, http.client.HTTPMessage, bytes]:
    """Status, headers and body of the next answer. Raises ``OSError`` or ``http.client.HTTPException`` where none comes."""
    response = http.client.HTTPResponse(one)
    response.begin()
    return response.status, response.headers, response.read()


def send_all_it_takes(one: socket.socket, data: bytes) -> int:
    """Send ``data`` until the service closes; how much went out. Raises ``TimeoutError`` when it neither reads nor closes."""
    view, sent = memoryview(data), 0
    with suppress(ConnectionError, BrokenPipeError):
        while sent < len(view):
            sent += one.send(view[sent : sent + 2**20])
    return sent


def closed(one: socket.socket) -> bool:
    """Whether the service has closed the connection; what it sent before is dropped."""
    one.setblocking(False)
    try:
        while True:
            if not one.recv(65536):
                return True
    except BlockingIOError:
        return False
    except OSError:
        return True


def drip(sockets: list[socket.socket], piece: bytes, pause: float, longest: float) -> float:
    """Send ``piece`` on every connection again and again until the service has closed all of them; the seconds it took.

    Raises ``TimeoutError`` when one is open after ``longest`` seconds.
    """
    began = time.monotonic()
    left = list(sockets)
    while left:
        if time.monotonic() - began > longest:
            raise TimeoutError(f"{len(left)} of {len(sockets)} connections are open after {longest:g} s")
        for one in list(left):
            with suppress(OSError):
                one.setblocking(True)
                one.send(piece) if piece else None
            if closed(one):
                left.remove(one)
        time.sleep(pause)
    return time.monotonic() - began


def form(files: list[tuple[str, bytes]], field: str = "images", boundary: str = "hostile") -> bytes:
    """A multipart body with file names as they are."""
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="'.encode()
        + name.encode("utf-8", "surrogateescape")
        + b'"\r\nContent-Type: image/jpeg\r\n\r\n'
        + data
        + b"\r\n"
        for name, data in files
    ]
    return b"".join([*parts, f"--{boundary}--\r\n".encode()])


FORM = "multipart/form-data; boundary=hostile"
