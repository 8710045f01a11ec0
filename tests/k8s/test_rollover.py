"""Without a cluster: processes as pods, a hosts file as the names that follow them, and callers of every kind.

The callers keep their connections. New pods get their share of the calls when connections come of age, and pods that the
name has forgotten are left before their process ends: no call is lost, not even by callers who never ask again.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests import serving, tiny
from tests.k8s.replica import Replica

NAME = "pods.test"
# In a mount namespace of its own, where /etc/hosts is the file of the test.
INSIDE = ("unshare", "--map-root-user", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"')


class Names:
    """Which pods the name has: a headless Service's."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "hosts"

    def are(self, pods: Sequence[Replica]) -> None:
        addresses = [pod.page.split("/")[2].partition(":")[0] for pod in pods]
        text = "127.0.0.1 localhost\n" + "".join(f"{address} {NAME}\n" for address in addresses)
        # One write over what was there: who reads meanwhile must not find the file empty.
        with self.file.open("r+b" if self.file.exists() else "wb", buffering=0) as stream:
            stream.write(text.encode().ljust(512, b"\n"))


class Callers:
    """tests/cluster/load.py, and what it says."""

    def __init__(self, names: Names, ports: Sequence[int]) -> None:
        self.counts: dict[str, dict[str, Any]] = {}
        words = (f"{NAME}:{ports[1]}", f"{NAME}:{ports[0]}", "--callers", "1", "--names-ms", "1000")
        command = [*INSIDE, str(names.file), sys.executable, "-m", "tests.cluster.load", *words]
        self.process = subprocess.Popen(command, cwd=serving.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdin
        self.process.stdin.write(tiny.picture(1, (320, 240), "JPEG"))
        self.process.stdin.close()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.counts = json.loads(line)

    def more(self, calls: int) -> None:
        """Wait for ``calls`` more by each kind."""
        before = {kind: count["calls"] for kind, count in self.counts.items()}

        def enough() -> bool:
            return bool(self.counts) and all(c["calls"] >= before.get(kind, 0) + calls for kind, c in self.counts.items())

        serving.until(enough, lambda: f"the callers stand still: {self.counts}", self.process)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()
        self._reader.join()
        assert self.process.stdout
        self.process.stdout.close()


@pytest.fixture
def pods(bundles: Path, tmp_path: Path) -> Iterator[list[Replica]]:
    probe = subprocess.run([*INSIDE, "/etc/hosts", "true"], capture_output=True, text=True)
    if probe.returncode:
        pytest.skip(f"this machine gives away no mount namespace: {probe.stderr.strip()}")
    ports = serving.free_ports(2)
    started = [
        Replica(bundles, tmp_path, f"127.0.0.{number}", ports=ports, connection_age_seconds=2, drain_seconds=10)
        for number in range(2, 6)
    ]
    yield [one.until_ready() for one in started]
    for one in started:
        one.kill()


def calls_of(pod: Replica, transport: str) -> int:
    text = httpx.get(f"{pod.page}/metrics").text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    wanted = {"transport": transport, "method": "Classify"}
    return int(sum(s.value for s in samples if s.name == "maquette_calls_total" and wanted.items() <= s.labels.items()))


def shares(old: Sequence[Replica], new: Sequence[Replica], transport: str) -> tuple[int, int]:
    return sum(calls_of(pod, transport) for pod in old), sum(calls_of(pod, transport) for pod in new)


def test_new_pods_are_found_and_old_ones_left_without_a_lost_call(pods: list[Replica], tmp_path: Path) -> None:
    old, new = pods[:2], pods[2:]
    names = Names(tmp_path)
    names.are(old)
    callers = Callers(names, pods[0].ports)
    try:
        callers.more(10)
        names.are([*new, *old])  # scaled up; pick_first takes the first that it is told
        for transport in ("http", "grpc"):
            before = shares(old, new, transport)

            def a_third(transport: str = transport, before: tuple[int, int] = before) -> bool:
                at_old, at_new = (now - was for now, was in zip(shares(old, new, transport), before, strict=True))
                return at_new > 10 and at_new >= (at_old + at_new) / 3

            serving.until(a_third, lambda: f"the new pods are not asked: {callers.counts}", callers.process)
        names.are(new)  # replaced; what follows is `preStop`
        for pod in old:

            def left(pod: Replica = pod) -> bool:
                before = calls_of(pod, "http") + calls_of(pod, "grpc")
                callers.more(30)
                return calls_of(pod, "http") + calls_of(pod, "grpc") == before

            serving.until(left, lambda: f"somebody still asks an old pod: {callers.counts}", callers.process)
        for pod in old:
            pod.process.terminate()
        for pod in old:
            assert pod.process.wait(60) == 0
        callers.more(10)
    finally:
        callers.stop()
    print(json.dumps(callers.counts))
    assert {kind: count["failures"] for kind, count in callers.counts.items() if count["failed"]} == {}
    assert callers.process.returncode == 0
