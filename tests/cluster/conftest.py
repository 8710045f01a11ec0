"""A real cluster, from KUBECONFIG.

It needs: Kubernetes 1.29 or newer; 9 allocatable cores and 14 GiB in all, for pods that leave keep theirs for a minute; the
images of the local overlay on its nodes (docs/operations.md, "On kind"); and the right to make the namespace `maquette`, which
the tests fill and remove. A node is drained where there are two.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.k8s import rendered

NAMESPACE = "maquette"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("KUBECONFIG"):
        return
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.skip(reason="KUBECONFIG names no cluster"))


class Cluster:
    """kubectl in the namespace of the overlay."""

    def run(self, *words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        kubectl = rendered.tool("kubectl", "`make setup-dev` brings it.")
        return subprocess.run([kubectl, "--namespace", NAMESPACE, *words], input=stdin, capture_output=True, text=True)

    def do(self, *words: str, stdin: str | None = None) -> str:
        done = self.run(*words, stdin=stdin)
        assert done.returncode == 0, f"kubectl {' '.join(words)}: {done.stderr}"
        return done.stdout

    def get(self, *words: str) -> Any:
        return json.loads(self.do("get", *words, "--output", "json"))

    def rolled_out(self, deployment: str) -> None:
        self.do("rollout", "status", f"deployment/{deployment}", "--timeout=240s")

    def running(self, service: str) -> list[str]:
        """Names of the service's pods that are ready and not on their way out."""
        pods = self.get("pods", "--selector", f"app.kubernetes.io/name={service}")["items"]
        return [
            pod["metadata"]["name"]
            for pod in pods
            if "deletionTimestamp" not in pod["metadata"]
            and any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", ()))
        ]


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    one = Cluster()
    version = json.loads(one.do("version", "--output", "json"))["serverVersion"]
    assert (int(version["major"]), int(version["minor"].rstrip("+"))) >= (1, 29), (
        f"the cluster is v{version['major']}.{version['minor']}"
    )
    there = one.run("get", "namespace", NAMESPACE).returncode == 0
    assert not there, f"the namespace {NAMESPACE} exists; these tests fill and remove it, so they leave it alone"
    one.do("apply", "--kustomize", str(rendered.K8S / "overlays/local"))
    for service in rendered.SERVICES:
        one.rolled_out(f"{service}-server")
    yield one
    one.do("delete", "namespace", NAMESPACE, "--wait=true", "--timeout=180s")
