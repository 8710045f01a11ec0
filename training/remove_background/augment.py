"""What may happen to a photograph between a statue and a network: framing, light, lens, sensor, file."""

from __future__ import annotations

import cv2
import numpy as np

RGB = np.ndarray
Rng = np.random.Generator
# Of the scene's side: an object set into it is at least so large.
SMALLEST = 0.2


def augment(pixels: RGB, mask: np.ndarray, side: int, rng: Rng) -> tuple[RGB, np.ndarray]:
    """uint8 [h, w, 3] and [h, w] -> the same of ``side`` x ``side``, framed and spoilt at random."""
    pixels, mask = frame(pixels, mask, side, rng)
    return spoil(recolour(pixels, rng), rng), mask


def frame(pixels: RGB, mask: np.ndarray, side: int, rng: Rng) -> tuple[RGB, np.ndarray]:
    """Flip, crop, stretch and turn a little. One time in eight a close-up: a crop around a pixel of the object."""
    height, width = mask.shape
    close = rng.random() < 0.12 and mask.max() > 127
    share = rng.uniform(0.2, 0.5) if close else rng.choice([1.0, rng.uniform(0.6, 1.0)])
    stretch = np.exp(rng.uniform(-0.25, 0.25))
    crop_w, crop_h = width * min(1.0, share * stretch), height * min(1.0, share / stretch)
    if close:
        ys, xs = np.nonzero(mask > 127)
        pick = rng.integers(len(ys))
        x, y = (np.clip(v, c / 2, full - c / 2) for v, c, full in ((xs[pick], crop_w, width), (ys[pick], crop_h, height)))
    else:
        x, y = rng.uniform(crop_w / 2, width - crop_w / 2), rng.uniform(crop_h / 2, height - crop_h / 2)
    angle = np.deg2rad(rng.normal(0, 4)) if rng.random() < 0.4 else 0.0
    flip = -1.0 if rng.random() < 0.5 else 1.0
    # From the new picture's places to the old one's, which is what WARP_INVERSE_MAP wants.
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    scale = np.array([[flip * crop_w / side, 0], [0, crop_h / side]])
    matrix = turn @ scale
    matrix = np.hstack([matrix, (np.array([x, y]) - matrix @ np.array([side / 2, side / 2]))[:, None]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped = [
        cv2.warpAffine(np.ascontiguousarray(a), matrix, (side, side), flags=flags, borderMode=cv2.BORDER_REFLECT_101)
        for a in (pixels, mask)
    ]
    return warped[0], warped[1]


def recolour(pixels: RGB, rng: Rng) -> RGB:
    """Exposure, contrast, white balance, saturation; one in eight grey, as old photographs and catalogues are."""
    x = pixels.astype(np.float32) / 255
    if rng.random() < 0.8:
        x = x ** np.float32(np.exp(rng.normal(0, 0.25)))
        balance = np.exp(rng.normal(0, 0.06, 3)) * np.exp(rng.normal(0, 0.12))
        x = x * balance.astype(np.float32)
        x = (x - 0.5) * np.float32(np.exp(rng.normal(0, 0.18))) + 0.5
    grey = x @ np.array([0.299, 0.587, 0.114], np.float32)
    kind = rng.random()
    if kind < 0.12:
        x = np.repeat(grey[..., None], 3, -1) * (1 + rng.normal(0, 0.05, 3) * (rng.random() < 0.4)).astype(np.float32)
    elif kind < 0.6:
        x = grey[..., None] + (x - grey[..., None]) * np.float32(rng.uniform(0.3, 1.6))
    return (np.clip(x, 0, 1) * 255).astype(np.uint8)


def spoil(pixels: RGB, rng: Rng) -> RGB:
    """Blur of lens or hand, noise, a detour through a smaller picture, JPEG."""
    side = pixels.shape[0]
    kind = rng.random()
    if kind < 0.12:
        pixels = cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.4, 1.6))
    elif kind < 0.2:
        length = int(rng.integers(3, 9))
        kernel = np.zeros((length, length), np.float32)
        angle = rng.uniform(0, np.pi)
        centre, reach = (length - 1) / 2, length / 2 * np.array([np.cos(angle), np.sin(angle)])
        ends = [tuple(round(centre + sign * r) for r in reach) for sign in (-1, 1)]
        cv2.line(kernel, ends[0], ends[1], 1.0)
        pixels = cv2.filter2D(pixels, -1, kernel / max(kernel.sum(), 1))
    elif kind < 0.3:
        small = int(side * rng.uniform(0.4, 0.9))
        pixels = cv2.resize(cv2.resize(pixels, (small, small), interpolation=cv2.INTER_AREA), (side, side))
    if rng.random() < 0.25:
        noise = rng.normal(0, rng.uniform(2, 14), (*pixels.shape[:2], rng.choice([1, 3]))).astype(np.float32)
        pixels = np.clip(pixels + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        ok, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 95))])
        pixels = cv2.imdecode(encoded, cv2.IMREAD_COLOR) if ok else pixels
    return pixels


