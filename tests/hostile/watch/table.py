"""``watched`` runs an attack beside the probe and says what the others felt; its rows become the table of SECURITY.md."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.hostile.watch.pod import MEBIBYTE, Pod
from tests.hostile.watch.probe import Outcome

# /livez within a second, but for one answer of a crowded machine.
LIVE_WITHIN, LIVE_OUTLIER = 1.0, 3.0
# The issue gives memory half a minute.
_SETTLED_WITHIN = 30.0
# The least that a run of the probe is about, however short the attack was.
_LEAST_SECONDS = 0.5


@dataclass
class Row:
    """One attack: what it did to 0.1.0, and what the others felt of it now."""

    attack: str
    before: str
    answered: str
    slowest: float
    livez: float
    peak: int
    after: int

    def __str__(self) -> str:
        seconds = f"{self.slowest:.2f} s | {self.livez:.2f} s"
        memory = f"{self.peak // MEBIBYTE} | {self.after // MEBIBYTE}"
        return f"| {self.attack} | {self.before} | {self.answered} | {seconds} | {memory} |"


ROWS: list[Row] = []
_HEAD = """| attack | on 0.1.0 | good photographs answered meanwhile | slowest | `/livez` worst | peak MiB | after MiB |
|---|---|---|---|---|---|---|"""


def table() -> str:
    """All attacks of this run in Markdown."""
    return "\n".join([_HEAD, *map(str, ROWS)])


@contextmanager
def watched(pod: Pod, attack: str, before: str, *, peak: int = 0) -> Iterator[None]:
    """The block is the attack. ``peak``: bytes the process may hold at most; 0: what docs/operations.md gives it.

    Nothing is asserted while an exception of the attack itself is on its way, but its row is written.
    """
    pod.hang_up()
    pod.until_quiet()
    pod.spoiled = True
    threads, descriptors = pod.threads(), pod.descriptors()
    pod.forget_peak()
    pod.probe.start()
    began = time.monotonic()
    try:
        yield
        time.sleep(max(0.0, began + _LEAST_SECONDS - time.monotonic()))
    finally:
        outcome = pod.probe.stop()
        pod.hang_up()
        alive = pod.process.poll() is None
        highest = pod.peak() if alive else 0
        missing = _until_back(pod, threads, descriptors) if alive else "the process ended"
        kept = pod.resident() if alive else 0
        _record(attack, before, outcome, highest, kept)
    bound = peak or pod.allowed
    assert not missing, missing
    asked = len(outcome.photographs) + len(outcome.livez)
    assert not outcome.wrong, f"{len(outcome.wrong)} of {asked}: {outcome.wrong[:5]}"
    *usual, worst = sorted(outcome.livez)
    assert worst < LIVE_OUTLIER, f"/livez took {worst:.2f} s"
    assert max(usual, default=0) < LIVE_WITHIN, f"/livez took {usual[-3:]} s and {worst:.2f} s"
    assert highest <= bound, f"{highest / MEBIBYTE:.0f} MiB at the peak, allowed {bound / MEBIBYTE:.0f}"
    pod.spoiled = False


def _until_back(pod: Pod, threads: Counter[str], descriptors: int) -> str:
    """Empty once the process holds what it held before; else what it still holds after half a minute."""
    deadline = time.monotonic() + _SETTLED_WITHIN
    while True:
        idle = pod.quiet()
        more = pod.threads() - threads
        wanted = {
            f"threads more, {dict(more)}": (more.total(), 0),
            # gRPC's pollers come and go by one or two.
            "descriptors": (pod.descriptors(), descriptors + 2),
            "MiB resident": (pod.resident() // MEBIBYTE, pod.kept // MEBIBYTE),
        }
        over = [f"{now} {name}, at most {most}" for name, (now, most) in wanted.items() if now > most]
        if not over and idle:
            return ""
        if time.monotonic() > deadline:
            return "; ".join([*over, *([] if idle else [f"work goes on {pod.held()}"])])


def _record(attack: str, before: str, outcome: Outcome, highest: int, kept: int) -> None:
    asked = len(outcome.photographs)
    wrong = sum(not sentence.startswith("livez") for sentence in outcome.wrong)
    worst = max(outcome.livez, default=0)
    ROWS.append(Row(attack, before, f"{asked - wrong} of {asked}", max(outcome.photographs, default=0), worst, highest, kept))
