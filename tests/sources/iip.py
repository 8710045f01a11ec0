"""Debian's ``iipimage-server``, an image server of the IIIF Image API, behind nginx."""

from __future__ import annotations

import io
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.serving import free_ports, until

_PROGRAM = Path("/usr/lib/iipimage-server/iipsrv.fcgi")
_CONFIG = """
daemon off; worker_processes 1; pid {home}/nginx.pid; error_log {home}/error.log;
events {{}}
http {{
  access_log {home}/access.log;
  client_body_temp_path {home}/a; proxy_temp_path {home}/b; fastcgi_temp_path {home}/c;
  uwsgi_temp_path {home}/d; scgi_temp_path {home}/e;
  server {{
    listen 127.0.0.1:{port};
    # The address of the photograph itself leads to what is known of it.
    location ~ ^/iiif/[^/]+$ {{ return 303 $uri/info.json; }}
    location /iiif/ {{
      fastcgi_pass 127.0.0.1:{behind};
      fastcgi_param REQUEST_URI $request_uri; fastcgi_param QUERY_STRING $query_string; fastcgi_param REQUEST_METHOD GET;
      fastcgi_param HTTP_HOST $http_host; fastcgi_param SERVER_NAME 127.0.0.1; fastcgi_param REQUEST_SCHEME http;
    }}
  }}
}}
"""


class Images:
    """The server; ``renditions`` is what it was asked for, in order."""

    def __init__(self, home: Path, port: int) -> None:
        self._log, self.port = home / "access.log", port

    def at(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/iiif/{path}"

    @property
    def asked(self) -> list[str]:
        return [line.split()[6].removeprefix("/iiif/") for line in self._log.read_text().splitlines()]


def photograph(seed: int, width: int, height: int) -> Image.Image:
    """Smooth colours."""
    noise = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def pyramid(path: Path, image: Image.Image) -> None:
    """A tiled TIFF with every half size down to a tile, as image servers want them."""
    with tifffile.TiffWriter(path) as file:
        first = True
        while first or max(image.size) > 128:
            file.write(np.asarray(image), tile=(128, 128), photometric="rgb", subfiletype=0 if first else 1)
            image, first = image.resize((max(1, image.width // 2), max(1, image.height // 2))), False


@contextmanager
def serving(home: Path, pictures: Path, **variables: str) -> Iterator[Images]:
    """The pyramids of a folder over version 2 and 3; ``variables`` are iipsrv's own, such as ``MAX_CVT``."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if not nginx or not _PROGRAM.exists():
        pytest.skip("there is no image server; Debian's packages `iipimage-server` and `nginx-light` have it")
    port, behind = free_ports(2)
    settings = {"FILESYSTEM_PREFIX": f"{pictures}/", "URI_MAP": "iiif=>IIIF", "VERBOSITY": "0", "LOGFILE": f"{home}/iip.log"}
    (home / "nginx.conf").write_text(_CONFIG.format(home=home, port=port, behind=behind))
    with (home / "nginx.txt").open("wb") as log:
        started = [
            subprocess.Popen([_PROGRAM, "--bind", f"127.0.0.1:{behind}"], env=os.environ | settings | variables, stdout=log),
            subprocess.Popen([nginx, "-e", f"{home}/error.log", "-c", f"{home}/nginx.conf"], stdout=log, stderr=log),
        ]
    try:
        for each in (port, behind):
            until(lambda each=each: _listens(each), lambda: (home / "nginx.txt").read_text())
        yield Images(home, port)
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(30)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def encoded(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()
