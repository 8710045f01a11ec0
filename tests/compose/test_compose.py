"""``compose.yaml``: what it gives each service, held to the services' own settings and to docs/operations.md."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.common.settings import PREFIX, SERVICES, Settings
from tests.serving import KINDS, ROOT

MIB = 2**20
NAMES = {name.replace("_", "-"): name for name in SERVICES}


@pytest.fixture(scope="module")
def composed() -> dict[str, Any]:
    """The file as podman-compose understands it: merged, with the defaults of its variables."""
    if not shutil.which("podman"):
        pytest.skip("podman-compose asks podman for its version first; Debian's package `podman` has it")
    program = Path(sys.executable).with_name("podman-compose")
    done = subprocess.run(
        [program, "-f", ROOT / "compose.yaml", "config"], capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"}
    )
    assert done.returncode == 0, done.stderr
    return dict(yaml.safe_load(done.stdout))


def test_the_four_services_and_a_proxy(composed: dict[str, Any]) -> None:
    assert composed["services"].keys() == {*NAMES, "proxy"}
    published = {name: each.get("ports") for name, each in composed["services"].items() if each.get("ports")}
    assert published == {"proxy": ["8080:8080"]}, "one port, and only the proxy's"
    for name in NAMES:
        service = composed["services"][name]
        version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
        assert version and service["image"] == f"localhost/maquette/{name}:{version[1]}"


def test_nobody_is_root_or_writes_anywhere(composed: dict[str, Any]) -> None:
    for name, service in composed["services"].items():
        assert service["read_only"] and service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert all(volume.endswith(":ro") for volume in service["volumes"]), name
        assert name == "proxy" or service["user"] == "10001:10001", name


@pytest.mark.parametrize("name", NAMES)
def test_settings_and_limits(composed: dict[str, Any], name: str) -> None:
    service = composed["services"][name]
    environment = service["environment"]
    known = {PREFIX + field.upper() for field in Settings.model_fields}
    assert environment.keys() <= known
    fields = {field: environment.get(PREFIX + field.upper()) for field in Settings.model_fields}
    values = {
        field: int(given or Settings.model_fields[field].default)
        for field, given in fields.items()
        if field.startswith("m") and (given or isinstance(Settings.model_fields[field].default, int))
    }
    streams = 2 * values["max_streams"] * (values["max_mebibytes"] + 16) * MIB
    pixels = values["megapixels_in_flight"] * 1_000_000 * 7 * 5 / 4
    needed = 350 * MIB + 2 * values["mebibytes_in_flight"] * MIB + pixels + streams
    assert int(service["mem_limit"].removesuffix("g")) * 2**30 >= needed
    assert int(fields["threads"]) == service["cpus"]
    assert int(service["stop_grace_period"].removesuffix("s")) > float(fields["drain_seconds"]) + 10
    assert f":{SERVICES[NAMES[name]].http}/readyz" in service["healthcheck"]["test"][-1]
    assert "MAQUETTE_API_KEY" in environment and environment["MAQUETTE_API_KEY"] is None


def test_the_proxy_finds_the_services_where_compose_starts_them() -> None:
    configuration = (ROOT / "compose" / "haproxy.cfg").read_text()
    for name, ports in SERVICES.items():
        for transport, port in ports._asdict().items():
            assert f'presetenv {name.upper()}_{transport.upper()} "{name.replace("_", "-")}:{port}"' in configuration
    assert KINDS.keys() == SERVICES.keys()
