"""A run folder: its configuration, its history and its checkpoints, all of which survive a kill at any moment."""

from __future__ import annotations

import json
import os
import random
import shlex
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

CONFIG, HISTORY = "config.json", "history.jsonl"


class RunError(Exception):
    """The run folder cannot be used; the message says what to do."""


def open_run(out: Path, config: Mapping[str, Any], may_change: Collection[str] = ()) -> Path:
    """Create the run folder, or reopen it to resume. Raises :class:`RunError` when it holds a run of another configuration,
    apart from the settings that ``may_change`` names: how long it is, say."""
    plain = json.loads(json.dumps(dict(config), default=str))
    path = out / CONFIG
    if path.exists():
        before = json.loads(path.read_text())
        changed = sorted(key for key in before.keys() | plain.keys() if before.get(key) != plain.get(key))
        if set(changed) - set(may_change):
            raise RunError(
                f"{out} holds a run with other settings ({', '.join(changed)}); resume with the same or choose another --out"
            )
    out.mkdir(parents=True, exist_ok=True)
    write_json(path, plain)
    return out


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path that replaces ``path`` in one step when the block ends well, and is removed when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays, for writers that choose the format by it.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Indented UTF-8 JSON; NaN and infinity are refused, since no reader but Python takes them."""
    with whole(path) as temporary:
        text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False, default=str)
        temporary.write_text(text + "\n", encoding="utf-8")


def command(module: str) -> str:
    """What is running, for the record of a result: where on this machine the folders lie is nobody's business."""
    given = (Path(part).name if Path(part).is_absolute() else part for part in sys.argv[1:])
    return f"python -m {module} {shlex.join(given)}"


def read_history(run: Path, before_epoch: int | None = None) -> list[dict[str, float]]:
    """The rows logged so far, one an epoch; rows from ``before_epoch`` on are dropped (a kill after logging, before saving)."""
    path = run / HISTORY
    rows = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")] if path.exists() else []
    if before_epoch is not None:
        rows = [row for row in rows if row["epoch"] < before_epoch]
        with whole(path) as temporary:
            temporary.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return rows


def log(run: Path, **row: float) -> None:
    """Append one row to the history."""
    with (run / HISTORY).open("a") as stream:
        stream.write(json.dumps(row) + "\n")


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and whichever of torch and Keras is already imported."""
    random.seed(seed)
    np.random.seed(seed)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(seed)
