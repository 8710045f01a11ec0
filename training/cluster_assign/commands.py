"""What the commands of this folder share: their options, and errors that end as one sentence."""

from __future__ import annotations

import functools
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import keras
import typer

from training.cluster_assign.config import Config, TrainingError
from training.common import bundle, runs

Data = Annotated[list[Path], typer.Option("--data", help="Folder of pictures, searched below; repeat for several.")]
Out = Annotated[Path, typer.Option("--out", help="Run folder; an existing one of the same settings is resumed.")]
Run = Annotated[Path, typer.Option("--run", help="Run folder that train wrote.")]
Labels = Annotated[Path | None, typer.Option(help="CSV with a column `file` and labels, for agreement figures only.")]
LabelColumn = Annotated[str, typer.Option(help="The labels' column in --labels.")]
Threads = Annotated[int, typer.Option(help="CPU threads; 0 leaves it to the backend.", min=0)]

_F = TypeVar("_F", bound=Callable[..., None])


def one_sentence_errors(command: _F) -> _F:
    """Turn the errors a user can cause into one sentence on stderr and exit code 2."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        try:
            command(*args, **kwargs)
        except (TrainingError, runs.RunError, bundle.ParityError) as error:
            typer.echo(f"Error: {error}", err=True)
            raise typer.Exit(2) from error

    return wrapped  # type: ignore[return-value]


def limit_threads(threads: int) -> None:
    """Bound the backend's threads and ask it for repeatable sums, so that a resumed run equals one that was not killed."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
        if threads:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(1)
    elif keras.backend.backend() == "torch":
        import torch

        torch.use_deterministic_algorithms(True, warn_only=True)
        if threads:
            torch.set_num_threads(threads)
    if threads:
        os.environ.setdefault("OMP_NUM_THREADS", str(threads))


def settings_of(run: Path) -> tuple[Config, dict[str, Any]]:
    """(the configuration, everything else) of a run folder. Raises :class:`TrainingError` when it is none."""
    path = run / runs.CONFIG
    if not path.exists():
        raise TrainingError(f"{run}: not a run folder of training.cluster_assign.train (no {runs.CONFIG})")
    stored = json.loads(path.read_text())
    settings = {name: tuple(value) if isinstance(value, list) else value for name, value in stored["settings"].items()}
    return Config(**settings), stored