def compose(background: RGB, objects: list[np.ndarray], rng: Rng) -> tuple[RGB, np.ndarray]:
    """uint8 RGB [h, w, 3] with uint8 RGBA cut-outs laid over it -> picture and mask [h, w].

    An object that was cut off at its picture's lower edge stands on this one's. Each is ``SMALLEST`` of the scene's side or
    more, takes on a part of the scene's light and softness, and may throw a soft shadow, which is background.
    """
    canvas = background.astype(np.float32)
    height, width = canvas.shape[:2]
    mask = np.zeros((height, width), np.float32)
    grey_scene = bool(np.abs(canvas[..., 0] - canvas[..., 2]).mean() < 2)
    if grey_scene and rng.random() < 0.5:
        # Half the backgrounds are grey photographs: tint them, or colour alone would give objects away.
        canvas = np.clip(canvas * (1 + rng.normal(0, 0.12, 3)).astype(np.float32), 0, 255)
    sharpness = _detail(canvas).mean()
    if rng.random() < 0.15:
        # The scene out of focus behind the object.
        canvas = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.8, 3.0))
    for cutout in objects:
        reach = np.exp(rng.uniform(np.log(SMALLEST), 0)) * min(height / cutout.shape[0], width / cutout.shape[1])
        h, w = (max(8, round(v * reach * s)) for v, s in zip(cutout.shape[:2], np.exp(rng.normal(0, 0.08, 2)), strict=True))
        h, w = min(h, height), min(w, width)
        placed = cv2.resize(cutout, (w, h), interpolation=cv2.INTER_AREA if h < cutout.shape[0] else cv2.INTER_LINEAR)
        placed = placed[:, ::-1] if rng.random() < 0.5 else placed
        cut_below = (cutout[-1, :, 3] > 127).mean() > 0.1
        top = height - h if cut_below else int(rng.integers(0, height - h + 1) * 0.5 + (height - h) * 0.5 * rng.random())
        left = int(rng.integers(0, width - w + 1))
        here = (slice(top, top + h), slice(left, left + w))
        alpha = placed[..., 3].astype(np.float32) / 255
        colour = placed[..., :3].astype(np.float32)
        solid = alpha > 0.5
        if solid.any():
            colour = _lit(colour, solid, canvas[here], rng)
            if (excess := _detail(colour)[solid].mean() / max(sharpness, 0.5)) > 1.3 and rng.random() < 0.7:
                # A sharp object in a soft scene gives itself away.
                sigma = min(0.35 * excess, 1.5)
                colour, alpha = cv2.GaussianBlur(colour, (0, 0), sigma), cv2.GaussianBlur(alpha, (0, 0), sigma)
        if rng.random() < 0.5:
            alpha = cv2.GaussianBlur(alpha, (0, 0), rng.uniform(0.3, 0.9))
        if rng.random() < 0.6:
            canvas *= 1 - _shadow(alpha, here, (height, width), cut_below, rng)[..., None]
        canvas[here] += alpha[..., None] * (colour - canvas[here])
        mask[here] = np.maximum(mask[here], alpha)
    if grey_scene and rng.random() < 0.4:
        canvas = np.repeat(canvas.mean(-1, keepdims=True), 3, -1)
    return np.clip(canvas, 0, 255).astype(np.uint8), np.rint(mask * 255).astype(np.uint8)


def _detail(pixels: np.ndarray) -> np.ndarray:
    """How much each pixel differs from its surroundings, float [h, w]."""
    return np.asarray(np.abs(pixels - cv2.GaussianBlur(pixels, (0, 0), 1.0)).mean(-1))


def _lit(colour: np.ndarray, solid: np.ndarray, place: np.ndarray, rng: Rng) -> np.ndarray:
    """The object's colour float [h, w, 3] with a part of the mean light, tint and contrast of the place it is set in."""
    own, theirs = colour[solid].mean(0), place.mean((0, 1))
    gain = np.clip(1 + rng.uniform(0, 0.6) * (theirs / np.maximum(own, 1.0) - 1), 0.5, 1.6)
    contrast = 1 + rng.uniform(0, 0.4) * (np.clip(place.std() / max(colour[solid].std(), 1.0), 0.5, 1.5) - 1)
    lit = (colour - own) * np.float32(contrast) + own
    return np.asarray(lit * gain, np.float32)


def _shadow(alpha: np.ndarray, here: tuple[slice, slice], size: tuple[int, int], cut_below: bool, rng: Rng) -> np.ndarray:
    """How much darker it is around the object, float [h, w] from 0 to 1: what it casts, and where it stands."""
    height, width = size
    cast = np.zeros(size, np.float32)
    cast[here] = alpha
    shift = np.float32([[1, rng.uniform(-0.3, 0.3), rng.uniform(-20, 20)], [0, 1, rng.uniform(0, 12)]])
    cast = cv2.GaussianBlur(cv2.warpAffine(cast, shift, (width, height)), (0, 0), rng.uniform(2, 12))
    shadow = np.float32(rng.uniform(0.1, 0.6)) * cast
    if not cut_below and rng.random() < 0.6:
        rows, columns = here
        wide = columns.stop - columns.start
        ground = np.zeros(size, np.float32)
        centre = ((columns.start + columns.stop) // 2, rows.stop - max(1, wide // 20))
        cv2.ellipse(ground, centre, (max(2, wide // 2), max(1, wide // 8)), 0, 0, 360, float(rng.uniform(0.2, 0.6)), -1)
        shadow = np.maximum(shadow, cv2.GaussianBlur(ground, (0, 0), max(1.0, wide / 20)))
    return shadow
