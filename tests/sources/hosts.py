"""Hosts that a photograph may be fetched from, some of which do what they should not."""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests import tiny
from tests.files import png_by_hand

GOOD = tiny.picture()
LARGE = GOOD + bytes(2**20)
# 60,000 x 60,000 pixels, by its header; and 8 MiB in 8 KiB.
HUGE = png_by_hand(60_000, 60_000, 8, 2, bytes(1000))
SQUEEZED = zlib.compress(bytes(8 * 2**20))


class Host(ThreadingHTTPServer):
    """A host on a free port of ``address``. ``asked`` are the paths and Host headers that it was asked for; ``elsewhere``
    the address of another, for redirects; ``pages`` what it answers at paths of a test's own.
    """

    daemon_threads = True

    def __init__(self, address: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__((address, port), _Handler)
        self.asked: list[tuple[str, str]] = []
        self.connections = 0
        self.elsewhere = ""
        self.pages: dict[str, bytes] = {}
        self.ended = threading.Event()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def get_request(self) -> Any:
        self.connections += 1
        return super().get_request()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever asked has hung up, which is what they should do."""


@contextmanager
def listening(host: Host) -> Iterator[Host]:
    thread = threading.Thread(target=host.serve_forever, daemon=True)
    thread.start()
    try:
        yield host
    finally:
        host.ended.set()
        host.shutdown()
        host.server_close()
        thread.join(10)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Host

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers.get("Host", "")))
        if self.path in self.server.pages:
            self._send(self.server.pages[self.path], Content_Type="application/ld+json")
            return
        name = Path(self.path.partition("?")[0]).stem.replace("-", "_")
        getattr(self, f"_{name}", self._missing)()

    def _send(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for key, value in {"Content_Type": "image/png", "Content_Length": str(len(body)), **headers}.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def _missing(self) -> None:
        self._send(b"nothing here", 404, Content_Type="text/plain")

    def _good(self) -> None:
        self._send(GOOD)

    def _once(self) -> None:
        self._send(GOOD, Connection="close")

    def _unsaid(self) -> None:
        """A good photograph whose length nobody tells: it ends with the connection."""
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(GOOD)
        self.close_connection = True

    def _large(self) -> None:
        self._send(LARGE)

    def _bomb(self) -> None:
        self._send(HUGE)

    def _text(self) -> None:
        self._send(b"<html>Not found, but 200</html>", Content_Type="text/html")

    def _json(self) -> None:
        self._send(b'{"a": 1}', Content_Type="application/json")

    def _long_json(self) -> None:
        self._send(b"[" * 300_000, Content_Type="application/json")

    def _deep(self) -> None:
        self._send(b"[" * 200_000, Content_Type="application/json")

    def _empty(self) -> None:
        self._send(b"")

    def _gzip(self) -> None:
        """A thousandth of what it becomes."""
        self._send(SQUEEZED, Content_Encoding="deflate")

    def _short(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(GOOD)))
        self.end_headers()
        self.wfile.write(GOOD[:-10])
        self.close_connection = True

    def _endless(self) -> None:
        """Bytes until nobody reads them any more, of a length that nobody tells."""
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        with suppress(OSError):
            while True:
                self.wfile.write(bytes(65536))

    def _crumbs(self) -> None:
        """Chunks of one byte, as many as anybody takes."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with suppress(OSError):
            while True:
                self.wfile.write(b"1\r\n0\r\n" * 10_000)

    def _boast(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(10**15))
        self.end_headers()
        self.server.ended.wait(60)

    def _headers(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        with suppress(OSError):
            while True:
                self.wfile.write(b"X-More: " + bytes(b"a" * 1000) + b"\r\n")

    def _continues(self) -> None:
        """It always has one more word to say before its answer."""
        with suppress(OSError):
            while not self.server.ended.is_set():
                self.wfile.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
                time.sleep(0.01)

    def _slow(self) -> None:
        """A byte now and then: never idle, never done."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(GOOD)))
        self.end_headers()
        with suppress(OSError):
            for byte in GOOD:
                self.wfile.write(bytes([byte]))
                time.sleep(0.2)

    def _silent(self) -> None:
        self.server.ended.wait(60)

    def _around(self) -> None:
        self._send(b"", 302, Location="/around")

    def _near(self) -> None:
        self._send(b"", 301, Location="good.png?seen")

    def _far(self) -> None:
        self._send(b"", 302, Location=self.server.elsewhere + "/good.png")

    def _file(self) -> None:
        self._send(b"", 302, Location="file:///etc/passwd")

    def _nonsense(self) -> None:
        self._send(b"", 302, Location="http://[::/")

    def _user(self) -> None:
        self._send(b"", 302, Location=f"http://me:secret@127.0.0.1:{self.server.port}/good.png")
