"""Connections and heads: bounds on size, number and time, and problem+json for what uvicorn answers by itself."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress

import pytest

from tests.hostile.callers import http1
from tests.hostile.watch.pod import MEBIBYTE, Pod, scaled
from tests.hostile.watch.table import watched
from tests.serving import until

COUNT = scaled(60, 300)


def longest(pod: Pod) -> float:
    """Seconds after which nobody holds a connection for nothing, on a crowded machine."""
    return 4 * float(pod.settings["idle_seconds"]) + 5


@pytest.mark.parametrize("kind", ["one", "many"])
def test_heads_without_bound(pod: Pod, kind: str) -> None:
    """Row 10. A hundred megabytes of one header, or of many."""
    size = 100 * MEBIBYTE
    line = b"X-A: " + b"a" * 1000 + b"\r\n"
    data = b"X-A: " + b"a" * size if kind == "one" else line * (size // len(line))
    name = f"100 MiB of headers ({kind})"
    with watched(pod, name, "no bound on size", peak=pod.busy + 96 * MEBIBYTE), http1.connection(pod) as one:
        sent = http1.send_all_it_takes(one, b"GET /livez HTTP/1.1\r\nHost: test\r\n" + data)
        assert sent < 16 * MEBIBYTE
        until(lambda: http1.closed(one), lambda: "the connection stays")


def test_a_head_a_little_too_large(pod: Pod) -> None:
    """Answered, and with a problem."""
    with http1.connection(pod) as one:
        one.sendall(http1.head("GET", "/livez", X_A="a" * 512 * 1024))
        status, headers, body = http1.answer(one)
    assert 400 <= status < 500
    assert headers["content-type"] == "application/problem+json"
    assert json.loads(body)["status"] == status


@pytest.mark.parametrize("piece", [b"", b"X"], ids=["silent", "dripping"])
def test_heads_never_finished(pod: Pod, piece: bytes) -> None:
    """Row 10. Half a head, and then nothing, or a byte now and then."""
    name = f"{COUNT} heads never finished ({'a byte now and then' if piece else 'silent'})"
    with watched(pod, name, "no bound on time"), ExitStack() as stack:
        open_ = http1.connections(stack, pod, COUNT)
        for one in open_:
            one.sendall(b"POST /v1/remove-background HTTP/1.1\r\nHost: test\r\nX-A: ")
        http1.drip(open_, piece, 0.3, longest(pod))


def test_connections_that_say_nothing(pod: Pod) -> None:
    """Row 10. Neither a byte."""
    with watched(pod, f"{COUNT} connections that say nothing", "no bound on time"), ExitStack() as stack:
        http1.drip(http1.connections(stack, pod, COUNT), b"", 0.3, longest(pod))


def test_more_connections_than_there_may_be(pod: Pod) -> None:
    """As many as one caller can open; probes ask on connections of their own all the while."""
    with watched(pod, "700 connections at once", "no bound on number"), ExitStack() as stack:
        open_: list[socket.socket] = []
        for _ in range(700):
            with suppress(OSError):
                open_.append(stack.enter_context(http1.connection(pod)))
        http1.drip(open_, b"", 0.3, longest(pod))


def test_bodies_dripped_byte_by_byte(pods: Callable[..., Pod]) -> None:
    """The largest photograph there may be, promised and then sent in bytes: what it reserves is not held for ever."""
    pod = pods(timeout_seconds=scaled(5, 30))
    length = int(pod.settings["max_mebibytes"]) * MEBIBYTE
    head = http1.head("POST", pod.kind.path, content_type="image/jpeg", content_length=length)
    with watched(pod, f"{COUNT} large bodies of a byte now and then", "no bound on time"), ExitStack() as stack:
        open_ = http1.connections(stack, pod, COUNT)
        for one in open_:
            one.sendall(head)
        http1.drip(open_, b"X", 0.3, pod.settings["timeout_seconds"] + longest(pod))


def test_chunks_without_end(pod: Pod) -> None:
    """A chunked body that never ends is refused at the limit of a photograph, and the connection closed."""
    size = 4 * int(pod.settings["max_mebibytes"]) * MEBIBYTE
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    with watched(pod, "chunks without end", "not tried"), http1.connection(pod) as one:
        head = http1.head("POST", pod.kind.path, content_type="image/jpeg", transfer_encoding="chunked")
        sent = http1.send_all_it_takes(one, head + chunk * (size // 0x10000))
        assert sent < size
        until(lambda: not pod.connected([one]), lambda: "the connection stays")


def test_tiny_chunks(pod: Pod) -> None:
    """Six bytes on the wire for one of the body, and chunk extensions."""
    count = scaled(300_000, 2_000_000)
    head = http1.head("POST", pod.kind.path, content_type="image/jpeg", transfer_encoding="chunked")
    body = b"1;" + b"x" * 20 + b"\r\nx\r\n"
    with watched(pod, f"{count:,} chunks of one byte", "not tried"), http1.connection(pod) as one:
        http1.send_all_it_takes(one, head + body * count + b"0\r\n\r\n")
        with suppress(OSError, http.client.HTTPException):
            assert http1.answer(one)[0] >= 400


def test_pipelining(pod: Pod) -> None:
    """Questions on one connection without waiting for the answers, which nobody reads."""
    question = http1.head("GET", "/docs.json")
    with watched(pod, "20,000 pipelined questions, no answer read", "not tried"), http1.connection(pod, 4096) as one:
        one.settimeout(longest(pod))
        with suppress(TimeoutError):
            http1.send_all_it_takes(one, question * 20_000)
        until(lambda: not pod.connected([one]), lambda: "the connection stays")
