"""Where in a photograph does the answer come from? A heat-map over it, made of what the graph has computed anyway."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from services.common.images import RGB, ResizeRule

LONGEST_SIDE = 512
# Black over violet and orange to yellow: told apart by lightness alone too.
_COLOURS = ((0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164))
_OPACITY = 0.75
_STEPS = np.arange(256)
_PALETTE = np.stack(
    [np.interp(_STEPS, np.linspace(0, 255, len(_COLOURS)), band) for band in zip(*_COLOURS, strict=True)], 1
).astype(np.uint8)
_ALPHA = np.rint(_OPACITY * 255 * np.sqrt(_STEPS / 255)).astype(np.uint8)


def overlay(pixels: RGB, heat: npt.NDArray[np.float32], rule: ResizeRule) -> bytes:
    """A PNG of the photograph uint8 [h, w, 3] in grey, at most ``LONGEST_SIDE``, with ``heat`` of the model's input over it.

    ``rule`` is how the photograph was brought to that input, so that heat comes to lie where it belongs.
    """
    shrink = min(1.0, LONGEST_SIDE / max(pixels.shape[:2]))
    height, width = (max(1, round(side * shrink)) for side in pixels.shape[:2])
    grey = ImageOps.grayscale(Image.fromarray(pixels)).resize((width, height), Image.Resampling.BOX, reducing_gap=2.0)
    weight = np.rint(_placed(heat, (height, width), rule) * 255).astype(np.uint8)
    colours = Image.frombytes("P", (width, height), weight.tobytes())
    colours.putpalette(_PALETTE.tobytes())
    blended = Image.composite(colours.convert("RGB"), grey.convert("RGB"), Image.fromarray(_ALPHA[weight]))
    stream = io.BytesIO()
    # 256 colours of its own: a quarter of the bytes and a third of the time of true colour, at the price of faint bands.
    blended.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def _placed(heat: npt.NDArray[np.float32], size: tuple[int, int], rule: ResizeRule) -> npt.NDArray[np.float32]:
    """Heat of the model's input -> heat of the photograph ``size`` = (height, width), undoing ``rule``."""
    if rule is ResizeRule.SQUASH:
        return _stretched(heat, size)
    # The input as a frame on the photograph: around it, or in its middle.
    scales = [side / places for side, places in zip(size, heat.shape, strict=True)]
    scale = max(scales) if rule is ResizeRule.LETTERBOX else min(scales)
    frame = [max(1, round(scale * places)) for places in heat.shape]
    over, under = ([max(0, sign * (f - s)) for f, s in zip(frame, size, strict=True)] for sign in (1, -1))
    framed = _stretched(heat, (frame[0], frame[1]))[over[0] // 2 :, over[1] // 2 :][: size[0], : size[1]]
    top, left = under[0] // 2, under[1] // 2
    return np.pad(framed, ((top, under[0] - top), (left, under[1] - left)))


def _stretched(heat: npt.NDArray[np.float32], size: tuple[int, int]) -> npt.NDArray[np.float32]:
    return np.asarray(Image.fromarray(heat).resize(size[::-1], Image.Resampling.BILINEAR))
