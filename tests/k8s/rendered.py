"""The manifests as `kubectl kustomize` renders them: every overlay, and every component on the four services."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from services.common import settings

ROOT = Path(__file__).parents[2]
K8S = ROOT / "k8s"
# As Kubernetes spells a service -> as Python does.
SERVICES = {service.replace("_", "-"): service for service in settings.SERVICES}
OVERLAYS = sorted(entry.name for entry in (K8S / "overlays").iterdir())
COMPONENTS = sorted(entry.name for entry in (K8S / "components").iterdir())
JOBS = sorted(entry.name for entry in (K8S / "jobs").iterdir()) if (K8S / "jobs").is_dir() else []
EVERYTHING = [f"overlays/{name}" for name in OVERLAYS] + [f"components/{name}" for name in COMPONENTS]
EVERYTHING += [f"jobs/{name}" for name in JOBS]

Object = dict[str, Any]


def tool(name: str, advice: str) -> str:
    """The program's path: ``$NAME``, then beside this interpreter, then on PATH. Exits the test with ``advice``."""
    beside = Path(sys.executable).with_name(name)
    found = os.environ.get(name.upper()) or (str(beside) if beside.is_file() else shutil.which(name))
    if not found:
        raise AssertionError(f"{name} is not installed: {advice}")
    return found


@functools.cache
def objects(what: str) -> tuple[Object, ...]:
    """What the cluster would get from ``overlays/<name>``, ``components/<name>`` or ``jobs/<name>``."""
    kind, name = what.split("/")
    if kind != "components":
        return _build(K8S / kind / name)
    with tempfile.TemporaryDirectory() as scratch:
        # Kustomize takes relative paths only, and components are no roots of their own.
        shutil.copytree(K8S, Path(scratch, "k8s"))
        root = Path(scratch, "k8s", "tried")
        root.mkdir()
        content = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "namespace": "maquette",
            "resources": [f"../base/{service}" for service in SERVICES],
            "components": [f"../components/{name}"],
        }
        (root / "kustomization.yaml").write_text(yaml.safe_dump(content))
        return _build(root)


def _build(folder: Path) -> tuple[Object, ...]:
    kubectl = tool("kubectl", "`make setup-dev` brings it, or set KUBECTL to kubectl 1.27 or newer.")
    done = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, f"{folder.name} does not build: {done.stderr}"
    assert not done.stderr, f"{folder.name} builds with a warning: {done.stderr}"
    return tuple(yaml.load_all(done.stdout, Loader=yaml.CSafeLoader))


def of_kind(what: str, *kinds: str) -> list[Object]:
    return [thing for thing in objects(what) if thing["kind"] in kinds]


def name(thing: Object) -> str:
    return str(thing["metadata"]["name"])


def pod(workload: Object) -> Object:
    """The pod spec of a Deployment or Job."""
    return dict(workload["spec"]["template"]["spec"])


def labels(workload: Object) -> dict[str, str]:
    return dict(workload["spec"]["template"]["metadata"]["labels"])


def environment(container: Object) -> dict[str, Object]:
    return {entry["name"]: entry for entry in container["env"]}


def bytes_of(quantity: str) -> int:
    """1536Mi -> bytes."""
    units = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
    return int(quantity[:-2]) * units[quantity[-2:]]
