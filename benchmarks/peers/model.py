"""What each peer serves: the graph of ``classify`` in ONNX Runtime, photographs prepared as the service prepares them."""

from __future__ import annotations

from typing import Any

from services.common import images, models, settings


class Model:
    """The newest bundle's float32 graph on one thread, opened as the service opens it."""

    def __init__(self, name: str = "classify") -> None:
        folder = models.latest(settings.load().models, name)
        self.bundle = models.load(folder)
        self._side = 2 * max(self.bundle.manifest.input.height, self.bundle.manifest.input.width)

    def prepare(self, data: bytes) -> images.RGB:
        """Encoded photograph -> uint8 [height, width, 3], JPEGs shrunk while they are decoded."""
        decoded = images.decode(data, images.Limits(), images.Frame.DISPLAY, shrink_to=self._side)
        return self.bundle.prepare(decoded.pixels)

    def run(self, data: bytes) -> models.Tensors:
        """Encoded photograph -> every output of the graph, for a batch of one."""
        return self.bundle.run(self.prepare(data)[None])

    def answer(self, data: bytes) -> dict[str, Any]:
        """Encoded photograph -> its three best labels with their probabilities."""
        probabilities = self.run(data)["probabilities"][0]
        best = (-probabilities).argsort()[:3]
        labels = self.bundle.manifest.labels
        return {"predictions": [{"label": labels[i].id, "probability": float(probabilities[i])} for i in best]}
