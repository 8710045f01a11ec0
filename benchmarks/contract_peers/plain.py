"""What the peers run: ``classify``'s graph as their own tutorials would run it, with Pillow and ONNX Runtime and nothing else.

The graph's file is in ``MODEL``. No limits and no error handling of ours: the questions are about what a server brings itself.
"""

import io
import os
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image


class Model:
    def __init__(self) -> None:
        self.session = onnxruntime.InferenceSession(os.environ["MODEL"], providers=["CPUExecutionProvider"])
        _, self.height, self.width, _ = self.session.get_inputs()[0].shape

    def answer(self, data: bytes) -> dict[str, Any]:
        picture = Image.open(io.BytesIO(data)).convert("RGB").resize((self.width, self.height))
        outputs = self.session.run(["probabilities"], {"images": np.asarray(picture)[None]})
        return {"probabilities": outputs[0][0].tolist()}
