"""gRPC: keys before messages, bytes counted as over HTTP, places lost by who does not send or read, and typed refusals."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import grpc
import pytest
from PIL import Image

from tests.files import encode
from tests.hostile.callers import http2
from tests.hostile.callers.both import at_once, raw, raw_stream, refusal
from tests.hostile.watch.pod import KEY, MEBIBYTE, PHOTOGRAPH, Pod, scaled
from tests.hostile.watch.table import watched
from tests.serving import until

RPC = "RemoveBackground"
NO_MESSAGES = {
    "rubbish": b"\xff" * 100,
    "cut short": b"\x0a\x7f123",
    "wrong wire type": b"\x08\x01\x0b",
    "deep groups": b"\x0b" * 5000,
}


def large(pod: Pod) -> bytes:
    """A message as large as a photograph may be, which is no photograph."""
    return bytes(pod.kind.request(bytes(int(pod.settings["max_mebibytes"]) * MEBIBYTE - 1000)).SerializeToString())


def code_of(call: Callable[[], Any]) -> str:
    try:
        call()
    except grpc.RpcError as error:
        return refusal(error).code
    return "OK"


def test_large_calls_without_a_key(pods: Callable[..., Pod]) -> None:
    """Row 5. Nobody's bytes are taken before the key has been looked at."""
    pod = pods(api_key=KEY)
    message = large(pod)
    peak = pod.busy + 96 * MEBIBYTE
    with watched(pod, f"32 calls of {len(message) // MEBIBYTE} MiB without a key", "460 → 3,703 MiB", peak=peak):
        ask = raw(pod, RPC)
        codes = at_once([lambda: code_of(lambda: ask(message, timeout=60)) for _ in range(32)], 32)
    assert codes == ["UNAUTHENTICATED"] * 32


def test_large_calls_with_a_key(pods: Callable[..., Pod]) -> None:
    """Row 5. As many bytes as the setting allows, whatever is sent; what waits too long is OVERLOADED."""
    pod = pods(api_key=KEY)
    message = large(pod)
    # gRPC's own buffers, the message made of them, and one that is on its way between both.
    peak = pod.busy + 2 * int(pod.settings["mebibytes_in_flight"]) * MEBIBYTE + 2 * len(message) + 96 * MEBIBYTE
    with watched(pod, f"32 calls of {len(message) // MEBIBYTE} MiB at once", "460 → 3,703 MiB", peak=peak):
        ask, metadata = raw(pod, RPC), (("x-api-key", KEY),)
        codes = at_once([lambda: code_of(lambda: ask(message, timeout=60, metadata=metadata)) for _ in range(32)], 32)
    assert set(codes) <= {"IMAGE_UNDECODABLE", "OVERLOADED"}
    assert "IMAGE_UNDECODABLE" in codes


def test_streams_of_large_items(pod: Pod) -> None:
    """Row 5. Six streams, each with large items; all of them end, answered or refused."""
    item = pod.kind.item("large", bytes(int(pod.settings["max_mebibytes"]) * MEBIBYTE - 1000)).SerializeToString()
    count = scaled(4, 8)

    def stream() -> int:
        answers = 0
        try:
            for answer in raw_stream(pod, f"{RPC}Stream")(iter([item] * count), timeout=120):
                found = pod.kind.pb.RemoveBackgroundStreamResponse.FromString(answer)
                assert found.error.code in {"IMAGE_UNDECODABLE", "OVERLOADED"}
                answers += 1
        except grpc.RpcError as error:
            assert refusal(error).code == "OVERLOADED"
        return answers

    with watched(pod, f"six streams of {len(item) // MEBIBYTE} MiB items", "460 → 3,703 MiB"):
        assert sum(at_once([stream] * 6, 6)) >= count


def test_messages_that_never_arrive(pod: Pod) -> None:
    """Calls that promise the largest message and send a little of it lose their place, one connection or many."""
    promised = int(pod.settings["max_mebibytes"]) * MEBIBYTE
    with watched(pod, "40 gRPC messages that never arrive", "not tried"), ExitStack() as stack:
        many = [stack.enter_context(http2.connection(pod)) for _ in range(20)]
        for one in many:
            http2.begin(one, pod, 1, RPC, promised, b"\x0a")
        for number in range(20):
            http2.begin(many[0], pod, 2 * number + 3, RPC, promised, b"\x0a")
        assert all(http2.ended(one, 4 * float(pod.settings["idle_seconds"]) + 15) for one in many)


def test_headers_alone(pod: Pod) -> None:
    """Calls without a byte of a message lose their place; streams without one may wait, until another wants theirs."""
    item = pod.kind.item("one", PHOTOGRAPH).SerializeToString()
    with watched(pod, "20 gRPC calls and 20 streams of headers alone", "not tried"), ExitStack() as stack:
        many = [stack.enter_context(http2.connection(pod)) for _ in range(40)]
        for number, one in enumerate(many):
            rpc = RPC if number % 2 else f"{RPC}Stream"
            one.sendall(http2.frame(http2.HEADERS, http2.END_HEADERS, 1, http2.call(pod, rpc)))
        assert all(http2.ended(one, 4 * float(pod.settings["idle_seconds"]) + 15) for one in many[1::2])
        answers = raw_stream(pod, f"{RPC}Stream")(iter([item] * 3), timeout=60)
        assert len(list(answers)) == 3


