"""Lamps with soft shadows, and light from the surroundings.

Shadows are variance shadow maps (Donnelly & Lauritzen 2006): one look-up per sample, and the penumbra is a blur.
Surroundings are an equirectangular radiance map: diffuse by second-order spherical harmonics (Ramamoorthi & Hanrahan
2001), mirror light from copies blurred by roughness.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.ndimage import gaussian_filter, uniform_filter

from training.render.camera import Camera, look_at
from training.render.raster import Rasteriser


@dataclass
class Lamp:
    """A spot at `position` aimed at `target`: `colour` (irradiance at the target), half-angle `cone` of full light and
    `cone + edge` of none (radians), `softness` of its shadow (share of the map), `far` lamps do not fall off."""

    position: np.ndarray
    target: np.ndarray
    colour: np.ndarray
    cone: float = 0.5
    edge: float = 0.3
    softness: float = 0.006
    far: bool = False
    shadow: bool = True
    _camera: Camera | None = field(default=None, repr=False)
    _moments: np.ndarray | None = field(default=None, repr=False)

    def prepare(self, raster: Rasteriser, size: int) -> None:
        """Draw the shadow map of the geometry loaded in `raster`."""
        if not self.shadow:
            return
        angle = min(self.cone + self.edge, 1.2)
        self._camera = look_at(self.position, self.target, size, size, 0.5 * size / np.tan(angle))
        distance = float(np.linalg.norm(self.target - self.position))
        z = raster.depth(self._camera, distance * 0.05, distance * 3) / distance
        both = np.stack([z, z * z])
        width = max(3, int(size * self.softness * 2) | 1)
        for _ in range(2):  # two boxes are near enough to a Gaussian
            both = uniform_filter(both, (0, width, width), mode="nearest")
        self._moments = both.transpose(1, 2, 0).reshape(-1, 2).copy()

    def light(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Unit directions to the lamp float32[k, 3] and its strength after cone, distance and shadow float32[k]."""
        to = self.position.astype(np.float32) - points
        d = np.sqrt(np.einsum("ij,ij->i", to, to))
        to /= d[:, None]
        aim = (self.position - self.target).astype(np.float32)
        distance = float(np.linalg.norm(aim))
        cosine = to @ (aim / distance)
        inner, outer = np.cos(self.cone), np.cos(min(self.cone + self.edge, 1.5))
        s = np.clip((cosine - outer) / max(inner - outer, 1e-4), 0, 1)
        strength = s * s * (3 - 2 * s)
        if not self.far:
            strength *= (distance / d) ** 2
        if self._moments is not None:
            strength *= self._visible(points, distance)
        return to, strength.astype(np.float32)

    def _visible(self, points: np.ndarray, distance: float) -> np.ndarray:
        c = self._camera
        q = points @ c.R.T.astype(np.float32) + c.t.astype(np.float32)
        z = np.maximum(q[:, 2], 1e-3)
        n = c.width
        x = np.clip(q[:, 0] / z * np.float32(c.K[0, 0]) + n / 2 - 0.5, 0, n - 1.01)
        y = np.clip(q[:, 1] / z * np.float32(c.K[1, 1]) + n / 2 - 0.5, 0, n - 1.01)
        x0, y0 = x.astype(np.int32), y.astype(np.int32)
        fx, fy = (x - x0)[:, None], (y - y0)[:, None]
        m, i = self._moments, y0 * n + x0
        mean = (m.take(i, 0) * (1 - fx) + m.take(i + 1, 0) * fx) * (1 - fy)
        mean += (m.take(i + n, 0) * (1 - fx) + m.take(i + n + 1, 0) * fx) * fy
        z = z / distance
        gap = z - mean[:, 0] - 0.002
        variance = np.maximum(mean[:, 1] - mean[:, 0] ** 2, 2e-6)
        p = variance / (variance + gap * gap)
        return np.where(gap <= 0, 1, np.clip((p - 0.25) / 0.75, 0, 1))


_H, _W = 48, 96


def _directions(h: int = _H, w: int = _W) -> np.ndarray:
    theta = (np.arange(h) + 0.5) / h * np.pi
    phi = (np.arange(w) + 0.5) / w * 2 * np.pi - np.pi
    s = np.sin(theta)[:, None]
    return np.stack([s * np.sin(phi), np.cos(theta)[:, None] + 0 * phi, s * np.cos(phi)], -1).astype(np.float32)


def _harmonics(d: np.ndarray) -> np.ndarray:
    x, y, z = d[..., 0], d[..., 1], d[..., 2]
    one = np.ones_like(x)
    return np.stack([0.282095 * one, 0.488603 * y, 0.488603 * z, 0.488603 * x, 1.092548 * x * y, 1.092548 * y * z,
                     0.315392 * (3 * z * z - 1), 1.092548 * x * z, 0.546274 * (x * x - y * y)], -1)  # fmt: skip


