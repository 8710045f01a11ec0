"""The two graphs of a bundle, from PyTorch to ONNX, and the decoder's parity."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from services.common import models
from training.common import bundle
from training.embed_latent import eye
from training.embed_latent.trunk import Trunk


class Embedder(nn.Module):
    """``images`` uint8 [n, 224, 224, 3] -> ``latent`` float32 [n, 2], the posterior mean in the prior's unit, and ``features``
    float32 [n, d] of unit length."""

    def __init__(self, seeing: eye.Eye, encoder: nn.Module, unit: float) -> None:
        super().__init__()
        self.eye, self.encoder, self.unit = seeing, encoder, unit
        self.eval()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.read(self.eye.trunk.lower(images.permute(0, 3, 1, 2).float()))

    def read(self, lower: Tensor) -> tuple[Tensor, Tensor]:
        """The same from what :meth:`Trunk.lower` answers."""
        mean, _ = self.encoder(Trunk.texture(lower))
        return mean * self.unit, F.normalize(self.eye(lower), dim=1)


class Drawer(nn.Module):
    """``latent`` float32 [n, 2] in the prior's unit -> ``images`` uint8 [n, h, w, 3]."""

    def __init__(self, decoder: nn.Module, unit: float) -> None:
        super().__init__()
        self.decoder, self.unit = decoder, unit
        self.eval()

    def forward(self, latent: Tensor) -> Tensor:
        return (self.exact(latent) * 255).round().clamp(0, 255).to(torch.uint8)

    def exact(self, latent: Tensor) -> Tensor:
        """Before rounding: float32 [n, h, w, 3], 0..1."""
        return self.decoder(latent / self.unit).permute(0, 2, 3, 1)


def to_onnx(module: nn.Module, example: Tensor, path: Path, name: str, outputs: list[str]) -> None:
    """Opset 18, one named input with a dynamic axis ``batch``, all in one file."""
    batch = torch.export.Dim("batch", min=1, max=4096)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.onnx.export(
            module,
            (example,),
            input_names=[name],
            output_names=outputs,
            dynamic_shapes=({0: batch},),
            opset_version=18,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    program.save(str(path))
    graph = onnx.load(path)
    for value in [*graph.graph.input, *graph.graph.output]:
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.save(graph, path)


def decoder_parity(path: Path, drawer: Drawer, latents: np.ndarray, tolerance: float) -> dict[str, float]:
    """The decoder's pictures are rounded, so parity is held on pixels: 1e-4 of the range may turn a rounding, no more."""
    session = models.open_session(path, threads=1)
    worst = 0.0
    for part in parts(latents):
        ours = session.run(["images"], {"latent": part})[0].astype(np.float64)
        with torch.inference_mode():
            exact = drawer.exact(torch.from_numpy(part)).numpy().astype(np.float64) * 255
        # Distance of the exact value to the half-open interval that rounds to ours, back on the 0..1 scale.
        worst = max(worst, float(np.maximum(np.abs(ours - exact) - 0.5, 0).max()) / 255)
    if not worst <= tolerance:
        raise bundle.ParityError(f"decoder: pictures differ from PyTorch's by {worst:.3g} of the range, allowed {tolerance:g}")
    return {"decoder": worst}


def parts(array: np.ndarray, size: int = 32) -> list[np.ndarray]:
    """``array`` in slices of ``size`` rows."""
    return [array[start : start + size] for start in range(0, len(array), size)]
