"""Bidirectional streams: in order, an error is one item's, nobody is read faster than they read."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from PIL import Image

from services.common.errors import TABLE
from tests import tiny
from tests.files import encode
from tests.serving import KINDS, Served, alike, as_dict, until

GOOD = tiny.picture()


def stream(served: Served, items: Any, **options: Any) -> Any:
    return getattr(served.stub, f"{served.kind.rpc}Stream")(items, timeout=90, **options)


@pytest.mark.parametrize("name", KINDS)
def test_answers_are_those_of_single_calls_in_order(running: dict[str, Served], name: str) -> None:
    served = running[name]
    pictures = [tiny.picture(seed, (40 + seed, 60)) for seed in range(12)]
    answers = list(stream(served, (served.kind.item(f"record-{i}", picture) for i, picture in enumerate(pictures))))
    assert [answer.id for answer in answers] == [f"record-{i}" for i in range(12)]
    for picture, answer in zip(pictures, answers, strict=True):
        single = served.call("grpc", picture)
        streamed = as_dict(answer.response)
        assert single.pop("request_id") != streamed.pop("request_id")
        assert alike(single, streamed), "batches of other sizes may differ in the last digits, and in nothing else"


def test_a_fast_item_waits_for_a_slow_one_before_it(running: dict[str, Served]) -> None:
    served = running["remove_background"]
    slow, fast = encode(Image.new("RGB", (5000, 4000))), GOOD
    items = [served.kind.item("slow", slow, output="cutout"), *(served.kind.item(f"fast{i}", fast) for i in range(4))]
    assert [answer.id for answer in stream(served, iter(items))] == ["slow", "fast0", "fast1", "fast2", "fast3"]


def test_an_error_is_one_item_s(running: dict[str, Served]) -> None:
    served = running["classify"]
    item = served.kind.item
    items = [
        item("good", GOOD),
        item("empty", b""),
        item("text", b"not an image"),
        item("half", GOOD[:100]),
        item("99", GOOD, top_k=99),
        item("", GOOD),
        item("x" * 257, GOOD),
        item("x" * 256, GOOD),
        item("last", GOOD, top_k=1),
    ]
    answers = list(stream(served, iter(items)))
    assert [answer.id for answer in answers] == [item.id[:256] for item in items]
    assert [answer.error.code for answer in answers] == [
        "",
        "IMAGE_MISSING",
        "IMAGE_UNDECODABLE",
        "IMAGE_TRUNCATED",
        "PARAMETER_INVALID",
        "",
        "PARAMETER_INVALID",
        "",
        "",
    ]
    assert "256" in answers[6].error.detail
    for answer in answers:
        if answer.WhichOneof("outcome") == "error":  # as a failed call would carry it
            info, status = error_details_pb2.ErrorInfo(), answer.error.status
            assert status.code == TABLE[answer.error.code].grpc.value[0]
            assert status.message == answer.error.detail
            assert status.details[0].Unpack(info) and info.reason == answer.error.code
    assert len(answers[8].response.predictions) == 1


def test_the_request_id_of_the_call_is_on_every_item(running: dict[str, Served]) -> None:
    served = running["classify"]
    items = (served.kind.item(str(i), GOOD) for i in range(3))
    answers = stream(served, items, metadata=(("x-request-id", "night-batch"),))
    assert {answer.response.request_id for answer in answers} == {"night-batch"}


def test_an_empty_stream_ends(running: dict[str, Served]) -> None:
    assert list(stream(running["classify"], iter(()))) == []


def test_more_items_than_the_queue_holds_are_held_back_and_not_refused(running: dict[str, Served]) -> None:
    served = running["classify"]
    answers = list(stream(served, (served.kind.item(str(i), GOOD) for i in range(300))))
    assert [answer.id for answer in answers] == [str(i) for i in range(300)]
    assert {answer.WhichOneof("outcome") for answer in answers} == {"response"}


class Feed:
    """Requests put in one by one, as a caller has them."""

    def __init__(self) -> None:
        self.items: queue.Queue[Any] = queue.Queue()
        self.taken = 0

    def __iter__(self) -> Iterator[Any]:
        while (item := self.items.get()) is not None:
            self.taken += 1
            yield item


def test_answers_come_while_the_caller_still_sends(running: dict[str, Served]) -> None:
    """One in, one out, on one open stream: it does not wait for the end."""
    served, feed = running["classify"], Feed()
    answers = stream(served, iter(feed))
    for i in range(5):
        feed.items.put(served.kind.item(str(i), GOOD))
        assert next(answers).id == str(i)
    feed.items.put(None)
    assert list(answers) == []


def test_a_caller_that_does_not_read_is_not_read(running: dict[str, Served]) -> None:
    """120 photographs whose answers are a megabyte each: the server answers a few, then stops taking more."""
    served = running["remove_background"]
    noise = tiny.picture(1, (700, 500))
    before = served.metric("maquette_items_total", code="OK")
    resident = served.resident()
    answers = stream(served, (served.kind.item(str(i), noise, output="cutout") for i in range(120)))
    assert next(answers).id == "0"
    answered = until_still(lambda: served.metric("maquette_items_total", code="OK") - before)
    assert answered < 60
    assert served.resident() - resident < 200 * 2**20
    assert served.call("http", GOOD)["report"], "others are served meanwhile"
    assert [answer.id for answer in answers] == [str(i) for i in range(1, 120)]


def until_still(value: Any) -> float:
    """The value once it has stayed the same for a second."""
    last, since = value(), time.monotonic()
    while time.monotonic() - since < 1:
        time.sleep(0.05)
        if (now := value()) != last:
            last, since = now, time.monotonic()
    return float(last)


def test_a_cancelled_stream_drops_what_is_at_work(running: dict[str, Served]) -> None:
    served, feed = running["remove_background"], Feed()
    large = encode(Image.new("RGB", (8000, 6000)))
    cancelled = served.metric("maquette_items_total", code="CANCELLED")
    answers = stream(served, iter(feed))
    for i in range(4):
        feed.items.put(served.kind.item(str(i), large, output="cutout"))
    until(lambda: served.metric("maquette_pixels_in_flight") > 0, lambda: "the work did not start")
    answers.cancel()
    feed.items.put(None)
    until(lambda: served.metric("maquette_items_total", code="CANCELLED") > cancelled, lambda: "the work went on")
    until(lambda: served.metric("maquette_at_work") == 0, lambda: "the places were not given back")
    assert served.metric("maquette_pixels_in_flight") == 0
    with pytest.raises(grpc.RpcError) as caught:
        list(answers)
    assert caught.value.code() is grpc.StatusCode.CANCELLED
    assert served.call("grpc", GOOD)["report"]


def test_two_streams_share_the_service(running: dict[str, Served]) -> None:
    served = running["classify"]
    results: dict[str, list[str]] = {}

    def run(name: str) -> None:
        items = (served.kind.item(f"{name}{i}", GOOD) for i in range(60))
        results[name] = [answer.id for answer in stream(served, items)]

    threads = [threading.Thread(target=run, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {name: [f"{name}{i}" for i in range(60)] for name in "ab"}
