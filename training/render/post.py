"""What a camera does to light: focus, motion, exposure, colour, noise, JPEG."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates

from training.render.shade import Picture


def photograph(
    picture: Picture, rng: np.random.Generator, focus: float, strength: float = 1.0
) -> tuple[np.ndarray, np.ndarray, dict]:
    """sRGB uint8[h, w, 3] and mask uint8[h, w] (0 or 255) of `picture`, focused at distance `focus`; and what was done.

    Only the background is thrown out of focus (the object and what touches it stay sharp), so the mask needs no change;
    motion blur smears light and coverage alike, and the mask is coverage of at least one half.
    `strength` 0 gives a clean exposure without noise, blur or colour cast.
    """
    light, coverage = picture.light, picture.coverage
    done: dict[str, str] = {}
    size = light.shape[0]
    if rng.random() < 0.55 * strength:
        blur = size * rng.uniform(0.003, 0.02)
        light = defocus(light, coverage, picture.depth, focus, blur)
        done["defocus"] = f"{blur:.1f}"
    if rng.random() < 0.08 * strength:
        length, angle = size * rng.uniform(0.004, 0.02), rng.uniform(0, np.pi)
        light, coverage = motion(light, length, angle), motion(coverage, length, angle)
        done["motion"] = f"{length:.1f}"
    if rng.random() < 0.1 * strength:
        light = gaussian_filter(light, (size * rng.uniform(0.001, 0.003),) * 2 + (0,))
    mask = np.where(coverage >= 0.5, 255, 0).astype(np.uint8)

    light = expose(light, coverage, rng.normal(0, 0.45) * strength, rng.random() * strength)
    if rng.random() < 0.4 * strength:
        y, x = np.mgrid[-1 : 1 : light.shape[0] * 1j, -1 : 1 : light.shape[1] * 1j].astype(np.float32)
        light = light * (1 - rng.uniform(0.1, 0.5) * (x * x + y * y) / 2)[..., None]
    cast = 1 + strength * 0.12 * rng.standard_normal() * np.array([1, 0, -1]) + strength * 0.03 * rng.standard_normal(3)
    image = tone(light * cast.astype(np.float32))
    if rng.random() < 0.3 * strength:
        image = np.clip(0.5 + (image - 0.5) * rng.uniform(0.75, 1.25), 0, 1)
    if rng.random() < 0.12 * strength:
        grey = image @ np.array([0.3, 0.59, 0.11], np.float32)
        image = grey[..., None] * np.clip(1 + rng.choice([0, 0, 1]) * np.array([0.06, 0, -0.1], np.float32), 0, 2)
        done["grey"] = "1"
    if rng.random() < 0.7 * strength:
        sigma = rng.uniform(0.002, 0.03)
        noise = rng.standard_normal(image.shape, dtype=np.float32) * np.float32(sigma)
        image = image + (noise if rng.random() < 0.6 else gaussian_filter(noise, (0.7, 0.7, 0)) * 1.8)
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8), mask, done


def defocus(light, coverage, depth, focus: float, blur: float) -> np.ndarray:
    """Background blurred by its circle of confusion (`blur` pixels at infinity), without the object bleeding into it."""
    behind = (1 - coverage)[..., None]
    apart = 1 - focus / np.maximum(depth, 0.05)
    confusion = np.clip(np.where(apart > 0, 1.3, -0.5) * apart - 0.1, 0, 1)
    levels = [light]
    for share in (0.4, 1.0):
        s = (blur * share,) * 2 + (0,)
        weight = gaussian_filter(behind, s)
        levels.append(gaussian_filter(np.minimum(light, 6) * behind, s) / np.maximum(weight, 1e-3))
    c = gaussian_filter(confusion, blur * 0.3)[..., None] * 2
    far = np.where(c < 1, levels[0] + (levels[1] - levels[0]) * c, levels[1] + (levels[2] - levels[1]) * (c - 1))
    edge = ((coverage > 0) & (coverage < 1))[..., None]
    return np.where(behind > 0, np.where(edge, light, far), light)


def motion(image: np.ndarray, length: float, angle: float) -> np.ndarray:
    """Mean of shifted copies along a line of `length` pixels."""
    h, w = image.shape[:2]
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    taps = np.linspace(-0.5, 0.5, max(3, int(length) + 1)) * length
    planes = image.reshape(h, w, -1)
    out = np.zeros_like(planes)
    for t in taps:
        at = [y + np.float32(np.sin(angle) * t), x + np.float32(np.cos(angle) * t)]
        for k in range(planes.shape[2]):
            out[..., k] += map_coordinates(planes[..., k], at, order=1, mode="nearest")
    return (out / len(taps)).reshape(image.shape)


def expose(light: np.ndarray, coverage: np.ndarray, stops: float, on_object: float) -> np.ndarray:
    """Scale light as a meter would: the frame's log mean to middle grey, pulled towards the object by `on_object`."""
    luminance = light @ np.array([0.21, 0.72, 0.07], np.float32)
    logs = np.log(np.clip(luminance, 0.004, 8))
    weight = 1 + 3 * on_object * coverage
    mean = float((logs * weight).sum() / weight.sum())
    gain = np.exp(np.clip(np.log(0.2) - mean, -2.5, 2.3) * 0.85) * 2.0**stops
    return light * np.float32(gain)


def tone(light: np.ndarray) -> np.ndarray:
    """Filmic curve (Narkowicz's fit of ACES, 2015) and sRGB gamma; float32 in 0..1."""
    x = np.maximum(light, 0) * np.float32(0.9)
    x = np.clip(x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14), 0, 1)
    return x ** np.float32(1 / 2.2)


def jpeg(image: np.ndarray, quality: int) -> bytes:
    """JPEG bytes."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def png(mask: np.ndarray) -> bytes:
    """PNG bytes."""
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG")
    return buffer.getvalue()
