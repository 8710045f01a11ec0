"""The served network: uint8 photographs in, calibrated probabilities out, with normalisation and temperature in the graph."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn
from torch.export import Dim

from training.classify.backbones import BACKBONES
from training.classify.head import Linear
from training.common import runs

OPSET = 20


class Features(nn.Module):
    """uint8 RGB [n, height, width, 3] -> float32 [n, channels], the mean of the backbone's last layer over the picture."""

    def __init__(self, backbone: str) -> None:
        super().__init__()
        chosen = BACKBONES[backbone]
        self.backbone = chosen.build()
        self.register_buffer("mean", torch.tensor(chosen.mean))
        self.register_buffer("std", torch.tensor(chosen.std))

    def maps(self, images: torch.Tensor) -> torch.Tensor:
        """The backbone's last layer, float32 [n, channels, rows, columns]."""
        normalised = (images.float() - self.mean) / self.std
        return self.backbone(normalised.permute(0, 3, 1, 2))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.maps(images).mean((2, 3))


class Classifier(nn.Module):
    """uint8 RGB [n, height, width, 3] -> probabilities float32 [n, classes], softmax((W f + b) / temperature), and activation.

    ``activation`` float32 [n, rows, columns, classes] is the class activation map (Zhou et al. 2016, equation 2): what each
    place adds to each logit. Times the energy of the features there, since the bias speaks in empty corners too: README,
    "Explanations".
    """

    def __init__(self, features: Features, head: Linear, temperature: float) -> None:
        super().__init__()
        self.features = features
        self.linear = nn.Linear(*head.weight.shape)
        # Division by the temperature is linear too: folded into the weights it costs nothing.
        with torch.no_grad():
            self.linear.weight.copy_(torch.from_numpy(head.weight.T / temperature))
            self.linear.bias.copy_(torch.from_numpy(head.bias / temperature))

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        maps = self.features.maps(images)
        places = maps.permute(0, 2, 3, 1)
        energy = places.square().mean(3, keepdim=True)
        energy = energy / (energy.mean((1, 2), keepdim=True) + 1e-6)
        activation = self.linear(places) * energy / (maps.shape[2] * maps.shape[3])
        return self.linear(maps.mean((2, 3))).softmax(1), activation


def export_graph(network: nn.Module, size: int, outputs: Sequence[str], path: Path) -> None:
    """Write ``network`` as ONNX: ``images`` uint8 [batch, size, size, 3] -> ``outputs`` float32 [batch, ...]."""
    example = (torch.zeros(2, size, size, 3, dtype=torch.uint8),)
    with runs.whole(path) as temporary, torch.inference_mode():
        torch.onnx.export(
            network.eval(),
            example,
            temporary,
            input_names=["images"],
            output_names=[*outputs],
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes=({0: Dim("batch")},),
            external_data=False,
            verbose=False,
        )
        _strip(temporary)


def _strip(path: Path) -> None:
    """Drop the stack traces that the exporter writes into every node: they name folders of the machine that exported."""
    model = onnx.load(path)
    for item in [*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output]:
        item.ClearField("metadata_props")
        item.ClearField("doc_string")
    model.graph.ClearField("metadata_props")
    model.graph.ClearField("doc_string")
    model.ClearField("metadata_props")
    onnx.save(model, path)


def run_network(network: nn.Module, batch: np.ndarray) -> tuple[np.ndarray, ...]:
    """The framework's answer to uint8 [n, height, width, 3], for parity."""
    with torch.inference_mode():
        return tuple(output.numpy() for output in network.eval()(torch.from_numpy(batch)))
