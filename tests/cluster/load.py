"""Calls classify in every way that a caller may, again and again, and counts by kind of caller; exit 1 when a call failed.

    python load.py HOST:PORT-OF-GRPC HOST:PORT-OF-HTTP --callers 2 --seconds 60 < PICTURE

It runs in a pod of a cluster and on one machine (tests/k8s/test_rollover.py). Every second, and at the end, it prints a line of
JSON: for each kind the calls, how many failed, the slowest in seconds, and the first failures. SIGTERM ends it before its time.

Only the first kind asks again when a call fails. The others are what people write: a kept-alive connection, one for each call,
and a gRPC channel as it comes.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import grpc

from maquette import Client
from protos.maquette.classify.v1 import classify_pb2, classify_pb2_grpc

Call = Callable[[], None]
_TIMEOUT = 60


class Load:
    """``names_ms``: how often, at most, a plain gRPC channel asks for its name; None leaves it as gRPC has it."""

    def __init__(self, over_grpc: str, over_http: str, names_ms: int | None, picture: bytes) -> None:
        self._grpc, self._http, self._picture = over_grpc, over_http, picture
        self._options = [] if names_ms is None else [("grpc.dns_min_time_between_resolutions_ms", names_ms)]
        self.kinds: dict[str, Callable[[], Iterator[Call]]] = {
            "client": self._client,
            "http kept alive": self._http_kept_alive,
            "http new": self._http_new,
            "grpc pick_first": lambda: self._plain("pick_first"),
            "grpc round_robin": lambda: self._plain("round_robin"),
        }

    def _client(self) -> Iterator[Call]:
        with Client(self._grpc, timeout=_TIMEOUT) as client:
            yield lambda: None if client.classify(self._picture).predictions else _fail("an empty answer")

    def _plain(self, policy: str) -> Iterator[Call]:
        options = [*self._options, ("grpc.service_config", json.dumps({"loadBalancingConfig": [{policy: {}}]}))]
        # A caller of its own for each: channels with the same options would share their connections.
        options.append(("grpc.use_local_subchannel_pool", 1))
        with grpc.insecure_channel(self._grpc, options) as channel:
            stub = classify_pb2_grpc.ClassifyServiceStub(channel)
            request = classify_pb2.ClassifyRequest(image=self._picture)
            yield lambda: None if stub.Classify(request, timeout=_TIMEOUT).predictions else _fail("an empty answer")

    def _http_new(self) -> Iterator[Call]:
        def call() -> None:
            with closing(self._connection()) as connection:
                self._post(connection, {"connection": "close"})

        yield call

    def _http_kept_alive(self) -> Iterator[Call]:
        kept: list[http.client.HTTPConnection] = []

        def call() -> None:
            if not kept:
                kept.append(self._connection())
            try:
                if self._post(kept[0], {}):
                    kept.pop().close()
            except BaseException:
                kept.pop().close()
                raise

        yield call

    def _connection(self) -> http.client.HTTPConnection:
        """To any of the addresses of the name, of which a Service has one and pods have theirs."""
        host, _, port = self._http.rpartition(":")
        addresses = [found[4][0] for found in socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)]
        return http.client.HTTPConnection(str(random.choice(addresses)), int(port), timeout=_TIMEOUT)

    def _post(self, connection: http.client.HTTPConnection, headers: dict[str, str]) -> bool:
        """Whether the answer says that it is the connection's last."""
        connection.request("POST", "/v1/classify", self._picture, {"content-type": "image/jpeg", **headers})
        response = connection.getresponse()
        body = response.read()
        if response.status != http.client.OK:
            _fail(f"{response.status}: {body.decode(errors='replace')}")
        return response.getheader("connection") == "close"


class Count:
    def __init__(self) -> None:
        self.calls, self.failed, self.slowest = 0, 0, 0.0
        self.failures: list[str] = []

    def told(self) -> dict[str, object]:
        return {"calls": self.calls, "failed": self.failed, "slowest": round(self.slowest, 2), "failures": self.failures[:3]}


def _fail(reason: str) -> None:
    raise AssertionError(reason)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("grpc")
    parser.add_argument("http")
    parser.add_argument("--callers", type=int, default=2, help="of each kind")
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--names-ms", type=int)
    given = parser.parse_args()
    load = Load(given.grpc, given.http, given.names_ms, sys.stdin.buffer.read())
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    counts = {kind: [Count() for _ in range(given.callers)] for kind in load.kinds}

    def ask(kind: str, count: Count) -> None:
        with contextmanager(load.kinds[kind])() as call:
            while not stop.is_set():
                began = time.monotonic()
                try:
                    call()
                except Exception as error:
                    count.failed += 1
                    code = f"{error.code()}: {error.details()}" if isinstance(error, grpc.Call) else repr(error)
                    count.failures.append(f"{time.strftime('%X')} {code}"[:300])
                count.calls += 1
                count.slowest = max(count.slowest, time.monotonic() - began)

    def say() -> dict[str, dict[str, object]]:
        told = {}
        for kind, each in counts.items():
            total = Count()
            total.calls, total.failed = sum(one.calls for one in each), sum(one.failed for one in each)
            total.slowest = max(one.slowest for one in each)
            total.failures = [failure for one in each for failure in one.failures]
            told[kind] = total.told()
        print(json.dumps(told), flush=True)
        return told

    threads = [threading.Thread(target=ask, args=(kind, count)) for kind, each in counts.items() for count in each]
    for thread in threads:
        thread.start()
    end = time.monotonic() + given.seconds
    while not stop.wait(min(1.0, max(0.0, end - time.monotonic()))) and time.monotonic() < end:
        say()
    stop.set()
    for thread in threads:
        thread.join()
    return int(any(told["failed"] or not told["calls"] for told in say().values()))


if __name__ == "__main__":
    raise SystemExit(main())
