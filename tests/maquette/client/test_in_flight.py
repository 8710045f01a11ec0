from __future__ import annotations

import threading
from collections.abc import Iterator

from maquette.client.images import Loaded, load
from maquette.client.in_flight import Window


def images(*sizes: int) -> Iterator[Loaded]:
    return (load(bytes(size)) for size in sizes)


def test_bytes_bound_what_is_out_and_one_image_always_goes() -> None:
    window = Window(images(900, 50, 50, 5000, 1), in_flight=8, max_bytes=1000)
    sends = window.sends(window.begin())
    assert [next(sends).index for _ in range(3)] == [0, 1, 2]  # the third reaches the 1000 bytes
    got: list[int] = []
    thread = threading.Thread(target=lambda: got.append(next(sends).index))
    thread.start()
    thread.join(0.2)
    assert thread.is_alive()
    window.answered()
    thread.join()
    assert got == [3]  # larger than the bound by itself
    window.close()
    assert list(sends) == []


def test_a_full_window_waits_for_an_answer() -> None:
    window = Window(images(1, 1, 1), in_flight=2, max_bytes=1000)
    sends = window.sends(window.begin())
    assert [next(sends).index, next(sends).index] == [0, 1]
    got: list[int] = []
    thread = threading.Thread(target=lambda: got.append(next(sends).index))
    thread.start()
    thread.join(0.2)
    assert thread.is_alive()
    window.answered()
    thread.join()
    assert got == [2]


def test_a_new_stream_sends_the_unanswered_again_and_ends_the_old_one() -> None:
    window = Window(images(1, 1, 1, 1), in_flight=4, max_bytes=1000)
    old = window.sends(window.begin())
    assert [next(old).index for _ in range(3)] == [0, 1, 2]
    window.answered()
    new = window.sends(window.begin())
    assert [next(new).index, next(new).index, next(new).index] == [1, 2, 3]
    assert list(old) == []
    assert list(new) == []
    assert not window.all_sent
    for _ in range(3):
        window.answered()
    assert window.finished


def test_only_a_caller_who_waits_can_be_kept_waiting() -> None:
    """A caller who takes a long time over an answer must not have the stream cancelled meanwhile."""
    window = Window(images(1), in_flight=1, max_bytes=1000)
    stream = window.begin()
    next(window.sends(stream))
    stalled: list[bool] = []
    thread = threading.Thread(target=lambda: stalled.append(window.wait_stalled(stream)))
    thread.start()
    thread.join(0.5)
    assert thread.is_alive()
    with window.awaiting(0.05):
        thread.join()
    assert stalled == [True]


def test_a_watch_ends_with_its_stream() -> None:
    window = Window(images(1), in_flight=1, max_bytes=1000)
    stream = window.begin()
    window.close()
    assert window.wait_stalled(stream) is False
