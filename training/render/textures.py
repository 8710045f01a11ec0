"""Procedural textures: tileable noise in two and three dimensions and the surfaces of rooms.

All are made once per process from constants, so that a picture depends on nothing but its own seed.
"""

from __future__ import annotations

from functools import lru_cache
from zlib import crc32

import numpy as np
from scipy.ndimage import uniform_filter

VARIANTS = 3


def spectral_noise(shape: tuple[int, ...], beta: float, rng: np.random.Generator, aspect=None) -> np.ndarray:
    """Tileable 1/f^beta noise in 0..1 (mean 0.5), float32[shape]; `aspect` stretches it along each axis."""
    f = np.meshgrid(*[np.fft.fftfreq(n) * n for n in shape[:-1]], np.fft.rfftfreq(shape[-1]) * shape[-1], indexing="ij")
    aspect = aspect or (1,) * len(shape)
    k = np.sqrt(sum((fi * a) ** 2 for fi, a in zip(f, aspect, strict=True)))
    k[(0,) * len(shape)] = np.inf
    phase = np.exp(2j * np.pi * rng.random(k.shape))
    noise = np.fft.irfftn(phase * k ** (-beta / 2), s=shape, axes=tuple(range(len(shape))))
    return np.clip(0.5 + noise / noise.std() * 0.19, 0, 1).astype(np.float32)


@lru_cache(maxsize=1)
def solid_noise() -> np.ndarray:
    """Solid noise float32[n**3, 4]: cloudy, and three rough fields that serve as bump directions."""
    n = 64
    rng = np.random.default_rng(7)
    fields = [spectral_noise((n, n, n), 3.4, rng), *(spectral_noise((n, n, n), 2.6, rng) for _ in range(3))]
    return np.stack([x.ravel() for x in fields], 1)


def sample_solid(points: np.ndarray, scale: float, offset: np.ndarray) -> np.ndarray:
    """Trilinear solid noise at `points` float32[k, 3] with `scale` periods per unit; float32[k, 4]."""
    n, noise = 64, solid_noise()
    p = points * np.float32(scale * 1.0) * 16 + offset.astype(np.float32)
    base = np.floor(p)
    w = p - base
    lo = base.astype(np.int32) % n
    hi = (lo + 1) % n
    out = np.zeros((len(p), 4), np.float32)
    for i in range(8):
        cx, cy, cz = i & 1, i >> 1 & 1, i >> 2
        ix, iy, iz = (hi if c else lo for c in (cx, cy, cz))
        index = (ix[:, 0] * n + iy[:, 1]) * n + iz[:, 2]
        weight = (w[:, 0] if cx else 1 - w[:, 0]) * (w[:, 1] if cy else 1 - w[:, 1]) * (w[:, 2] if cz else 1 - w[:, 2])
        out += noise.take(index, 0) * weight[:, None]
    return out


class Pyramid:
    """An image with its halvings, sampled by footprint so that far floors do not shimmer."""

    def __init__(self, image: np.ndarray, wrap: bool = True) -> None:
        levels = [np.ascontiguousarray(image, np.float32)]
        while min(levels[-1].shape[:2]) > 8:
            a = levels[-1]
            h, w = a.shape[0] // 2 * 2, a.shape[1] // 2 * 2
            levels.append((a[:h:2, :w:2] + a[1:h:2, :w:2] + a[:h:2, 1:w:2] + a[1:h:2, 1:w:2]) / 4)
        self.wrap = wrap
        self.sizes = np.array([a.shape[:2] for a in levels], np.int32)
        counts = [a.shape[0] * a.shape[1] for a in levels]
        self.offsets = np.cumsum([0, *counts[:-1]]).astype(np.int32)
        self.texels = np.concatenate([a.reshape(-1, a.shape[2]) for a in levels])

    def sample(self, uv: np.ndarray, footprint: np.ndarray) -> np.ndarray:
        """Bilinear colours float32[k, c] at `uv` float32[k, 2] (periods, v down), `footprint` in periods."""
        level = np.log2(np.maximum(footprint * self.sizes[0, 0], 1e-6)) + 0.3
        level = np.clip(level, 0, len(self.sizes) - 1).astype(np.int32)
        h, w, offset = self.sizes[level, 0], self.sizes[level, 1], self.offsets[level]
        uv = uv - np.floor(uv) if self.wrap else np.clip(uv, 0, 0.9999)
        x, y = uv[:, 0] * w - 0.5, uv[:, 1] * h - 0.5
        x0, y0 = np.floor(x), np.floor(y)
        fx, fy = (x - x0)[:, None].astype(np.float32), (y - y0)[:, None].astype(np.float32)
        x0, y0 = x0.astype(np.int32), y0.astype(np.int32)
        x1, y1 = x0 + 1, y0 + 1
        if self.wrap:
            x0, x1, y0, y1 = x0 % w, x1 % w, y0 % h, y1 % h
        else:
            x0, y0, x1, y1 = np.maximum(x0, 0), np.maximum(y0, 0), np.minimum(x1, w - 1), np.minimum(y1, h - 1)
        t = self.texels
        top = t.take(offset + y0 * w + x0, 0) * (1 - fx) + t.take(offset + y0 * w + x1, 0) * fx
        low = t.take(offset + y1 * w + x0, 0) * (1 - fx) + t.take(offset + y1 * w + x1, 0) * fx
        return top * (1 - fy) + low * fy


