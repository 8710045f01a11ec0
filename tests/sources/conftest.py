"""One service that may fetch from the hosts of the tests, and those hosts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.serving import Served
from tests.sources.hosts import Host, listening


@dataclass(frozen=True)
class Hosts:
    """``listed`` and ``second`` are in the setting by their addresses, ``inside`` by a name that leads to loopback, which
    nobody allowed; ``unlisted`` is in no setting.
    """

    listed: Host
    second: Host
    inside: Host
    unlisted: Host

    def at(self, path: str) -> str:
        return f"http://127.0.0.1:{self.listed.port}/{path}"


@pytest.fixture(scope="session")
def hosts() -> Iterator[Hosts]:
    with listening(Host()) as one, listening(Host()) as two, listening(Host()) as three, listening(Host()) as four:
        yield Hosts(one, two, three, four)


@pytest.fixture(scope="session")
def fetching(serve: Callable[..., Served], hosts: Hosts) -> Served:
    """It takes photographs of 1 MiB, has room for 8 of them, and patience for two seconds."""
    sources = (
        f"http://127.0.0.1:{hosts.listed.port}",
        f"http://127.0.0.1:{hosts.second.port}",
        f"http://localhost:{hosts.inside.port}",
        "http://127.0.0.1:1",
        "http://no-such-host.invalid",
    )
    limits = {"max_mebibytes": 1, "mebibytes_in_flight": 8, "wait_seconds": 1, "max_fetches": 8}
    return serve("classify", sources=",".join(sources), idle_seconds=1, timeout_seconds=3, **limits).until_ready()
