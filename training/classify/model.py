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
from training.classify.head import Linear, tempered
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
    """uint8 RGB [n, height, width, 3] -> probabilities float32 [n, types], activation, and sculpture where that was learnt.

    ``probabilities`` are softmax((W f + b) / temperature) of the types. ``sculpture`` float32 [n] is the probability that
    there is one, from the columns behind those of the types (:func:`training.classify.head.joined`).

    ``activation`` float32 [n, rows, columns, types] is the class activation map (Zhou et al. 2016, equation 2): what each
    place adds to each logit. Times the energy of the features there, since the bias speaks in empty corners too: README,
    "Explanations".
    """

    def __init__(self, features: Features, head: Linear, temperature: float, types: int) -> None:
        super().__init__()
        self.types = types
        self.features = features
        self.linear = nn.Linear(*head.weight.shape)
        scaled = tempered(head, types, temperature)
        with torch.no_grad():
            self.linear.weight.copy_(torch.from_numpy(scaled.weight.T))
            self.linear.bias.copy_(torch.from_numpy(scaled.bias))

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("probabilities", "activation", "sculpture")[: 2 + (self.linear.out_features > self.types)]

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        maps = self.features.maps(images)
        places = maps.permute(0, 2, 3, 1)
        energy = places.square().mean(3, keepdim=True)
        energy = energy / (energy.mean((1, 2), keepdim=True) + 1e-6)
        activation = self.linear(places)[..., : self.types] * energy / (maps.shape[2] * maps.shape[3])
        logits = self.linear(maps.mean((2, 3)))
        answer = logits[:, : self.types].softmax(1), activation
        return (*answer, 1 - logits[:, self.types :].softmax(1)[:, -1]) if len(self.outputs) > 2 else answer


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
