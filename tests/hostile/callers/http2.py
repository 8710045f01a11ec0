"""gRPC by hand, for what its library does not do: messages that never end, and answers whose window never opens.

Frames as RFC 9113, headers as literals of RFC 7541 without Huffman coding and without a table.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from tests.serving import Served

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind: int, flags: int, stream: int, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + body


def literal(name: str, value: str) -> bytes:
    """One header; names and values shorter than 127 bytes."""
    return b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def call(served: Served, rpc: str, **metadata: str) -> bytes:
    """The headers of one call."""
    pairs = {
        ":method": "POST",
        ":scheme": "http",
        ":path": f"/{served.kind.service.full_name}/{rpc}",
        ":authority": "test",
        "te": "trailers",
        "content-type": "application/grpc",
        **{name.replace("_", "-"): value for name, value in metadata.items()},
    }
    return b"".join(literal(name, value) for name, value in pairs.items())


@contextmanager
def connection(served: Served, window: int = 65_535) -> Iterator[socket.socket]:
    """A connection after the preface. ``window``: bytes that the service may send on each stream before it must wait."""
    with socket.create_connection((served.host, served.grpc_port), timeout=60) as one:
        one.sendall(_PREFACE + frame(SETTINGS, 0, 0, struct.pack(">HI", 4, window)))
        # The service's settings come first. To acknowledge what has not come ends the connection.
        length = int.from_bytes(_exactly(one, 9)[:3], "big")
        _exactly(one, length)
        one.sendall(frame(SETTINGS, ACK, 0))
        yield one


def begin(one: socket.socket, served: Served, stream: int, rpc: str, message: int, first: bytes = b"", **metadata: str) -> None:
    """Open a call whose message will have ``message`` bytes, and send its ``first`` ones."""
    one.sendall(frame(HEADERS, END_HEADERS, stream, call(served, rpc, **metadata)))
    one.sendall(frame(DATA, 0, stream, struct.pack(">BI", 0, message) + first))


def ended(one: socket.socket, seconds: float) -> set[int]:
    """Streams that the service ended within ``seconds``; -1 for the connection itself. Returns at the first."""
    one.settimeout(seconds)
    over: set[int] = set()
    try:
        while not over:
            start = _exactly(one, 9)
            body = _exactly(one, int.from_bytes(start[:3], "big"))
            kind, flags, stream = start[3], start[4], int.from_bytes(start[5:], "big")
            if kind == PING and not flags & ACK:
                one.sendall(frame(PING, ACK, 0, body))
            elif kind == GOAWAY:
                over.add(-1)
            elif kind == RST_STREAM or (kind in (HEADERS, DATA) and flags & END_STREAM):
                over.add(stream)
    except TimeoutError:
        pass
    except OSError:
        over.add(-1)
    return over


def _exactly(one: socket.socket, count: int) -> bytes:
    pieces = b""
    while len(pieces) < count:
        piece = one.recv(count - len(pieces))
        if not piece:
            raise ConnectionResetError
        pieces += piece
    return pieces


def send(one: socket.socket, stream: int, body: bytes) -> None:
    """Send a message as far as the service's windows let it; returns when it is sent, or the connection has ended."""
    stream_window = connection_window = 65_535
    one.settimeout(60)
    try:
        while body:
            count = min(len(body), 16_384, stream_window, connection_window)
            if count:
                one.sendall(frame(DATA, END_STREAM if count == len(body) else 0, stream, body[:count]))
                body, stream_window, connection_window = body[count:], stream_window - count, connection_window - count
                continue
            start = _exactly(one, 9)
            answer = _exactly(one, int.from_bytes(start[:3], "big"))
            kind, flags, about = start[3], start[4], int.from_bytes(start[5:], "big")
            if kind == PING and not flags & ACK:
                one.sendall(frame(PING, ACK, 0, answer))
            elif kind == WINDOW_UPDATE:
                opened = int.from_bytes(answer, "big")
                stream_window += opened if about == stream else 0
                connection_window += opened if about == 0 else 0
            elif kind in (GOAWAY, RST_STREAM):
                return
    except OSError:
        return
