"""U-Net on a MobileNetV2 encoder (Bici et al. 2023, section 2.2), in Keras 3 on whichever backend is configured.

The encoder is MobileNetV2 1.0 without its last, 1280-wide layer (Sandler et al. 2018), down to 1/32 of the input. It comes in
two forms that compute the same function: with batch norms, or with them folded into the convolutions' kernels and biases.
Normalisation of pixels is the first layer, so that the network takes uint8 values and so does its export.
"""

from __future__ import annotations

import keras
from keras import layers

from training.remove_background.config import Config, Decoder

# (expansion, output channels, stride) of the 17 inverted residual blocks: table 2 of Sandler et al. 2018.
BLOCKS = [
    (expansion, channels, stride if repeat == 0 else 1)
    for expansion, channels, repeats, stride in [
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ]
    for repeat in range(repeats)
]
# Where each resolution ends, the input's own first: the last tensor before a stride, narrow or wide. The last is where the
# decoder begins, at 1/32 or 1/16.
TAPS = {
    "project": ("block0_project_out", "block2_out", "block5_out", "block12_out", "block16_out"),
    "expand": ("normalised", "block1_expand_relu", "block3_expand_relu", "block6_expand_relu", "block13_expand_relu"),
}
# Of Keras' own MobileNetV2, so that folded and unfolded weights are the same function.
EPSILON, MOMENTUM = 1e-3, 0.99
# The decoder starts from nothing and may be trained for a few hundred steps only: its statistics must follow.
DECODER_MOMENTUM = 0.9


def build(config: Config, size: int | None = None) -> keras.Model:
    """float32 or uint8 [n, size, size, 3], 0 to 255 -> float32 [n, size, size, 1], probability of being object.

    ``size`` (default the configuration's) is a multiple of 32. On the torch backend, call
    ``keras.config.set_image_data_format("channels_first")`` for speed: inputs and weights keep the same shapes.
    """
    side = size or config.size
    if side % 32:
        raise ValueError(f"the input size must be a multiple of 32, not {side}")
    first = keras.config.image_data_format() == "channels_first"
    images = keras.Input((side, side, 3), name="images")
    x = layers.Rescaling(1 / 127.5, offset=-1, name="normalise")(images)
    x = layers.Permute((3, 1, 2), name="to_channels_first")(x) if first else x
    kept = {"normalised": x} | encode(x, config.encoder_norm)
    *skips, bottom = (kept[name] for name in TAPS[config.decoder.skips])
    logits = decode(bottom, skips, config.decoder, side)
    probability = layers.Activation("sigmoid", name="probability", dtype="float32")(logits)
    return keras.Model(images, probability, name="unet_mobilenetv2")


def encode(x: keras.KerasTensor, norm: bool) -> dict[str, keras.KerasTensor]:
    """By name every tensor of MobileNetV2 that a decoder may take; layers beyond those taken are no part of the network."""
    kept: dict[str, keras.KerasTensor] = {}

    def convolve(x: keras.KerasTensor, name: str, channels: int, kernel: int, stride: int, relu: bool) -> keras.KerasTensor:
        # TensorFlow's SAME padding is what the weights were trained with; the torch backend pads alike.
        shape = {"strides": stride, "padding": "same", "use_bias": not norm, "name": name}
        convolution = layers.Conv2D(channels, kernel, **shape) if channels else layers.DepthwiseConv2D(kernel, **shape)
        x = convolution(x)
        if norm:
            axis = 1 if keras.config.image_data_format() == "channels_first" else -1
            x = layers.BatchNormalization(axis, epsilon=EPSILON, momentum=MOMENTUM, name=f"{name}_norm")(x)
        if relu:
            x = layers.ReLU(6.0, name=f"{name}_relu")(x)
            kept[f"{name}_relu"] = x
        return x

    x = convolve(x, "stem", 32, 3, 2, relu=True)
    channels_in = 32
    for index, (expansion, channels, stride) in enumerate(BLOCKS):
        inside = x
        if expansion != 1:
            inside = convolve(inside, f"block{index}_expand", channels_in * expansion, 1, 1, relu=True)
        inside = convolve(inside, f"block{index}_depthwise", 0, 3, stride, relu=True)
        inside = convolve(inside, f"block{index}_project", channels, 1, 1, relu=False)
        kept[f"block{index}_project_out"] = inside
        x = layers.Add(name=f"block{index}_add")([x, inside]) if stride == 1 and channels_in == channels else inside
        kept[f"block{index}_out"] = x
        channels_in = channels
    return kept


def decode(bottom: keras.KerasTensor, skips: list[keras.KerasTensor], decoder: Decoder, side: int) -> keras.KerasTensor:
    """Back to logits [n, side, side, 1]: four times up-sample, concatenate, convolve twice."""
    first = keras.config.image_data_format() == "channels_first"
    axis = 1 if first else -1

    def convolve(x: keras.KerasTensor, name: str, channels: int, kernel: int) -> keras.KerasTensor:
        x = layers.Conv2D(channels, kernel, padding="same", use_bias=False, name=name)(x)
        x = layers.BatchNormalization(axis, epsilon=EPSILON, momentum=DECODER_MOMENTUM, name=f"{name}_norm")(x)
        return layers.ReLU(name=f"{name}_relu")(x)

    x = bottom
    if decoder.skips == "project":
        # What the whole scene is tells a statue in a room from a wall with a texture.
        scene = layers.GlobalAveragePooling2D(keepdims=True, name="scene")(x)
        scene = layers.Conv2D(decoder.widths[0], 1, activation="relu", name="scene_conv")(scene)
        x = convolve(x, "bottom", decoder.widths[0], 1)
        x = layers.Add(name="bottom_scene")([x, scene])
    for level, (width, skip) in enumerate(zip(decoder.widths, reversed(skips), strict=True)):
        x = layers.UpSampling2D(2, interpolation="nearest", name=f"up{level}")(x)
        x = layers.Concatenate(axis, name=f"up{level}_skip")([x, skip])
        x = convolve(x, f"up{level}_a", width, 3)
        x = convolve(x, f"up{level}_b", width, 3) if level < 3 or decoder.head == "full" else x
    if decoder.head == "full":
        x = layers.Conv2D(1, 1, name="logits")(x)
        return layers.Permute((2, 3, 1), name="to_channels_last")(x) if first else x
    x = layers.Conv2D(4, 3, padding="same", name="logits")(x)
    x = layers.Permute((2, 3, 1), name="to_channels_last")(x) if first else x
    half = side // 2
    x = layers.Reshape((half, half, 2, 2), name="pixels_of_each_place")(x)
    x = layers.Permute((1, 3, 2, 4), name="pixels_in_rows")(x)
    return layers.Reshape((side, side, 1), name="pixels")(x)
