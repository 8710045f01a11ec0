"""Two replicas behind nginx and behind gRPC's own round_robin, under steady load: one is drained, one is killed, no call fails.

The policies are those of docs/operations.md: nginx tries the next replica, a gRPC client retries UNAVAILABLE.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests import serving, tiny
from tests.k8s.replica import Replica

KIND = serving.KINDS["classify"]
PICTURE = tiny.picture(1, (640, 480), "JPEG")
NGINX = """
daemon off; worker_processes 1; pid {home}/pid; error_log {home}/error.log; {user}
events {{ worker_connections 256; }}
http {{
  access_log off; client_max_body_size 65m;
  client_body_temp_path {home}/b; proxy_temp_path {home}/p; fastcgi_temp_path {home}/f; uwsgi_temp_path {home}/u;
  scgi_temp_path {home}/s;
  upstream http_pods {{
    server 127.0.0.1:{http[0]} max_fails=1 fail_timeout=1s;
    server 127.0.0.1:{http[1]} max_fails=1 fail_timeout=1s;
  }}
  upstream grpc_pods {{
    server 127.0.0.1:{grpc[0]} max_fails=1 fail_timeout=1s;
    server 127.0.0.1:{grpc[1]} max_fails=1 fail_timeout=1s;
  }}
  server {{
    listen 127.0.0.1:{front[0]};
    location / {{
      proxy_pass http://http_pods; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_next_upstream error timeout http_503 non_idempotent; proxy_next_upstream_tries 3;
    }}
  }}
  server {{
    listen 127.0.0.1:{front[1]} http2;
    location / {{
      grpc_pass grpc://grpc_pods;
      grpc_next_upstream error timeout http_503 non_idempotent; grpc_next_upstream_tries 3;
    }}
    # nginx passes a gRPC request on unbuffered and cannot send it again. A bare 502 has headers, which commit the call:
    # only an answer that is nothing but a status lets the client retry.
    error_page 502 503 504 = @unavailable;
    location @unavailable {{
      internal; default_type application/grpc;
      add_header grpc-status 14 always; add_header grpc-message "the replica went away" always; return 204;
    }}
  }}
}}
"""


@pytest.fixture
def replicas(bundles: Path, tmp_path: Path) -> Iterator[list[Replica]]:
    both = [Replica(bundles, tmp_path) for _ in range(2)]
    yield [one.until_ready() for one in both]
    for one in both:
        one.kill()


@pytest.fixture
def nginx(replicas: list[Replica], tmp_path: Path) -> Iterator[list[int]]:
    """nginx before the two replicas: its HTTP and its gRPC port."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if not program:
        pytest.skip("nginx is not installed; Debian's package `nginx-light` has it")
    front = serving.free_ports(2)
    config = tmp_path / "nginx.conf"
    http, grpc_ = ([one.ports[index] for one in replicas] for index in range(2))
    # Started as root, its workers would be somebody else, who may not write here.
    user = "user root;" if os.geteuid() == 0 else ""
    config.write_text(NGINX.format(home=tmp_path, http=http, grpc=grpc_, front=front, user=user))
    process = subprocess.Popen([program, "-c", str(config), "-e", str(tmp_path / "error.log")])
    serving.until(lambda: _listens(front[0]), (tmp_path / "error.log").read_text, process)
    yield front
    process.terminate()
    process.wait()


def _listens(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def _grpc(target: str, **extra: Any) -> tuple[grpc.Channel, Callable[[], None]]:
    config = {"methodConfig": [{"name": [{"service": KIND.service.full_name}], "retryPolicy": serving.RETRY}], **extra}
    options = [("grpc.service_config", json.dumps(config)), ("grpc.per_rpc_retry_buffer_size", 2**26)]
    options += [("grpc.initial_reconnect_backoff_ms", 250), ("grpc.max_reconnect_backoff_ms", 1000)]
    channel = grpc.insecure_channel(target, options)
    stub = KIND.stub(channel)
    return channel, lambda: stub.Classify(KIND.request(PICTURE), timeout=60, wait_for_ready=False)


def _http(client: httpx.Client) -> Callable[[], None]:
    def call() -> None:
        response = client.post(KIND.path, content=PICTURE, headers={"content-type": "image/jpeg"})
        assert response.status_code == 200, response.text

    return call


class Load:
    """Callers that ask again as soon as they are answered; a call that fails ends its caller and then the test."""

    def __init__(self, callers: dict[str, Callable[[], None]], each: int) -> None:
        self.counts = dict.fromkeys(callers, 0)
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(len(callers) * each)
        self._running = [self._pool.submit(self._run, name, call) for name, call in callers.items() for _ in range(each)]

    def _run(self, name: str, call: Callable[[], None]) -> None:
        while not self._stop.is_set():
            call()
            self.counts[name] += 1

    def more(self, count: int) -> None:
        """Wait for ``count`` more answers of each kind."""
        before = dict(self.counts)

        def enough() -> bool:
            self._fail_early()
            return all(self.counts[name] >= before[name] + count for name in before)

        serving.until(enough, lambda: f"the load stands still: {self.counts}")

    def _fail_early(self) -> None:
        for caller in self._running:
            if caller.done():
                caller.result()

    def stop(self) -> None:
        self._stop.set()
        for caller in self._running:
            caller.result()
        self._pool.shutdown()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=["drained", "killed"])
def test_no_call_fails_when_a_replica_goes(replicas: list[Replica], nginx: list[int], end: signal.Signals) -> None:
    addresses = ",".join(f"127.0.0.1:{one.ports[1]}" for one in replicas)
    direct, over_direct = _grpc(f"ipv4:{addresses}", loadBalancingConfig=[{"round_robin": {}}])
    balanced, over_nginx = _grpc(f"127.0.0.1:{nginx[1]}")
    client = httpx.Client(base_url=f"http://127.0.0.1:{nginx[0]}", timeout=60)
    load = Load({"http by nginx": _http(client), "grpc by nginx": over_nginx, "grpc round_robin": over_direct}, each=3)
    try:
        load.more(10)
        replicas[0].process.send_signal(end)
        status = replicas[0].process.wait(60)
        load.more(10)
    finally:
        load.stop()
        client.close()
        direct.close()
        balanced.close()
    assert status == (0 if end is signal.SIGTERM else -signal.SIGKILL)


def test_thirty_calls_in_flight_are_answered_while_somebody_watches_the_health(replicas: list[Replica]) -> None:
    one = replicas[0]
    picture = tiny.picture(2, (3000, 2000), "JPEG")
    with (
        grpc.insecure_channel(f"127.0.0.1:{one.ports[1]}") as channel,
        ThreadPoolExecutor(31) as pool,
        httpx.Client(base_url=f"http://127.0.0.1:{one.ports[0]}") as client,
    ):
        watching = pool.submit(_watch, channel)
        stub = KIND.stub(channel)
        calls = [pool.submit(stub.Classify, KIND.request(picture), timeout=60) for _ in range(30)]

        def let_in() -> bool:
            at_work = re.search(r"^maquette_at_work (\S+)", client.get("/metrics").text, re.M)
            return at_work is not None and float(at_work[1]) + sum(call.done() for call in calls) >= 30

        serving.until(let_in, lambda: "the calls were not let in")
        one.process.terminate()
        assert one.process.wait(60) == 0
        assert all(call.result().predictions for call in calls)
        # The watch, which no watcher ends, was told first and did not hold the drain.
        assert watching.result() == [health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING]


def _watch(channel: grpc.Channel) -> list[int]:
    seen: list[int] = []
    with suppress(grpc.RpcError):
        seen.extend(message.status for message in health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest()))
    return seen
