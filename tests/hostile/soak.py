"""``make soak``: an hour of mixed traffic over both transports, a part of it broken or cancelled, and what memory does.

A line each minute. Traffic rests for a moment twice a minute, and what is resident then counts: photographs at work do not.
At the end the slope of the second half, by least squares. Exit status 1 above 1 MiB in ten minutes, or when a good
photograph was not answered as at first.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import grpc
import httpx
import numpy as np

from tests import tiny
from tests.hostile.callers import http1
from tests.hostile.files import jpeg, png, tiff
from tests.hostile.files.mutants import mutants
from tests.hostile.watch.pod import MEBIBYTE, Pod
from tests.serving import Refused

MINUTES = float(os.environ.get("SOAK_MINUTES", "60"))
CALLERS = 4
# What a caller sleeps between two questions: a soak is about hours of use, not about the most that two cores answer.
PAUSE = 0.02
# Seconds of each half minute in which nothing is asked.
REST = 4.0
SIZES = ((64, 48), (640, 480), (1600, 1200), (4000, 3000))
MOST_MIB_IN_TEN_MINUTES = 1.0


class Traffic:
    """One caller. Every question is drawn from a seed of its own; ``seen`` counts what became of them."""

    def __init__(self, pod: Pod, seed: int, seen: Counter[str], going: threading.Event, ended: threading.Event) -> None:
        self._pod, self._draw, self._seen, self._going, self._ended = pod, random.Random(seed), seen, going, ended
        self._photographs = [
            tiny.picture(seed + number, size, format_)
            for number, size in enumerate(SIZES)
            for format_ in ("JPEG", "PNG", "WEBP", "TIFF")
        ]
        self._broken = [
            *(data for _, data in mutants(200, seed)),
            png.with_chunks(b"aaAa", b"", MEBIBYTE),
            jpeg.with_segments(0xFE, b"", MEBIBYTE),
            jpeg.with_exif(tiff.sharing_exif()),
            tiff.sharing(200, MEBIBYTE),
        ]

    def run(self) -> None:
        kinds: list[Callable[[], str]] = (
            [self._good] * 6 + [self._bad] * 2 + [self._batch, self._stream, self._gone, self._cancelled]
        )
        while not self._ended.wait(PAUSE):
            self._going.wait()
            kind = self._draw.choice(kinds)
            try:
                self._seen[kind()] += 1
            except (httpx.HTTPError, grpc.RpcError, OSError) as error:
                self._seen[f"{kind.__name__.strip('_')}: {type(error).__name__}"] += 1

    def _good(self) -> str:
        return self._single(self._draw.choice(self._photographs))

    def _bad(self) -> str:
        return self._single(self._draw.choice(self._broken))

    def _single(self, data: bytes) -> str:
        output = self._draw.choice(("mask", "mask", "cutout", "both-as-json"))
        try:
            self._pod.call(self._draw.choice(("http", "grpc")), data, output=output)
        except Refused as refused:
            return refused.code
        return "OK"

    def _batch(self) -> str:
        files = [("images", (f"{n}.jpg", self._draw.choice(self._photographs[:8]))) for n in range(self._draw.randrange(1, 12))]
        return f"batch {self._pod.http.post('/v1/masks', files=files).status_code}"

    def _stream(self) -> str:
        items = [
            self._pod.kind.item(str(n), self._draw.choice(self._photographs[:8])) for n in range(self._draw.randrange(1, 12))
        ]
        call = self._pod.stub.RemoveBackgroundStream(iter(items))
        for number, _ in enumerate(call):
            if number == 4:
                call.cancel()
                return "stream cancelled"
        return "stream"

    def _gone(self) -> str:
        """Hangs up in the middle of the body, or before the answer."""
        data = self._draw.choice(self._photographs)
        with http1.connection(self._pod) as one, suppress(OSError):
            head = http1.head(
                "POST", f"{self._pod.kind.path}?output=cutout", content_type="image/png", content_length=len(data)
            )
            one.sendall(head + data[: self._draw.choice((len(data) // 2, len(data)))])
            time.sleep(self._draw.random() / 10)
        return "hung up"

    def _cancelled(self) -> str:
        call = self._pod.stub.RemoveBackground.future(
            self._pod.kind.request(self._draw.choice(self._photographs), output="cutout")
        )
        time.sleep(self._draw.random() / 10)
        call.cancel()
        return "cancelled"


def slope(seconds: list[float], resident: list[int]) -> float:
    """MiB in ten minutes, of the second half."""
    half = len(seconds) // 2
    return float(np.polyfit(np.array(seconds[half:]) / 600, np.array(resident[half:]) / MEBIBYTE, 1)[0])


def main() -> int:
    """See the module."""
    with tempfile.TemporaryDirectory() as home:
        bundles = Path(home) / "bundles"
        bundles.mkdir()
        pod = Pod(Path(home), tiny.everything(bundles)).until_ready()
        try:
            return _soak(pod)
        finally:
            pod.kill()


def _soak(pod: Pod) -> int:
    seen: Counter[str] = Counter()
    going, ended = threading.Event(), threading.Event()
    threads = [threading.Thread(target=Traffic(pod, seed, seen, going, ended).run, daemon=True) for seed in range(CALLERS)]
    seconds: list[float] = []
    resident: list[int] = []
    wrong: list[str] = []
    for thread in threads:
        thread.start()
    began = time.monotonic()
    while time.monotonic() - began < MINUTES * 60 and pod.process.poll() is None:
        pod.forget_peak()
        pod.probe.start()
        going.set()
        time.sleep(30 - REST)
        going.clear()
        wrong += pod.probe.stop().wrong
        time.sleep(REST)
        seconds.append(time.monotonic() - began)
        resident.append(pod.resident())
        if len(seconds) % 2 == 0:
            at_rest, most = min(resident[-2:]) / MEBIBYTE, pod.peak() // MEBIBYTE
            calls = f"{sum(seen.values())} calls, {len(wrong)} wrong"
            print(f"{seconds[-1] / 60:5.1f} min {at_rest:7.1f} MiB at rest {most:5} MiB at most, {calls}", flush=True)
    ended.set()
    going.set()
    for thread in threads:
        thread.join(60)
    print(", ".join(f"{count} {name}" for name, count in seen.most_common()))
    if pod.process.poll() is not None or len(seconds) < 4:
        print("the process ended, or the time was too short for a slope")
        return 1
    growth = slope(seconds, resident)
    print(f"good photographs: {len(wrong)} wrong {wrong[:3]}")
    print(f"second half: {growth:+.2f} MiB in ten minutes, at most {MOST_MIB_IN_TEN_MINUTES:+g}")
    return int(growth > MOST_MIB_IN_TEN_MINUTES or bool(wrong) or bool(seen["INTERNAL"]))


if __name__ == "__main__":
    sys.exit(main())
