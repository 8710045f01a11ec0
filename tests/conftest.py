"""Tiny bundles and services that really run, shared by the whole session: a start costs seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import tiny
from tests.serving import Served, until


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny bundle for each service."""
    return tiny.everything(tmp_path_factory.mktemp("bundles"))


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory, bundles: Path) -> Iterator[Callable[..., Served]]:
    """``serve(name, authority=None, **MAQUETTE_variables)`` starts a service; what still runs at the end is stopped."""
    home = tmp_path_factory.mktemp("logs")
    started: list[Served] = []

    def start(name: str, authority: Any = None, **variables: object) -> Served:
        environment = {f"MAQUETTE_{key.upper()}": str(value) for key, value in {"models": bundles, **variables}.items()}
        started.append(Served(name, home, environment, authority))
        return started[-1]

    yield start
    for served in started:
        if served.process.poll() is None:
            served.terminate()
    for served in started:
        served.stop()


class _Running(dict[str, Served]):
    """The four services, each started when it is first asked for; a busy machine gets more time than the default."""

    def __init__(self, serve: Callable[..., Served]) -> None:
        super().__init__()
        self._serve = serve

    def __missing__(self, name: str) -> Served:
        self[name] = self._serve(name, timeout_seconds=150).until_ready()
        return self[name]


@pytest.fixture(scope="session")
def running(serve: Callable[..., Served]) -> Iterator[dict[str, Served]]:
    """The services by name, with the tiny bundles and default settings but for the timeout.

    When all tests have asked what they ask, broken and cut off as much of it is, nothing may still be held.
    """
    there = _Running(serve)
    yield there
    for served in there.values():
        _require_nothing_held(served)


def _require_nothing_held(served: Served) -> None:
    until(lambda: not served.held(), lambda: f"{served.kind.name} still holds {served.held()}")
