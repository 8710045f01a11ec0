"""ImageNet weights for the encoder: Keras' own where they can be downloaded, else a PyTorch file with folded batch norms.

Both are brought to one form, a list of (kernel, bias) in the order of the network, with each batch norm folded into the
convolution before it: y = gamma (Wx - mean) / sqrt(var + eps) + beta is again a convolution with a bias.
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

from training.remove_background.model import EPSILON
from training.remove_background.sources import DataError

Folded = list[tuple[np.ndarray, np.ndarray]]
# The stem, and two convolutions of the first block and three of each of the other 16.
CONVOLUTIONS = 1 + 2 + 16 * 3


def from_torch(path: Path) -> Folded:
    """A state dict whose convolutions have biases and no norms, in network order (dequantised from TFLite, say)."""
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling raises whatever it likes
        raise DataError(f"{path}: not a PyTorch state dict ({error})") from error
    kernels = [(name, value) for name, value in state.items() if name.endswith(".weight")][:CONVOLUTIONS]
    if len(kernels) < CONVOLUTIONS:
        raise DataError(f"{path}: holds {len(kernels)} convolutions, MobileNetV2 has {CONVOLUTIONS}")
    folded = []
    for name, value in kernels:
        kernel, bias = value.float().numpy(), state[name.replace(".weight", ".bias")].float().numpy()
        # PyTorch [out, in, h, w] -> Keras [h, w, in, out]; depthwise [c, 1, h, w] -> [h, w, c, 1].
        depthwise = kernel.shape[1] == 1 and kernel.shape[2] > 1
        folded.append((kernel.transpose(2, 3, 0, 1) if depthwise else kernel.transpose(2, 3, 1, 0), bias))
    return folded


def from_keras(application: keras.Model | None = None) -> Folded:
    """Keras' MobileNetV2 with its norms folded; downloads the ImageNet weights unless a model is given."""
    if application is None:
        application = keras.applications.MobileNetV2(include_top=False, weights="imagenet", input_shape=(224, 224, 3))
    folded: Folded = []
    kernel: np.ndarray | None = None
    for layer in application.layers:
        if isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D):
            kernel = layer.get_weights()[0]
        elif isinstance(layer, layers.BatchNormalization) and kernel is not None:
            gamma, beta, mean, variance = layer.get_weights()
            scale = gamma / np.sqrt(variance + layer.epsilon)
            depthwise = kernel.shape[-1] == 1 and kernel.shape[-2] == len(scale)
            folded.append((kernel * (scale[:, None] if depthwise else scale), beta - mean * scale))
            kernel = None
    return folded[:CONVOLUTIONS]


def apply(model: keras.Model, folded: Folded, pictures: np.ndarray | None = None) -> None:
    """Give the encoder of ``model`` (:func:`model.build`) these weights; raises :class:`DataError` where shapes differ.

    Where the encoder has norms they must not change the function, neither now nor in training, when they divide by the
    statistics of the batch. So they first become the identity, and then take the statistics of ``pictures`` (uint8 [n, side,
    side, 3]) as mean and variance, with gamma and beta chosen to undo them.
    """
    names = [layer.name for layer in model.layers if isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D)]
    names = [name for name in names if name == "stem" or name.startswith("block")][:CONVOLUTIONS]
    norms = []
    # The paper's network ends before the encoder does.
    for name, (kernel, bias) in zip(names, folded[: len(names)], strict=True):
        layer = model.get_layer(name)
        if tuple(layer.kernel.shape) != kernel.shape:
            raise DataError(f"the weights of {name} have shape {kernel.shape}, the network wants {tuple(layer.kernel.shape)}")
        if layer.use_bias:
            layer.set_weights([kernel, bias])
        else:
            layer.set_weights([kernel])
            norm = model.get_layer(f"{name}_norm")
            one = np.ones_like(bias)
            norm.set_weights([one * np.sqrt(1 + EPSILON), bias, 0 * one, one])
            norms.append(norm)
    if norms and pictures is not None:
        calibrate(model, norms, pictures)


def calibrate(model: keras.Model, norms: list[keras.Layer], pictures: np.ndarray) -> None:
    """Let identity norms hold the mean and variance of what ``pictures`` send through them, and compute the same as before."""
    inputs = keras.Model(model.input, [norm.input for norm in norms])
    axes = (0, 2, 3) if keras.config.image_data_format() == "channels_first" else (0, 1, 2)
    for norm, values in zip(norms, inputs(ops.convert_to_tensor(pictures.astype(np.float32)), training=False), strict=True):
        seen = ops.convert_to_numpy(values)
        mean, variance = seen.mean(axes), seen.var(axes)
        beta = norm.get_weights()[1]
        norm.set_weights([np.sqrt(variance + EPSILON), beta + mean, mean, variance])
