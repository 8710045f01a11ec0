"""A built image, run by podman the way the production overlay would have a kubelet run it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import serving
from tests.k8s import rendered

IMAGE = os.environ.get("IMAGE", "")
ENGINE = os.environ.get("CONTAINER_TOOL", "podman")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if IMAGE and shutil.which(ENGINE):
        return
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.skip(reason="`make test-image` builds an image and sets IMAGE"))


def engine(*arguments: str) -> str:
    done = subprocess.run([ENGINE, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, f"{ENGINE} {' '.join(arguments)}: {done.stderr}"
    return done.stdout.strip()


@pytest.fixture(scope="session")
def image() -> dict[str, Any]:
    """What the engine knows of the image."""
    return dict(json.loads(engine("image", "inspect", IMAGE))[0])


@pytest.fixture(scope="session")
def kind() -> serving.Kind:
    """The service in the image, whose name is its last part."""
    return serving.KINDS[IMAGE.rpartition("/")[2].partition(":")[0].removesuffix("-gpu").replace("-", "_")]


@pytest.fixture(scope="session")
def deployment(kind: serving.Kind) -> rendered.Object:
    """The container of the production overlay, and its pod's security."""
    name = f"{kind.name.replace('_', '-')}-server"
    [found] = [thing for thing in rendered.of_kind("overlays/production", "Deployment") if rendered.name(thing) == name]
    return found


class Pod:
    """A running container. Ports are the host's own, on the loopback address."""

    def __init__(self, kind: serving.Kind, deployment: rendered.Object, *extra: str) -> None:
        spec = rendered.pod(deployment)
        [this] = spec["containers"]
        security, limits = spec["securityContext"], this["resources"]["limits"]
        assert this["securityContext"]["readOnlyRootFilesystem"] and security["seccompProfile"]["type"] == "RuntimeDefault"
        self.http_port, self.grpc_port = serving.free_ports(2)
        environment = {key: entry["value"] for key, entry in rendered.environment(this).items() if "value" in entry}
        environment |= {
            "MAQUETTE_THREADS": limits["cpu"],
            "MAQUETTE_HOST": "127.0.0.1",
            "MAQUETTE_HTTP_PORT": str(self.http_port),
            "MAQUETTE_GRPC_PORT": str(self.grpc_port),
        }
        size = rendered.bytes_of(next(v["emptyDir"]["sizeLimit"] for v in spec["volumes"] if v["name"] == "tmp"))
        memory = str(rendered.bytes_of(limits["memory"]))
        self.started = time.monotonic()
        self.id = engine(
            *("run", "--detach", "--network", "host", "--read-only", "--read-only-tmpfs=false"),
            *("--user", f"{security['runAsUser']}:{security['runAsGroup']}"),
            *("--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
            *("--cpus", limits["cpu"], "--memory", memory, "--memory-swap", memory),
            *("--tmpfs", f"/tmp:rw,mode=1777,size={size}"),
            *(part for key, value in environment.items() for part in ("--env", f"{key}={value}")),
            *extra,
            IMAGE,
        )
        self.kind = kind
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.http_port}", timeout=60)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.grpc_port}"

    @property
    def log(self) -> str:
        done = subprocess.run([ENGINE, "logs", self.id], capture_output=True, text=True)
        return done.stdout + done.stderr

    def readiness(self) -> int:
        try:
            return self.http.get("/readyz").status_code
        except httpx.TransportError:
            return 0

    def until_ready(self) -> float:
        """Seconds from the start to ready."""
        serving.until(lambda: self.readiness() == 200, lambda: f"not ready:\n{self.log}")
        return time.monotonic() - self.started

    def memory(self, field: str = "VmRSS") -> int:
        """Resident memory of the container's one process, or with ``VmHWM`` the most it ever was, bytes."""
        pid = engine("inspect", "--format", "{{.State.Pid}}", self.id)
        status = Path(f"/proc/{pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(field))

    def signal(self, name: str) -> None:
        engine("kill", "--signal", name, self.id)

    def wait(self) -> int:
        """The exit status."""
        return int(engine("wait", self.id))

    def remove(self) -> None:
        self.http.close()
        engine("rm", "--force", "--time", "0", self.id)


@pytest.fixture(scope="session")
def start(kind: serving.Kind, deployment: rendered.Object) -> Iterator[Callable[..., Pod]]:
    pods: list[Pod] = []

    def run(*extra: str) -> Pod:
        pods.append(Pod(kind, deployment, *extra))
        return pods[-1]

    yield run
    for pod in pods:
        pod.remove()


@pytest.fixture(scope="session")
def pod(start: Callable[..., Pod]) -> Pod:
    """One that is ready, for tests that leave it so."""
    one = start()
    seconds = one.until_ready()
    print(f"\ncold start to ready {seconds:.1f} s, resident {one.memory() / 2**20:.0f} MiB idle")
    return one