def test_answers_nobody_reads(pods: Callable[..., Pod]) -> None:
    """Cut-outs of some megabytes to callers whose window never opens: what they hold is given back with their connections."""
    pod = pods(connection_age_seconds=2, connection_grace_seconds=2, wait_seconds=2, timeout_seconds=8)
    data = encode(Image.effect_noise((1000, 700), 90).convert("RGB"), "JPEG", quality=90)
    message = pod.kind.request(data, output="cutout").SerializeToString()
    count = scaled(12, 48)
    with watched(pod, f"{count} gRPC answers nobody reads", "not tried"), ExitStack() as stack:
        many = [stack.enter_context(http2.connection(pod, window=0)) for _ in range(count)]
        for one in many:
            one.sendall(http2.frame(http2.HEADERS, http2.END_HEADERS, 1, http2.call(pod, RPC)))
            body = struct.pack(">BI", 0, len(message)) + message
            # The service's first window is of 64 KiB at least; the rest goes as it opens.
            threading.Thread(target=http2.send, args=(one, 1, body), daemon=True).start()
        time.sleep(2 * float(pod.settings["idle_seconds"]) + 2)
        until(lambda: not pod.held(), lambda: f"still held: {pod.held()}")


def test_streams_nobody_reads(pod: Pod) -> None:
    """More streams than there may be, full of photographs, and no answer read; cancelled, they leave no traceback."""
    logged = len(pod.log)
    data = encode(Image.effect_noise((1000, 700), 90).convert("RGB"), "JPEG", quality=90)
    item = pod.kind.item("large", data, output="cutout").SerializeToString()
    ended = threading.Event()

    def forever() -> Iterator[bytes]:
        while not ended.is_set():
            yield item

    with watched(pod, "40 streams whose answers nobody reads, then cancelled", "not tried"):
        ask = raw_stream(pod, f"{RPC}Stream")
        calls = [ask(forever()) for _ in range(40)]
        time.sleep(float(pod.settings["idle_seconds"]) + 3)
        ended.set()
        for call in calls:
            call.cancel()
    assert "Traceback" not in pod.log[logged:]


def test_a_cancelled_stream_leaves_no_traceback(pod: Pod) -> None:
    """Cancelled at once, while its answers wait to be sent."""
    logged = len(pod.log)
    data = encode(Image.effect_noise((1000, 700), 90).convert("RGB"), "JPEG", quality=90)
    item = pod.kind.item("large", data, output="cutout").SerializeToString()
    for _ in range(4):
        call = raw_stream(pod, f"{RPC}Stream")(iter([item] * 20))
        time.sleep(0.7)
        call.cancel()
    pod.until_quiet()
    assert "Traceback" not in pod.log[logged:]


@pytest.mark.parametrize("name", NO_MESSAGES)
@pytest.mark.parametrize("streaming", [False, True], ids=["unary", "stream"])
def test_bytes_that_are_no_message(pod: Pod, name: str, streaming: bool) -> None:
    """Refused as a parameter is, without the name of a class."""
    logged = len(pod.log)
    data = NO_MESSAGES[name]
    with pytest.raises(grpc.RpcError) as caught:
        if streaming:
            list(raw_stream(pod, f"{RPC}Stream")(iter([data]), timeout=60))
        else:
            raw(pod, RPC)(data, timeout=60)
    refused = refusal(caught.value)
    assert (refused.status, refused.code) == (grpc.StatusCode.INVALID_ARGUMENT, "PARAMETER_INVALID")
    assert "Error" not in refused.detail
    assert "Traceback" not in pod.log[logged:]


def test_a_message_larger_than_it_said(pod: Pod) -> None:
    """`maquette-message-bytes` is what a call reserves: more is refused, and what is no number as well."""
    message = pod.kind.request(PHOTOGRAPH).SerializeToString()
    wrong = dict.fromkeys((10, "many", -1, "1e9", 2**70), "PARAMETER_INVALID")
    for said, expected in {len(message): "OK", **wrong}.items():
        metadata = (("maquette-message-bytes", str(said)),)
        assert code_of(lambda metadata=metadata: raw(pod, RPC)(message, timeout=60, metadata=metadata)) == expected


def test_rapid_resets(pod: Pod) -> None:
    """Calls that are opened and reset at once, as fast as one connection can."""
    message = pod.kind.request(PHOTOGRAPH).SerializeToString()
    body = struct.pack(">BI", 0, len(message)) + message
    with watched(pod, f"{scaled(2000, 20_000):,} calls opened and reset", "not tried"), ExitStack() as stack:
        left = scaled(2000, 20_000)
        while left:
            one = stack.enter_context(http2.connection(pod))
            try:
                for number in range(min(left, 500)):
                    stream = 2 * number + 1
                    one.sendall(
                        http2.frame(http2.HEADERS, http2.END_HEADERS, stream, http2.call(pod, RPC))
                        + http2.frame(http2.DATA, http2.END_STREAM, stream, body[:8000])
                        + http2.frame(http2.RST_STREAM, 0, stream, struct.pack(">I", 8))
                    )
                    left -= 1
            except OSError:
                left = max(0, left - 500)
