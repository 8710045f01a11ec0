"""Bytes, pixels and places: one budget for both transports, fair to those who need little, given back by who holds it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import grpc
import httpx
from PIL import Image

from tests import tiny
from tests.files import encode
from tests.hostile.callers import http1
from tests.hostile.callers.both import at_once, code
from tests.hostile.watch.pod import MEBIBYTE, PHOTOGRAPH, Pod, scaled
from tests.hostile.watch.table import watched
from tests.serving import until


def test_batches_nobody_reads(pod: Pod) -> None:
    """Row 4. Four callers fill the bytes with batches whose answers they never read; a fifth is answered in its turn."""
    size = scaled(15, 62) * MEBIBYTE
    # Answers repeat the names: four megabytes, more than the buffers between the two ends take.
    named = [(f"{number:04}-{'x' * 3900}.jpg", b"no image") for number in range(990)]
    body = http1.form([*named, ("large.jpg", bytes(size - 4_500_000))])
    head = http1.head("POST", "/v1/masks", content_type=http1.FORM, content_length=len(body))
    with watched(pod, "four batches whose answers are never read", "everyone else 503 for 75 to 130 s"), ExitStack() as stack:
        silent = [stack.enter_context(http1.connection(pod, receive_buffer=4096)) for _ in range(4)]
        at_once([lambda one=one: one.sendall(head + body) for one in silent], 4)
        files = [("images", (f"{number}.jpg", PHOTOGRAPH)) for number in range(8)]
        until(lambda: pod.http.post("/v1/masks", files=files).status_code == httpx.codes.OK, lambda: "no place for a batch")
        until(lambda: not pod.connected(silent), lambda: f"{pod.connected(silent)} of them keep their connections")


def test_bodies_that_stop(pod: Pod) -> None:
    """Bodies that never end hold bytes no longer than a setting says; who sends slowly but steadily is answered."""
    data = tiny.picture(5, (1200, 900), quality=95, format_="JPEG")
    promised = scaled(15, 60) * MEBIBYTE
    head = http1.head("POST", pod.kind.path, content_type="image/jpeg", content_length=promised)
    with watched(pod, "twelve bodies that stop in the middle", "no bound on time"), ExitStack() as stack:
        stopped = http1.connections(stack, pod, 12)
        at_once([lambda one=one: http1.send_all_it_takes(one, head + bytes(promised // 2)) for one in stopped], 12)
        steady = stack.enter_context(http1.connection(pod))
        steady.sendall(http1.head("POST", pod.kind.path, content_type="image/jpeg", content_length=len(data)))
        pieces = 2 * int(pod.settings["idle_seconds"]) + 2
        for number in range(pieces):
            steady.sendall(data[number * len(data) // pieces : (number + 1) * len(data) // pieces])
            time.sleep(0.5)
        assert http1.answer(steady)[0] == httpx.codes.OK
        until(lambda: all(map(http1.closed, stopped)), lambda: "they keep their connections")


def test_answers_nobody_reads(pod: Pod) -> None:
    """Single answers as well: cut-outs of some megabytes, their windows closed."""
    data = encode(Image.effect_noise((1800, 1200), 90).convert("RGB"), "JPEG", quality=90)
    head = http1.head("POST", f"{pod.kind.path}?output=cutout", content_type="image/jpeg", content_length=len(data))
    with watched(pod, "cut-outs of 6 MB that nobody reads", "no bound on time"), ExitStack() as stack:
        silent = [stack.enter_context(http1.connection(pod, receive_buffer=4096)) for _ in range(scaled(6, 24))]
        for one in silent:
            one.sendall(head + data)
        until(lambda: not pod.connected(silent), lambda: f"{pod.connected(silent)} of them keep their connections")


def test_streams_beside_single_calls(pod: Pod) -> None:
    """Row 6. Twelve streams that always have the next photograph ready; single calls go on, and so do the streams."""
    item = pod.kind.item("photograph", tiny.picture(6, (1000, 750), "JPEG"))
    ended = threading.Event()

    def forever() -> Iterator[Any]:
        while not ended.is_set():
            yield item

    def listen() -> int:
        answers = 0
        for answer in pod.stub.RemoveBackgroundStream(forever()):
            assert answer.response.mask, answer.error
            answers += 1
        return answers

    def single(number: int) -> str:
        return code(pod, ("http", "grpc")[number % 2], PHOTOGRAPH)

    with watched(pod, "twelve well-behaved streams", "119 of 120 single calls OVERLOADED"):
        streams: list[int] = []
        threads = [threading.Thread(target=lambda: streams.append(listen())) for _ in range(12)]
        for thread in threads:
            thread.start()
        try:
            time.sleep(1)
            codes = at_once([lambda number=number: single(number) for number in range(120)], 4)
        finally:
            ended.set()
            for thread in threads:
                thread.join()
        assert codes == ["OK"] * 120
        assert len(streams) == 12
        assert min(streams) > 0


def test_small_demands_beside_large_ones(pods: Callable[..., Pod]) -> None:
    """Callers who always have the largest photograph ready do not bar the small ones, nor the small ones them."""
    pod = pods(max_megapixels=30, megapixels_in_flight=70)
    large = encode(Image.new("L", (6000, 5000)))
    with watched(pod, "eight callers of the largest photograph, again and again", "not tried"):
        found = at_once([lambda: code(pod, "http", large, output="cutout") for _ in range(scaled(8, 16))], 8)
    assert "OK" in found
    assert set(found) <= {"OK", "OVERLOADED"}


def test_the_clock_starts_when_the_work_is_let_in(pods: Callable[..., Pod]) -> None:
    """Row 7. One lane, eight cut-outs that take together longer than one may: each is answered."""
    megapixels, seconds = scaled((6, 6), (50, 30))
    pod = pods(threads=1, timeout_seconds=seconds, wait_seconds=120, max_megapixels=60, megapixels_in_flight=120)
    side = int((megapixels * 1e6) ** 0.5)
    data = encode(Image.effect_noise((512, 512), 80).convert("RGB").resize((side, side)), "JPEG", quality=80)
    with watched(pod, f"eight cut-outs of {megapixels} MP on one lane", "all DEADLINE_EXCEEDED, for ever"):
        assert at_once([lambda: code(pod, "http", data, output="cutout") for _ in range(8)], 8) == ["OK"] * 8


def test_cancelled_while_a_thread_decodes(pods: Callable[..., Pod]) -> None:
    """Row 8. Pixels are held until the thread has ended: callers who give up at once cannot have more of them."""
    pod = pods(threads=6, max_streams=1, max_megapixels=scaled(24, 120), megapixels_in_flight=scaled(60, 300))
    width, height = scaled((6000, 4000), (12_000, 10_000))
    data = encode(Image.linear_gradient("L").resize((width, height)).convert("RGB"), compress_level=1)
    before = "480 of 120 megapixels in use"
    with watched(pod, f"cut-outs of {width * height // 10**6} MP, cancelled while they decode", before):
        request = pod.kind.request(data, output="cutout")
        for _ in range(scaled(8, 12)):
            call = pod.stub.RemoveBackground.future(request)
            time.sleep(0.25)
            call.cancel()
            with ExitStack() as stack:
                one = stack.enter_context(http1.connection(pod))
                query = f"{pod.kind.path}?output=cutout"
                one.sendall(http1.head("POST", query, content_type="image/png", content_length=len(data)) + data)
                time.sleep(0.25)
        assert grpc.StatusCode.CANCELLED is call.code()
