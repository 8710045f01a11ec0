"""One file over both transports, and many callers at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import grpc
import httpx

from tests.hostile.watch.pod import KEY, Pod
from tests.serving import Refused, read

T = TypeVar("T")
_PATIENCE = 120.0


def code(pod: Pod, transport: str, image: bytes, **parameters: Any) -> str:
    """``OK`` or the code of the refusal. What is neither is an assertion."""
    return outcome(pod, transport, image, **parameters)[0]


def outcome(pod: Pod, transport: str, image: bytes, **parameters: Any) -> tuple[str, str]:
    """The code, and the pictures of the answer (base64) where there is one."""
    try:
        body = pod.call(transport, image, headers={"x-api-key": KEY}, **parameters)
    except Refused as refused:
        assert refused.code, f"{transport}: {refused.status} {refused.detail}"
        return refused.code, ""
    return "OK", body.get("mask", "") + body.get("cutout", "")


def at_once(tasks: Iterable[Callable[[], T]], callers: int = 16) -> list[T]:
    """The results of all tasks, in order, ``callers`` at a time. An exception of one is raised."""
    with ThreadPoolExecutor(callers) as threads:
        return [future.result() for future in [threads.submit(task) for task in tasks]]


def raw(pod: Pod, rpc: str) -> grpc.UnaryUnaryMultiCallable[bytes, bytes]:
    """A unary call that takes and gives bytes, whether they are a message or not."""
    return pod.channel.unary_unary(f"/{pod.kind.service.full_name}/{rpc}")


def raw_stream(pod: Pod, rpc: str) -> grpc.StreamStreamMultiCallable[bytes, bytes]:
    return pod.channel.stream_stream(f"/{pod.kind.service.full_name}/{rpc}")


def refusal(error: grpc.RpcError) -> Refused:
    """The refusal of a gRPC call, as the service's own: with ``ErrorInfo``."""
    refused = Refused.from_grpc(error)
    assert refused.code, f"no ErrorInfo: {refused.status} {refused.detail}"
    return refused


def problem(response: httpx.Response) -> Refused:
    """The refusal of an HTTP call, which must be problem+json."""
    try:
        read(response)
    except Refused as refused:
        return refused
    raise AssertionError(f"answered {response.status_code}")