WALLS = ("plaster", "brick", "wallpaper", "panels", "blocks", "concrete", "stripes", "fabric")
FLOORS = ("planks", "tiles", "checker", "concrete", "terrazzo", "carpet", "marble", "parquet")
GROUNDS = ("grass", "gravel", "paving", "concrete", "sand")
WOOD = np.array([[0.36, 0.21, 0.11], [0.55, 0.36, 0.20], [0.18, 0.10, 0.06]], np.float32)


@lru_cache(maxsize=96)
def surface(kind: str, variant: int = 0, size: int = 512) -> Pyramid:
    """The tileable surface `kind` (linear albedo); wood, grass, brick and facade carry colour, the rest is to be tinted."""
    rng = np.random.default_rng([crc32(kind.encode()), variant])
    return Pyramid(np.clip(_paint(kind, variant, size, rng), 0.01, 1))


def _grid(size: int, rows: int, columns: int, shift: float, gap: float, rng: np.random.Generator, tint: float):
    """Running bond: seam mask and a random tone per cell, both float32[size, size]."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    row = np.floor(y * rows)
    xs = x * columns + (row * shift)
    cell = np.floor(xs).astype(int) % columns
    tone = 1 + tint * (rng.random((rows, columns)) - 0.5)
    fy, fx = y * rows - row, xs - np.floor(xs)
    edge = np.minimum(np.minimum(fy, 1 - fy) / rows, np.minimum(fx, 1 - fx) / columns)
    return np.clip(edge / gap, 0, 1) ** 2, tone[row.astype(int), cell].astype(np.float32)


def _paint(kind: str, variant: int, size: int, rng: np.random.Generator) -> np.ndarray:
    square = (size, size)
    cloud, grain = spectral_noise(square, 3, rng), spectral_noise(square, 1.2, rng)
    base = 0.86 + 0.12 * (cloud - 0.5) + 0.08 * (grain - 0.5)
    if kind == "brick":
        seam, tone = _grid(size, 16, 6, 0.5, 0.004, rng, 0.5)
        colour = np.array([[0.42, 0.17, 0.11], [0.45, 0.36, 0.28], [0.6, 0.58, 0.55]])[variant % 3]
        mortar = np.array([0.5, 0.47, 0.43]) * base[..., None]
        return mortar + seam[..., None] * (colour * (tone * (0.5 + grain))[..., None] - mortar)
    if kind in ("blocks", "paving", "tiles"):
        rows, columns, shift = {"blocks": (4, 2, 0.5), "paving": (5, 5, 0.5), "tiles": (4, 4, 0)}[kind]
        seam, tone = _grid(size, rows, columns, shift, 0.004, rng, 0.12 if kind == "tiles" else 0.3)
        return np.repeat((base * tone * (0.45 + 0.55 * seam) * (0.7 + 0.6 * cloud))[..., None], 3, 2)
    if kind == "checker":
        y, x = np.mgrid[0:size, 0:size] * 4 // size
        dark = (x + y) % 2
        vein = np.clip(1 - np.abs(2 * cloud - 1) * 6, 0, 1) * 0.3
        return np.repeat((np.where(dark, 0.12 + vein * 0.6, 0.9 - vein) * base)[..., None], 3, 2)
    if kind in ("planks", "panels", "parquet"):
        rows, columns, shift = {"planks": (8, 2, 0.37), "panels": (4, 1, 0), "parquet": (12, 4, 0.5)}[kind]
        seam, tone = _grid(size, rows, columns, shift, 0.0025, rng, 0.45)
        fibre = spectral_noise(square, 2, rng, aspect=(1, 14))
        colour = WOOD[variant % 3] * (tone * (0.55 + 0.9 * fibre) * (0.4 + 0.6 * seam))[..., None]
        return colour.transpose(1, 0, 2) if kind == "panels" else colour
    if kind == "wallpaper":
        n = size // 4
        half = spectral_noise((n, n), 3.5, rng)
        half = half + half[:, ::-1]
        motif = np.tile(np.clip((half - 1) * 12 + 0.5, 0, 1), (4, 4))
        second = np.array([[0.75, 0.7, 0.55], [0.55, 0.7, 0.75], [0.8, 0.6, 0.6]])[variant % 3]
        return base[..., None] * (1 - motif[..., None] * (1 - second))
    if kind == "stripes":
        x = np.arange(size) * (6 + 4 * variant) // size % 2
        return np.repeat((base * (0.72 + 0.28 * x)[None, :])[..., None], 3, 2)
    if kind == "fabric":
        y, x = np.mgrid[0:size, 0:size]
        weave = ((x // 2 + y // 2) % 2) * 0.12
        return np.repeat((base - weave + 0.1 * (grain - 0.5))[..., None], 3, 2)
    if kind == "carpet":
        n = size // 2
        q = spectral_noise((n, n), 3.2, rng)
        q = q + q[::-1]
        q = np.tile(q + q[:, ::-1], (2, 2)) / 4
        hues = rng.random((4, 1)) * 0.4 + 0.06 + 0.25 * rng.random((4, 3)) * [1, 0.6, 0.6]
        return hues[np.clip((q * 8).astype(int) % 4, 0, 3)] * (0.7 + 0.6 * spectral_noise(square, 0.3, rng))[..., None]
    if kind == "terrazzo":
        chips = spectral_noise(square, 2.2, rng)
        return (base - 0.45 * (chips > 0.66) + 0.1 * (chips < 0.3))[..., None] * np.array([1, 0.98, 0.95])
    if kind == "marble":
        vein = np.clip(1 - np.abs(2 * cloud - 1) * 8, 0, 1) ** 2
        return np.repeat((base - 0.45 * vein * grain)[..., None], 3, 2)
    if kind == "grass":
        fine = spectral_noise(square, 0.7, rng)
        return np.array([0.16, 0.24, 0.06]) * (0.3 + 1.1 * fine + 0.5 * cloud)[..., None] + cloud[..., None] * [
            0.07,
            0.03,
            0.01,
        ]
    if kind in ("gravel", "sand"):
        fine = spectral_noise(square, 0.8 if kind == "gravel" else 1.5, rng)
        return np.repeat((0.35 + 0.75 * fine * (1 if kind == "gravel" else 0.6))[..., None], 3, 2)
    if kind == "facade":
        seam, tone = _grid(size, 6, 6, 0, 0.035, rng, 1.2)
        glass = np.array([0.10, 0.13, 0.17]) * tone[..., None]
        wall = base[..., None] * np.array([[0.5, 0.42, 0.34], [0.55, 0.53, 0.5], [0.4, 0.2, 0.15]])[variant % 3]
        return wall + (seam > 0.9)[..., None] * (glass - wall)
    if kind == "concrete":
        stain = uniform_filter(cloud, (size // 16, 3), mode="wrap")
        return np.repeat((0.62 + 0.3 * (stain - 0.5) + 0.25 * (cloud - 0.5) + 0.2 * (grain - 0.5))[..., None], 3, 2)
    if kind == "leaves":
        fine = spectral_noise(square, 1.4, rng)
        return np.array([0.1, 0.2, 0.05]) * (fine > 0.45)[..., None] * (0.4 + fine)[..., None] + 0.01
    return np.repeat(base[..., None], 3, 2)  # plaster
