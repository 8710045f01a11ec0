"""A cut wire between two network namespaces: packets vanish both ways and nobody is told, as when a node drops off the network.

Callers and one replica are on the near side, the other replica is on the far side.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import serving, tiny
from tests.k8s.replica import Replica

# Addresses that are nobody's (RFC 5737), and a name for both of them.
ADDRESSES = {"near": "192.0.2.1", "far": "192.0.2.2"}
NAME = "replicas.test"
CALLERS = 4


class Wire:
    """Two namespaces with a wire between them."""

    def __init__(self) -> None:
        self._names = {side: f"maquette-{os.getpid()}-{side}" for side in ADDRESSES}
        self._hosts = Path("/etc/netns") / self._names["near"]
        for name in self._names.values():
            _ip("netns", "add", name)
        _ip("link", "add", "wire", "netns", self._names["near"], "type", "veth", "peer", "wire", "netns", self._names["far"])
        for side, name in self._names.items():
            _ip("-n", name, "addr", "add", f"{ADDRESSES[side]}/24", "dev", "wire")
            for device in ("lo", "wire"):
                _ip("-n", name, "link", "set", device, "up")
        # What `ip netns exec` shows as /etc/hosts there: one name for all replicas, as a headless Service gives.
        self._hosts.mkdir(parents=True)
        (self._hosts / "hosts").write_text("".join(f"{address} {NAME}\n" for address in ADDRESSES.values()))

    def inside(self, side: str) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self._names[side])

    def run(self, side: str, *words: str) -> str:
        return subprocess.run([*self.inside(side), *words], check=True, capture_output=True, text=True).stdout

    def cut(self) -> None:
        for chain, direction in (("INPUT", "-i"), ("OUTPUT", "-o")):
            self.run("far", "iptables", "-w", "-A", chain, direction, "wire", "-j", "DROP")

    def mend(self) -> None:
        self.run("far", "iptables", "-w", "-F")

    def close(self) -> None:
        for name in self._names.values():
            _ip("netns", "delete", name)
        shutil.rmtree(self._hosts)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@pytest.fixture(scope="module")
def namespaces() -> Iterator[Wire]:
    if os.geteuid() != 0:
        pytest.skip("network namespaces take root")
    if missing := [tool for tool in ("ip", "ss", "iptables") if not shutil.which(tool)]:
        pytest.skip(f"not installed: {', '.join(missing)}; Debian's packages `iproute2` and `iptables` have them")
    if (probe := subprocess.run(["unshare", "--net", "iptables", "-L"], capture_output=True, text=True)).returncode:
        pytest.skip(f"this machine gives away no network namespace with a packet filter: {probe.stderr.strip()}")
    one = Wire()
    yield one
    one.close()


@pytest.fixture(scope="module")
def replicas(namespaces: Wire, bundles: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Replica]]:
    home = tmp_path_factory.mktemp("replicas")
    ports = serving.free_ports(2)
    both = {side: Replica(bundles, home, host, namespaces.inside(side), ports) for side, host in ADDRESSES.items()}
    yield {side: one.until_ready() for side, one in both.items()}
    for one in both.values():
        one.kill()


@pytest.fixture
def wire(namespaces: Wire) -> Iterator[Wire]:
    """Whole before and after each test."""
    yield namespaces
    namespaces.mend()


class Callers:
    """tests/k8s/caller.py on the near side."""

    def __init__(self, wire: Wire, server: str, callers: int, timeout: float) -> None:
        self.outcomes: Counter[tuple[int, str]] = Counter()
        self._callers = callers
        command = [*wire.inside("near"), sys.executable, "-m", "tests.k8s.caller", server, str(callers), str(timeout)]
        self._process = subprocess.Popen(command, cwd=serving.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            number, outcome = line.split()
            self.outcomes[int(number), outcome] += 1

    def until(self, more: int, outcome: str = "OK") -> None:
        """Every caller has had that outcome ``more`` times again."""
        wanted = {number: self.outcomes[number, outcome] + more for number in range(self._callers)}
        serving.until(
            lambda: all(self.outcomes[number, outcome] >= count for number, count in wanted.items()),
            lambda: f"not {more} more {outcome} for each: {self.outcomes}",
        )

    def stop(self) -> set[str]:
        """The outcomes there were."""
        self._process.communicate()
        self._reader.join()
        assert self._process.returncode == 0
        return {outcome for _, outcome in self.outcomes}


def answered_by(replica: Replica) -> int:
    return sum(int(float(count)) for count in re.findall(r"^maquette_items_total\{.* (\S+)$", replica.get("/metrics"), re.M))


def test_calls_go_to_the_other_replica_and_come_back(replicas: dict[str, Replica], wire: Wire) -> None:
    far = replicas["far"]
    callers = Callers(wire, f"{NAME}:{far.ports[1]}", CALLERS, timeout=120)
    try:
        callers.until(5)
        assert answered_by(far)
        wire.cut()
        # Calls that were on their way are given up when keep-alive notices, and are asked again on the near side.
        callers.until(5)
        before = answered_by(far)
        callers.until(5)
        assert answered_by(far) == before
        wire.mend()
        serving.until(lambda: answered_by(far) > before, lambda: "the healed replica is not asked again")
    finally:
        outcomes = callers.stop()
    assert outcomes == {"OK"}


def test_no_call_outlives_its_deadline(replicas: dict[str, Replica], wire: Wire) -> None:
    callers = Callers(wire, f"{ADDRESSES['far']}:{replicas['far'].ports[1]}", CALLERS, timeout=2)
    try:
        callers.until(2)
        wire.cut()
        callers.until(2, "DEADLINE_EXCEEDED")
        wire.mend()
        callers.until(2)
    finally:
        outcomes = callers.stop()
    assert outcomes <= {"OK", "DEADLINE_EXCEEDED", "UNREACHABLE"}


def test_a_stream_goes_on_where_the_cut_was(replicas: dict[str, Replica], wire: Wire, tmp_path: Path) -> None:
    port = replicas["far"].ports[1]
    names = [f"{number:04}.jpg" for number in range(500)]
    for name in names:
        (tmp_path / name).write_bytes(tiny.picture(1, (320, 240), "JPEG"))
    server = f"{ADDRESSES['far']}:{port}"
    command = [sys.executable, "-m", "maquette", "classify", str(tmp_path), "--server", server, "--format", "jsonl"]
    records = []

    def read() -> None:
        assert process.stdout
        records.extend(json.loads(line) for line in process.stdout)

    with subprocess.Popen([*wire.inside("near"), *command], cwd=serving.ROOT, stdout=subprocess.PIPE, text=True) as process:
        reader = threading.Thread(target=read)
        reader.start()
        serving.until(lambda: len(records) >= 20, lambda: "the stream does not begin", process)
        wire.cut()
        assert len(records) < len(names)
        connected = ("ss", "-Htn", "state", "established", f"dport = :{port}")
        serving.until(lambda: not wire.run("near", *connected), lambda: "the client holds on to the dead connection", process)
        wire.mend()
        reader.join()
    assert process.returncode == 0
    assert [Path(record["file"]).name for record in records] == names
    assert not [record for record in records if record.get("error")]
