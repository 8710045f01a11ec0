"""What docs/compose.md shows is what one gets, from the proxy and the services without their containers."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from tests import console
from tests.compose.conftest import Proxy
from tests.serving import ROOT


def test_every_console_block(proxied: Callable[..., Proxy]) -> None:
    def ready(proxy: Proxy) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{proxy.port}/readyz").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    there = {"localhost:8080": f"127.0.0.1:{proxied(ready).port}"}
    assert console.run(ROOT / "docs" / "compose.md", ROOT, there) == 6
