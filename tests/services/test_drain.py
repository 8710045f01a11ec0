"""How a process leaves: first it says so and answers on, then both transports close and finish what they have."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from contextlib import closing
from threading import Event

import grpc
import httpx
import pytest

from tests import tiny
from tests.serving import Served, holding_upload, until

GOOD = tiny.picture()
JPEG = {"content-type": "image/png"}


@pytest.fixture
def served(serve: Callable[..., Served]) -> Served:
    return serve("classify", drain_seconds=20).until_ready()


def test_a_kept_alive_connection_is_told_before_it_is_closed(served: Served) -> None:
    """No retries here: each call that is made gets its answer, until an answer says that it was the last."""
    with closing(http.client.HTTPConnection(served.host, served.http_port, timeout=60)) as kept:

        def ask() -> str | None:
            kept.request("POST", served.kind.path, body=GOOD, headers=JPEG)
            response = kept.getresponse()
            response.read()
            assert response.status == httpx.codes.OK
            return response.getheader("connection")

        assert ask() is None
        served.terminate()
        until(lambda: ask() == "close", lambda: "the connection is never closed")
    # Its last moments: not ready any more, and whoever comes is still answered.
    with httpx.Client(base_url=f"http://{served.host}:{served.http_port}") as late:
        assert late.get("/readyz").status_code == httpx.codes.SERVICE_UNAVAILABLE
        answer = late.post(served.kind.path, content=GOOD, headers=JPEG)
        assert (answer.status_code, answer.headers["connection"]) == (httpx.codes.OK, "close")
    assert served.call("grpc", GOOD)["predictions"]
    log = served.stop()
    assert served.process.returncode == 0, log


def test_both_transports_close_at_the_same_time(served: Served) -> None:
    """A call over either of them does not hold up the other's end."""
    more = Event()

    def items() -> Iterator[object]:
        yield served.kind.item("first", GOOD)
        more.wait()

    stream = served.stub.ClassifyStream(items(), timeout=120)
    assert next(stream).id == "first"
    with holding_upload(served, GOOD) as upload:
        served.terminate()
        until(lambda: not _listens(served.host, served.http_port), lambda: "HTTP waits for gRPC")
        with grpc.insecure_channel(f"{served.host}:{served.grpc_port}") as channel:
            until(lambda: _refused(served, channel), lambda: "gRPC waits for HTTP")
        more.set()
        assert list(stream) == []
        upload.sendall(GOOD[-1:])
        answer = upload.recv(65536)
        assert b" 200 OK" in answer and b"\r\nconnection: close\r\n" in answer, answer
    log = served.stop()
    assert served.process.returncode == 0, log


def _listens(host: str, port: int) -> bool:
    try:
        httpx.get(f"http://{host}:{port}/livez")
    except httpx.TransportError:
        return False
    return True


def _refused(served: Served, channel: grpc.Channel) -> bool:
    try:
        served.kind.stub(channel).GetModel(served.kind.pb.GetModelRequest(), timeout=30)
    except grpc.RpcError as error:
        return error.code() is grpc.StatusCode.UNAVAILABLE
    return False


def test_an_old_connection_is_asked_to_end(serve: Callable[..., Served]) -> None:
    """Over both transports, between two calls, and without the loss of one: so that callers find new replicas."""
    served = serve("classify", connection_age_seconds=1).until_ready()
    with closing(http.client.HTTPConnection(served.host, served.http_port, timeout=60)) as kept:
        said: list[str | None] = []

        def ask() -> bool:
            kept.request("GET", "/v1/model")
            response = kept.getresponse()
            response.read()
            said.append(response.getheader("connection"))
            return said[-1] == "close"

        until(ask, lambda: "it may be kept for ever")
    assert len(said) > 1
    states: list[grpc.ChannelConnectivity] = []
    served.channel.subscribe(states.append)

    def left() -> bool:
        assert served.get("grpc", "/v1/model")
        ready = [index for index, state in enumerate(states) if state is grpc.ChannelConnectivity.READY]
        return len(ready) > 1

    until(left, lambda: f"the connection never ends: {states}")
