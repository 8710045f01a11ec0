"""One file that holds a training stage whole: weights, optimizer, counters. Works on every Keras backend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from training.cluster_assign.config import TrainingError
from training.common import runs


def save(path: Path, model: keras.Model, **state: Any) -> None:
    """``state`` takes numbers, strings and arrays. Random draws need no entry: every one is made from (seed, epoch)."""
    arrays = {f"weight_{i}": value for i, value in enumerate(model.get_weights())}
    arrays |= {f"optimizer_{i}": keras.ops.convert_to_numpy(v.value) for i, v in enumerate(model.optimizer.variables)}
    with runs.whole(path) as temporary:
        np.savez(temporary, **arrays, **{f"state_{name}": np.asarray(value) for name, value in state.items()})


def restore(path: Path, model: keras.Model) -> dict[str, np.ndarray] | None:
    """Load what :func:`save` wrote into ``model`` and return its ``state``; None when there is no checkpoint."""
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            model.set_weights([stored[f"weight_{i}"] for i in range(len(model.get_weights()))])
            model.optimizer.build(model.trainable_variables)
            for i, variable in enumerate(model.optimizer.variables):
                variable.assign(stored[f"optimizer_{i}"])
            return {name.removeprefix("state_"): stored[name] for name in stored.files if name.startswith("state_")}
    except (KeyError, ValueError, OSError) as error:
        raise TrainingError(f"{path}: this checkpoint is not of this model; choose another --out") from error
