"""The network's features at every place, from a graph of the bundle's own that is opened when first asked for."""

from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from services.common import errors, models
from services.common.models import Bundle

FILE, OUTPUT = "hypercolumns.onnx", "hypercolumns"

Logits = npt.NDArray[np.float32]
Columns = npt.NDArray[np.float32]
# Probabilities nearer to 0 or 1 than this are all as sure.
_SUREST = 1e-4


class Hypercolumns:
    """Logits and hypercolumns (Hariharan et al. 2015) of one prepared picture. May be used from several threads."""

    def __init__(self, bundle: Bundle) -> None:
        self._path = bundle.path / FILE if FILE in bundle.manifest.files else None
        self._lock = threading.Lock()
        self._session: ort.InferenceSession | None = None

    def require(self) -> None:
        """Raises ``ParameterInvalid`` where the bundle has no such graph."""
        if self._path is None:
            raise errors.ParameterInvalid("The model of this service takes no hints and no adapters; leave them out.")

    def __call__(self, prepared: npt.NDArray[np.uint8]) -> tuple[Logits, Columns]:
        """uint8 [height, width, 3] -> float32 [height, width] and [channels, 80, 80]. Raises ``ParameterInvalid``."""
        self.require()
        assert self._path
        with self._lock:
            # Some 50 MB, which a service that is never given a hint does not spend.
            self._session = self._session or models.open_session(self._path, threads=1)
        probability, columns = self._session.run(["probability", OUTPUT], {"images": prepared[None]})
        sure = np.clip(probability[0], _SUREST, 1 - _SUREST)
        return np.log(sure / (1 - sure)), columns[0]