class Environment:
    """Light from all around: `radiance` float32[48, 96, 3], rows from +Y down, columns by azimuth from -Z over +X..."""

    def __init__(self, radiance: np.ndarray) -> None:
        self.radiance = radiance.astype(np.float32)
        solid = np.sin((np.arange(_H) + 0.5) / _H * np.pi)[:, None, None] * (np.pi / _H) * (2 * np.pi / _W)
        basis = _harmonics(_directions())
        lobes = np.array([np.pi] + [2 * np.pi / 3] * 3 + [np.pi / 4] * 5) / np.pi
        self.sh = (np.einsum("hwk,hwc->kc", basis, self.radiance * solid) * lobes[:, None]).astype(np.float32)
        wrap = ("nearest", "wrap", "nearest")
        blurred = (gaussian_filter(self.radiance, (sigma, sigma, 0), mode=wrap) for sigma in (1.5, 4.0, 9.0))
        self.levels = np.stack([self.radiance, *blurred]).reshape(-1, 3)

    def diffuse(self, n: np.ndarray) -> np.ndarray:
        """Irradiance / pi at unit normals float32[k, 3]."""
        return np.maximum(_harmonics(n) @ self.sh, 0.002)

    def mirror(self, d: np.ndarray, roughness: np.ndarray | float) -> np.ndarray:
        """Radiance from unit directions float32[k, 3], blurred as a surface of that roughness sees it."""
        y = np.arccos(np.clip(d[:, 1], -1, 1)) * np.float32(_H / np.pi) - 0.5
        x = (np.arctan2(d[:, 0], d[:, 2]) + np.float32(np.pi)) * np.float32(_W / (2 * np.pi)) - 0.5
        y = np.clip(y, 0, _H - 1.001)
        y0, xf = y.astype(np.int32), np.floor(x)
        fx, fy = (x - xf)[:, None], (y - y0)[:, None]
        x0 = xf.astype(np.int32) % _W
        x1 = (x0 + 1) % _W
        level = np.clip(np.asarray(roughness, np.float32) * 3.6 - 0.2, 0, 2.999)
        l0 = level.astype(np.int32)
        fl = (level - l0)[..., None]
        out = 0
        for step, weight in ((0, 1 - fl), (1, fl)):
            row = (l0 + step) * (_H * _W) + y0 * _W
            top = self.levels.take(row + x0, 0) * (1 - fx) + self.levels.take(row + x1, 0) * fx
            low = self.levels.take(row + _W + x0, 0) * (1 - fx) + self.levels.take(row + _W + x1, 0) * fx
            out = out + (top * (1 - fy) + low * fy) * weight
        return out


def studio(rng: np.random.Generator, top, side, floor, panels: int, power: float) -> Environment:
    """Surroundings of plain `top`, `side` and `floor` radiance (3,) with bright soft panels such as lamps and windows."""
    d = _directions()
    y = d[..., 1:2]
    up, down = np.clip(y * 2.5 - 0.8, 0, 1), np.clip(-y * 2.5, 0, 1)
    image = np.asarray(side) * (1 - up - down) + np.asarray(top) * up + np.asarray(floor) * down
    image = image * (0.8 + 0.4 * gaussian_filter(rng.random((_H, _W)), 2, mode="wrap")[..., None])
    for _ in range(panels):
        az, el = rng.uniform(-np.pi, np.pi), rng.uniform(0.05, 1.3)
        w, h = rng.uniform(0.1, 0.5), rng.uniform(0.08, 0.4)
        c = np.array([np.cos(el) * np.sin(az), np.sin(el), np.cos(el) * np.cos(az)])
        r = np.array([np.cos(az), 0, -np.sin(az)])
        u = np.cross(c, r)
        inside = (d @ c > 0) * np.clip(8 - 8 * np.abs(d @ r) / w, 0, 1) * np.clip(8 - 8 * np.abs(d @ u) / h, 0, 1)
        image = image + inside[..., None] * power * (0.8 + 0.4 * rng.random(3))
    return Environment(image)


def from_photo(photo: np.ndarray, gain: float) -> Environment:
    """Surroundings guessed from a photograph uint8[h, w, 3]: mirrored to close the ring, highlights raised to lamp level."""
    small = np.asarray(photo)
    h, w = small.shape[:2]
    rows = np.clip((np.arange(_H) * h) // _H, 0, h - 1)
    columns = np.clip((np.abs(np.linspace(-1, 1, _W)) * (w - 1)).astype(int), 0, w - 1)
    linear = (small[rows][:, columns].astype(np.float32) / 255) ** 2.2
    linear = gaussian_filter(linear, (1, 1, 0))
    linear += 6 * np.clip(linear.mean(2, keepdims=True) - 0.6, 0, 1) ** 2 * linear
    return Environment(linear * gain)
