"""What sculptures are made of: colour, roughness and metalness at points of a surface.

Colours are linear albedo (metals: reflectance at normal incidence; figures after the tables of physically based
rendering, Lagarde 2011), roughness is GGX alpha = roughness**2.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from training.render.textures import Pyramid, sample_solid


@dataclass
class Material:
    """`kind` chooses the pattern: flat, stone, marble, bronze, wood, paint, gilt, terracotta, texture, image, glow."""

    name: str
    kind: str = "flat"
    colour: np.ndarray = field(default_factory=lambda: np.full(3, 0.5))
    second: np.ndarray = field(default_factory=lambda: np.full(3, 0.3))
    roughness: float = 0.6
    metal: float = 0.0
    scale: float = 1.0
    amount: float = 0.5
    bump: float = 0.0
    dirt: float = 0.0
    offset: np.ndarray = field(default_factory=lambda: np.zeros(3))
    texture: Pyramid | None = None


@dataclass
class Surface:
    """Per sample: `albedo` float32[k, 3], `roughness`, `metal`, `glow` float32[k], `bend` float32[k, 3] or None."""

    albedo: np.ndarray
    roughness: np.ndarray
    metal: np.ndarray
    glow: bool = False
    bend: np.ndarray | None = None


SCULPTURE_MATERIALS = (
    "dark_bronze", "bronze", "patinated_bronze", "white_marble", "veined_marble", "grey_stone", "limestone", "granite",
    "terracotta", "painted_wood", "wood", "gilded", "plaster", "basalt", "rusty_steel", "lacquer",
)  # fmt: skip
LOUD = ("lacquer", "rusty_steel", "steel", "plaster", "lacquer", "dark_bronze", "grey_stone", "white_marble", "wood")
WEIGHTS = np.array([3, 2, 3, 4, 2, 3, 3, 1.5, 3, 2, 2, 1, 3, 1.5, 0.7, 0.7])


def sculpture_material(rng: np.random.Generator, name: str | None = None) -> Material:
    """A random specimen of `name`, or of a random one of `SCULPTURE_MATERIALS`."""
    name = name or str(rng.choice(SCULPTURE_MATERIALS, p=WEIGHTS / WEIGHTS.sum()))
    u = rng.uniform
    tone = 1 + 0.15 * rng.standard_normal() + 0.04 * rng.standard_normal(3)

    def make(kind: str, colour, second, roughness, metal=0.0, scale=1.0, amount=0.5, bump=0.1, dirt=0.5) -> Material:
        first, other = np.clip(np.array(colour) * tone, 0.005, 0.95), np.clip(np.array(second) * tone, 0.004, 0.95)
        return Material(
            name, kind, first, other, float(roughness), metal, float(scale * u(0.7, 1.5)), float(amount), float(bump),
            float(dirt * u(0.3, 1.3)), rng.random(3) * 64,
        )  # fmt: skip

    if name == "dark_bronze":
        return make("bronze", [0.16, 0.10, 0.06], [0.025, 0.022, 0.02], u(0.22, 0.42), 1.0, 0.6, u(0, 0.6), u(0.02, 0.15))
    if name == "bronze":
        return make("bronze", [0.62, 0.40, 0.20], [0.12, 0.08, 0.05], u(0.25, 0.5), 1.0, 0.6, u(0, 0.7), u(0.02, 0.15))
    if name == "patinated_bronze":
        return make("bronze", [0.22, 0.14, 0.08], [0.16, 0.33, 0.26], u(0.35, 0.6), 1.0, 0.6, u(0.5, 1.1), u(0.1, 0.4))
    if name == "white_marble":
        return make("marble", [0.83, 0.81, 0.77], [0.6, 0.58, 0.55], u(0.3, 0.6), 0, 0.4, u(0.05, 0.35), u(0, 0.08), 0.4)
    if name == "veined_marble":
        second = np.array([[0.25, 0.24, 0.24], [0.4, 0.2, 0.14], [0.12, 0.16, 0.13]])[rng.integers(3)]
        first = np.array([[0.75, 0.74, 0.72], [0.6, 0.42, 0.33], [0.3, 0.36, 0.3]])[rng.integers(3)]
        return make("marble", first, second, u(0.2, 0.45), 0, 0.5, u(0.5, 1), u(0, 0.05), 0.4)
    if name == "grey_stone":
        return make("stone", [0.38, 0.37, 0.35], [0.2, 0.2, 0.19], u(0.65, 0.95), 0, 0.8, u(0.3, 0.9), u(0.15, 0.6), 0.8)
    if name == "limestone":
        return make("stone", [0.62, 0.54, 0.40], [0.42, 0.36, 0.27], u(0.7, 0.95), 0, 0.8, u(0.3, 0.9), u(0.15, 0.6), 0.9)
    if name == "granite":
        first = np.array([[0.45, 0.43, 0.42], [0.45, 0.27, 0.22], [0.2, 0.2, 0.21]])[rng.integers(3)]
        return make("granite", first, first * 0.35, u(0.3, 0.7), 0, 3, u(0.5, 1), u(0, 0.2), 0.4)
    if name == "basalt":
        return make("stone", [0.09, 0.09, 0.095], [0.05, 0.05, 0.05], u(0.35, 0.7), 0, 0.8, u(0.2, 0.7), u(0.02, 0.3), 0.2)
    if name == "terracotta":
        return make("stone", [0.50, 0.24, 0.13], [0.30, 0.15, 0.09], u(0.65, 0.95), 0, 0.6, u(0.3, 1), u(0.08, 0.4), 0.7)
    if name in ("painted_wood", "lacquer"):
        hues = rng.random((2, 3)) ** 1.5 * 0.6 + 0.04
        gloss = u(0.15, 0.4) if name == "lacquer" else u(0.45, 0.8)
        return make("paint", hues[0], hues[1], gloss, 0, 0.5, 0.0 if name == "lacquer" else u(0.2, 1), u(0, 0.15), 0.5)
    if name == "wood":
        first = np.array([[0.42, 0.25, 0.13], [0.22, 0.12, 0.07], [0.55, 0.39, 0.23]])[rng.integers(3)]
        return make("wood", first, first * 0.45, u(0.4, 0.8), 0, 0.5, u(0.4, 1), u(0.05, 0.25), 0.6)
    if name == "gilded":
        return make("bronze", [0.95, 0.70, 0.32], [0.30, 0.10, 0.05], u(0.18, 0.45), 1.0, 0.8, u(0, 0.5), u(0.02, 0.2), 0.7)
    if name == "steel":
        return make("bronze", [0.56, 0.57, 0.58], [0.2, 0.2, 0.2], u(0.1, 0.45), 1.0, 0.6, u(0, 0.2), u(0, 0.05), 0.2)
    if name == "rusty_steel":
        return make("stone", [0.30, 0.13, 0.06], [0.14, 0.07, 0.045], u(0.6, 0.9), 0, 0.7, u(0.5, 1), u(0.1, 0.5), 0.3)
    return make("stone", [0.80, 0.78, 0.74], [0.70, 0.67, 0.62], u(0.75, 1), 0, 0.5, u(0.1, 0.5), u(0.02, 0.2), 0.4)


def evaluate(m: Material, local, position, normal, uv, occlusion, footprint) -> Surface:
    """Surface of `m` at samples: `local`, `position`, `normal` float32[k, 3], `uv` or None, `occlusion` and `footprint`
    (world size of a pixel on the surface) float32[k]."""
    k = len(local)
    rough, metal = np.full(k, m.roughness, np.float32), np.full(k, m.metal, np.float32)
    colour, second = m.colour.astype(np.float32), m.second.astype(np.float32)
    if m.kind in ("flat", "glow"):
        return Surface(np.broadcast_to(colour, (k, 3)), rough, metal, m.kind == "glow")
    if m.kind == "image":
        return Surface(m.texture.sample(uv * [1, -1] + [0, 1], footprint * m.scale) * colour, rough, metal, m.amount > 1)
    if m.kind == "texture":
        a = np.abs(normal)
        axis = np.where(a[:, 1] > 0.7, 1, np.where(a[:, 0] > a[:, 2], 0, 2))
        p = position * np.float32(m.scale)
        st = np.stack([np.where(axis == 0, p[:, 2], p[:, 0]), np.where(axis == 1, p[:, 2], -p[:, 1])], 1)
        albedo = m.texture.sample(st, footprint * m.scale)
        tone = albedo.mean(1) - albedo.mean()
        return Surface(albedo * colour, np.clip(rough - m.amount * tone, 0.08, 1), metal)

    solid = sample_solid(local, m.scale, m.offset)
    cloud = solid[:, 0]
    fine = sample_solid(local, m.scale * 5.3, m.offset + 17) if m.bump > 0.03 or m.kind in ("granite", "wood") else solid
    grain = fine[:, 1]
    if m.kind == "marble":
        vein = np.clip(1 - np.abs(2 * cloud - 1 + 0.25 * (grain - 0.5)) * 5, 0, 1) ** 2 * m.amount
        albedo = colour + vein[:, None] * (second - colour)
    elif m.kind == "granite":
        speck = np.clip((fine[:, 2] - 0.5) * 6 * m.amount + 0.5, 0, 1)
        albedo = second + speck[:, None] * (colour - second)
    elif m.kind == "wood":
        rings = np.sin((np.hypot(local[:, 0] + 0.3, local[:, 2]) * 60 * m.scale + cloud * 9) * 2)
        mix = np.clip(0.5 + 0.35 * rings + (grain - 0.5), 0, 1) * m.amount
        albedo = colour + mix[:, None] * (second - colour)
    elif m.kind == "paint":
        zone = np.clip((cloud + 0.35 * np.sin(local[:, 1] * 7 * m.scale + m.offset[0]) - 0.5) * 25, 0, 1)
        albedo = colour + zone[:, None] * (second - colour)
        worn = np.clip((grain + 0.5 * (1 - occlusion) - 0.62) * 12, 0, 1) * min(m.amount, 1)
        albedo = albedo + worn[:, None] * (np.array([0.45, 0.34, 0.22], np.float32) - albedo)
        rough = rough + 0.3 * worn
    elif m.kind == "bronze":
        # Patina gathers in hollows and where rain runs (upward faces), and is no longer metal.
        film = np.clip((cloud - 0.62 + 0.55 * m.amount + 0.5 * (1 - occlusion) + 0.1 * normal[:, 1]) * 5, 0, 1)
        film *= min(1.0, m.amount * 1.4)
        albedo = colour * (0.8 + 0.4 * grain)[:, None]
        albedo = albedo + film[:, None] * (second * (0.6 + 0.8 * grain)[:, None] - albedo)
        metal, rough = metal * (1 - film), np.clip(rough + 0.35 * film + 0.25 * (cloud - 0.5), 0.12, 1)
    else:  # stone
        mix = np.clip((cloud - 0.5) * 2.5 + 0.5 + (grain - 0.5), 0, 1) * m.amount
        albedo = (colour + mix[:, None] * (second - colour)) * (0.85 + 0.3 * fine[:, 2])[:, None]
    if m.dirt > 0:
        hollow = np.clip((1 - occlusion) * 1.6 * m.dirt, 0, 0.8)
        albedo = albedo * (1 - hollow[:, None] * np.array([0.75, 0.85, 1], np.float32))
    bend = (
        (fine[:, 1:] - 0.5) * np.float32(m.bump) + (solid[:, 1:] - 0.5) * np.float32(m.bump * 0.7) if m.bump > 0.005 else None
    )
    return Surface(albedo, np.clip(rough, 0.1, 1), metal, False, bend)
