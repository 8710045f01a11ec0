"""The good photograph beside the attack, sent from a process of its own so that a busy attacker does not slow it down.

Four loops: the photograph over HTTP on one connection; over gRPC from a caller who says how long the message is, and from a
plain one who does not; and ``/livez`` on a new connection each time, as Kubernetes asks. An answer counts as right when all its
bytes are those of the first answer, given before any attack.
"""

from __future__ import annotations

import base64
import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
import httpx

PAUSE = 0.05
_PATIENCE = 60.0
_ID = "probe"


@dataclass
class Outcome:
    """What the loops saw. Seconds of every question, and sentences about those that were not answered as before."""

    photographs: list[float] = field(default_factory=list)
    livez: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


class Probe:
    """The process of the loops; each :meth:`start` has its :meth:`stop`."""

    def __init__(self, kind: Any, http_port: int, grpc_port: int, photograph: bytes, key: str) -> None:
        request = kind.request(photograph).SerializeToString()
        task = {
            "http": http_port,
            "grpc": grpc_port,
            "path": kind.path,
            "method": f"/{kind.service.full_name}/{kind.rpc}",
            "photograph": base64.b64encode(photograph).decode(),
            "request": base64.b64encode(request).decode(),
            "key": key,
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.hostile.watch.probe"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._tell(json.dumps(task))
        self._hear()

    def start(self) -> None:
        self._tell("start")
        self._hear()

    def stop(self) -> Outcome:
        self._tell("stop")
        return Outcome(**json.loads(self._hear()))

    def close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                stream.close()
        self._process.terminate()
        self._process.wait()

    def _tell(self, line: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _hear(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, "the probe's process ended"
        return line


def _main() -> None:
    task = json.loads(sys.stdin.readline())
    client = httpx.Client(base_url=f"http://127.0.0.1:{task['http']}", timeout=_PATIENCE)
    channel = grpc.insecure_channel(f"127.0.0.1:{task['grpc']}", [("grpc.max_receive_message_length", -1)])
    call = channel.unary_unary(task["method"])
    photograph, request = base64.b64decode(task["photograph"]), base64.b64decode(task["request"])
    headers = {"content-type": "image/jpeg", "x-request-id": _ID, **({"x-api-key": task["key"]} if task["key"] else {})}
    plain = tuple((name, value) for name, value in headers.items() if name != "content-type")
    declared = (*plain, ("maquette-message-bytes", str(len(request))))

    def over_http() -> bytes:
        answer = client.post(task["path"], content=photograph, headers=headers)
        if answer.status_code != httpx.codes.OK:
            raise RuntimeError(f"HTTP {answer.status_code} {answer.text[:200]}")
        return answer.content + answer.headers.get("x-maquette-answer", "").encode()

    def over_grpc(metadata: tuple[tuple[str, str], ...]) -> bytes:
        return bytes(call(request, timeout=_PATIENCE, metadata=metadata))

    def livez() -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", task["http"], timeout=_PATIENCE)
        try:
            connection.request("GET", "/livez")
            return str(connection.getresponse().status).encode()
        finally:
            connection.close()

    asks: dict[str, Callable[[], bytes]] = {
        "http": over_http,
        "grpc": lambda: over_grpc(declared),
        "plain grpc": lambda: over_grpc(plain),
        "livez": livez,
    }
    first = {name: ask() for name, ask in asks.items()}
    print("ready", flush=True)
    while sys.stdin.readline():
        outcome, ended = Outcome(), threading.Event()
        loops = [
            threading.Thread(
                target=_loop,
                args=(name, ask, first[name], outcome.livez if name == "livez" else outcome.photographs, outcome, ended),
            )
            for name, ask in asks.items()
        ]
        for loop in loops:
            loop.start()
        print("started", flush=True)
        sys.stdin.readline()
        ended.set()
        for loop in loops:
            loop.join()
        print(json.dumps(vars(outcome)), flush=True)


def _loop(
    name: str, ask: Callable[[], bytes], first: bytes, seconds: list[float], outcome: Outcome, ended: threading.Event
) -> None:
    while True:
        began = time.monotonic()
        try:
            if ask() != first:
                outcome.wrong.append(f"{name}: another answer than before")
        except Exception as error:
            outcome.wrong.append(f"{name} after {time.monotonic() - began:.1f} s: {type(error).__name__} {error}"[:300])
        seconds.append(round(time.monotonic() - began, 4))
        if ended.wait(PAUSE):
            return


if __name__ == "__main__":
    _main()
