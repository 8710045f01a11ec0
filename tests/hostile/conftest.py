"""Services under attack, one for each set of settings, and the table of what the others felt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.hostile.watch import table
from tests.hostile.watch.pod import FULL, Pod
from tests.serving import ROOT


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory, bundles: Path) -> Iterator[Callable[..., Pod]]:
    """``start(name, **settings)`` starts a pod that is killed at the end of the run; it is not waited for."""
    home = tmp_path_factory.mktemp("pods")
    pods: list[Pod] = []

    def begin(name: str = "remove_background", **variables: object) -> Pod:
        shipped = ROOT / "exported_models"
        models = Path(str(variables.pop("models", shipped if FULL else bundles)))
        pods.append(Pod(home, models, name, **variables))
        return pods[-1]

    yield begin
    for pod in pods:
        pod.kill()


@pytest.fixture(scope="session")
def pods(start: Callable[..., Pod]) -> Callable[..., Pod]:
    """As ``start``, but ready, and the one that there already is with these settings, unless an attack spoiled it."""
    there: dict[str, Pod] = {}

    def find(name: str = "remove_background", **variables: object) -> Pod:
        key = f"{name} {sorted(variables.items(), key=str)}"
        if key in there and there[key].spoiled:
            there.pop(key).kill()
        if key not in there:
            there[key] = start(name, **variables).until_ready()
        return there[key]

    return find


@pytest.fixture
def pod(pods: Callable[..., Pod]) -> Pod:
    """The mask service."""
    return pods()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A machine that others use as well may be slow once; an attack that works, works again, on a new process."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.flaky(reruns=2))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if FULL and table.ROWS:
        terminalreporter.write_line(table.table())
