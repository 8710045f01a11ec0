"""Where in a photograph does the answer come from? A heat-map over it, made of what the graph has computed anyway."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from services.common.images import RGB, ResizeRule

LONGEST_SIDE = 512
# Logits, were all of the photograph like its highest place. A map that says less is drawn as faint as it is: stretched by
# its own maximum, a blank wall would glow.
FAINTEST = 2.0
_OPACITY = 0.75


def heat(activation: npt.NDArray[np.float32], label: int) -> npt.NDArray[np.float32]:
    """Activation [rows, columns, labels] -> heat [rows, columns], 0 to 1: how much each place speaks for ``label``.

    ``activation`` is what a place adds to each logit, the class activation map (Zhou et al. 2016, section 2). It is held
    against the mean of all labels, because softmax knows differences only.
    """
    places = activation.shape[0] * activation.shape[1]
    for_label = np.maximum(activation[..., label] - activation.mean(-1), 0) * places
    return np.asarray(for_label / max(float(for_label.max()), FAINTEST), np.float32)


def overlay(pixels: RGB, heat: npt.NDArray[np.float32], rule: ResizeRule) -> bytes:
    """A PNG of the photograph uint8 [h, w, 3] in grey, at most ``LONGEST_SIDE``, with ``heat`` of the model's input over it.

    ``rule`` is how the photograph was brought to that input, so that heat comes to lie where it belongs.
    """
    shrink = min(1.0, LONGEST_SIDE / max(pixels.shape[:2]))
    height, width = (max(1, round(side * shrink)) for side in pixels.shape[:2])
    small = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    weight = _placed(heat, (height, width), rule)
    colours = cv2.applyColorMap(np.rint(weight * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    grey = cv2.cvtColor(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2BGR)
    opacity = _OPACITY * np.sqrt(weight)
    # OpenCV's colours are BGR, and so is what its encoder takes; run lengths take half the time of the usual compression.
    how = [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
    return cv2.imencode(".png", cv2.blendLinear(grey, colours, 1 - opacity, opacity), how)[1].tobytes()


def _placed(heat: npt.NDArray[np.float32], size: tuple[int, int], rule: ResizeRule) -> npt.NDArray[np.float32]:
    """Heat of the model's input -> heat of the photograph ``size`` = (height, width), undoing ``rule``."""
    if rule is ResizeRule.SQUASH:
        return np.asarray(cv2.resize(heat, size[::-1]))
    # The input as a frame on the photograph: around it, or in its middle.
    scales = [side / places for side, places in zip(size, heat.shape, strict=True)]
    scale = max(scales) if rule is ResizeRule.LETTERBOX else min(scales)
    frame = [max(1, round(scale * places)) for places in heat.shape]
    framed = cv2.resize(heat, frame[::-1])
    over, under = ([max(0, sign * (f - s)) for f, s in zip(frame, size, strict=True)] for sign in (1, -1))
    framed = framed[over[0] // 2 :, over[1] // 2 :][: size[0], : size[1]]
    top, left = under[0] // 2, under[1] // 2
    return np.pad(framed, ((top, under[0] - top), (left, under[1] - left)))
