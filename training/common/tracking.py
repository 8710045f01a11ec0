"""Where a run's numbers can be watched: TensorBoard's event files, and Weights & Biases where asked for.

The event files are written with TensorBoard's own record writer and messages, without its writers for TensorFlow or PyTorch:
those import TensorFlow where it is installed, which shares no process with PyTorch here.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any

from training.common.runs import RunError

Log = Callable[[int, Mapping[str, float]], None]
PROJECT = "maquette"


class Wandb(StrEnum):
    """``offline`` writes ``RUN/wandb``, to be sent later with ``wandb sync``."""

    OFF = "off"
    OFFLINE = "offline"
    ONLINE = "online"


@contextmanager
def track(run: Path, config: Mapping[str, Any], start: int, wandb: Wandb = Wandb.OFF) -> Iterator[Log]:
    """Yield ``log(epoch, row)``. ``start`` is the epoch that a run is taken up at: later points of a killed one are dropped.

    Raises :class:`RunError` where Weights & Biases is asked for and not installed.
    """
    with ExitStack() as stack:
        logs = [stack.enter_context(_tensorboard(run / "tensorboard", start))]
        if wandb is not Wandb.OFF:
            logs.append(stack.enter_context(_wandb(run, config, wandb)))

        def log(epoch: int, row: Mapping[str, float]) -> None:
            for one in logs:
                one(epoch, row)

        yield log


@contextmanager
def _tensorboard(folder: Path, start: int) -> Iterator[Log]:
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    folder.mkdir(parents=True, exist_ok=True)
    now = time.time()
    with (folder / f"events.out.tfevents.{now:.6f}.{os.getpid()}").open("wb") as stream:
        writer = RecordWriter(stream)

        def write(**fields: Any) -> None:
            writer.write(Event(wall_time=time.time(), **fields).SerializeToString())
            stream.flush()

        def log(epoch: int, row: Mapping[str, float]) -> None:
            values = [Summary.Value(tag=name.replace(" ", "/"), simple_value=value) for name, value in row.items()]
            write(step=epoch, summary=Summary(value=values))

        write(file_version="brain.Event:2")
        if start:
            write(step=start, session_log=SessionLog(status=SessionLog.START))
        yield log


@contextmanager
def _wandb(run: Path, config: Mapping[str, Any], mode: Wandb) -> Iterator[Log]:
    try:
        import wandb
    except ImportError:
        raise RunError(
            "Weights & Biases is not installed: pip install 'maquette-serving[wandb]', or leave --wandb off"
        ) from None
    # One identity for a run folder, so that a killed run goes on in the same curves.
    identity = hashlib.sha256(str(run.resolve()).encode()).hexdigest()[:12]
    try:
        session = wandb.init(
            project=PROJECT,
            name=run.name,
            id=identity,
            resume="allow",
            dir=run,
            mode="offline" if mode is Wandb.OFFLINE else "online",
            config=dict(config),
        )
    except wandb.errors.Error as error:
        raise RunError(f"Weights & Biases refused ({error}); log in with `wandb login`, or choose --wandb offline") from None
    with session:
        yield lambda epoch, row: session.log({"epoch": epoch, **row}, step=epoch)
