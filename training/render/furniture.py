"""Things that stand in museums and are not the object: all are background in the mask, near or far."""
# ruff: noqa: RUF005  array + list adds vectors here

from __future__ import annotations

from itertools import pairwise

import numpy as np

from training.render.materials import Material, sculpture_material
from training.render.meshes import Mesh, Part, box, join, lathe, primitive
from training.render.textures import GROUNDS, VARIANTS, Pyramid, surface

COLOURED = ("brick", "planks", "panels", "parquet", "grass", "facade", "leaves", "carpet")


def plain(rng: np.random.Generator, value: float | None = None, chroma: float = 0.15, roughness: float | None = None):
    """A flat painted material of random (or given) lightness."""
    value = rng.uniform(0.03, 0.85) if value is None else value
    colour = np.clip(value * (1 + chroma * rng.standard_normal(3)), 0.01, 0.92)
    return Material("paint", "flat", colour, roughness=float(roughness or rng.uniform(0.3, 0.9)))


def textured(rng: np.random.Generator, kind: str, texture_size: int, value: float | None = None, period=None) -> Material:
    """The surface `kind` tinted at random; `period` metres per repeat."""
    variant = int(rng.integers(VARIANTS))
    value = value or rng.uniform(0.25, 1.0)
    tint = np.ones(3) if kind in COLOURED else np.clip(value * (1 + 0.12 * rng.standard_normal(3)), 0.03, 1)
    polish = rng.uniform(0.15, 0.9) if kind in ("planks", "parquet", "tiles", "checker", "marble", "terrazzo") else 0.85
    period = period or {"grass": 1.5, "gravel": 1.0, "facade": 14.0}.get(kind, 2.0) * rng.uniform(0.7, 1.5)
    return Material(
        kind,
        "texture",
        tint,
        roughness=float(polish),
        scale=1 / period,
        amount=0.3,
        texture=surface(kind, variant, texture_size),
    )


def ground_kind(rng: np.random.Generator) -> str:
    """An outdoor ground."""
    return str(rng.choice(GROUNDS))


def plinth(rng: np.random.Generator, width: float, depth: float, height: float, texture_size: int) -> tuple[list[Part], str]:
    """A plinth with its top at `height` and its base at 0, at the origin; its parts and a name."""
    kind = str(rng.choice(["block", "block", "drum", "stepped", "table"]))
    material = plain(rng, rng.choice([0.8, 0.7, 0.05, 0.3]), 0.05) if rng.random() < 0.5 else textured(
        rng, str(rng.choice(["plaster", "concrete", "marble", "planks", "terrazzo"])), texture_size)  # fmt: skip
    if kind == "drum":
        meshes = [primitive("cylinder", (max(width, depth) / 2 * 1.2, height, max(width, depth) / 2 * 1.2), (0, height / 2, 0))]
    elif kind == "stepped":
        a = min(0.25 * height, 0.1)
        meshes = [box((width * 1.2, a, depth * 1.2)), box((width, height - 2 * a, depth), (0, a, 0)),
                  box((width * 1.15, a, depth * 1.15), (0, height - a, 0))]  # fmt: skip
    elif kind == "table":
        top = 0.04
        meshes = [box((width * 2.2, top, depth * 1.8), (0, height - top, 0))]
        meshes += [box((0.05, height - top, 0.05), (x * width, 0, z * depth * 0.8)) for x in (-1, 1) for z in (-1, 1)]
    else:
        meshes = [box((width, height, depth))]
    parts = [Part(join(meshes), material)]
    if kind == "block" and height > 0.4 and rng.random() < 0.4:  # a label
        parts.append(Part(box((0.16, 0.1, 0.01), (0, height * 0.7, depth / 2)), plain(rng, 0.8, 0.03)))
    return parts, kind


def people(rng: np.random.Generator, at: np.ndarray) -> list[Part]:
    """A visitor at `at` with skin, hair and clothes."""
    yaw = rng.uniform(0, 2 * np.pi)
    groups: dict[str, list[Mesh]] = {}
    for mesh, name in _person(rng):
        groups.setdefault(name, []).append(mesh)
    skin = np.array([[0.6, 0.4, 0.3], [0.35, 0.2, 0.13], [0.15, 0.08, 0.05]])[rng.integers(3)]
    colours = {"skin": skin, "hair": rng.choice([[0.03, 0.02, 0.02], [0.2, 0.12, 0.05], [0.5, 0.5, 0.5]])}
    parts = []
    for name, meshes in groups.items():
        cloth = colours.get(name, rng.random(3) ** 2 * 0.7 + 0.02)
        parts.append(Part(join(meshes).placed(1, yaw, at), Material(name, "flat", np.asarray(cloth))))
    return parts


def _limb(a, b, radius: float) -> Mesh:
    a, b = np.asarray(a, float), np.asarray(b, float)
    y = (b - a) / np.linalg.norm(b - a)
    x = np.cross(y, [0.3, 0.1, 1.0])
    x /= np.linalg.norm(x)
    R = np.stack([x, y, np.cross(x, y)], 1)
    return primitive("sphere", (radius, np.linalg.norm(b - a) / 2 + radius * 0.6, radius), (a + b) / 2, R=R)


def _person(rng: np.random.Generator) -> list[tuple[Mesh, str]]:
    h = rng.uniform(1.5, 1.9)
    hip, shoulder, wide = 0.5 * h, 0.8 * h, rng.uniform(0.17, 0.25)
    step = rng.uniform(0.05, 0.25)
    parts = [
        (primitive("sphere", (wide, 0.2 * h, wide * 0.62), (0, (hip + shoulder) / 2, 0)), "shirt"),
        (primitive("sphere", (wide * 0.95, 0.1 * h, wide * 0.65), (0, hip, 0)), "trousers"),
        (_limb((0, shoulder, 0), (0, 0.88 * h, 0.01), 0.055), "skin"),
        (primitive("sphere", (0.082, 0.115, 0.1), (0, 0.93 * h, 0.01)), "skin"),
        (primitive("sphere", (0.09, 0.1, 0.1), (0, 0.95 * h, -0.02)), "hair"),
    ]
    for side in (-1, 1):
        foot = np.array([side * 0.1, 0.04, side * step])
        knee = np.array([side * 0.1, 0.27 * h, side * step * 0.6 + 0.03])
        parts += [(_limb((side * 0.09, hip, 0), knee, 0.085), "trousers"), (_limb(knee, foot, 0.06), "trousers")]
        parts.append((primitive("sphere", (0.05, 0.045, 0.13), foot + [0, 0, 0.05]), "shoes"))
        elbow = np.array([side * (wide + rng.uniform(0.02, 0.12)), 0.62 * h, rng.uniform(-0.1, 0.1)])
        hand = elbow + [side * rng.uniform(-0.12, 0.05), rng.uniform(-0.24, 0.15), rng.uniform(0.05, 0.25)]
        parts += [(_limb((side * wide * 0.85, shoulder - 0.03, 0), elbow, 0.055), "shirt"), (_limb(elbow, hand, 0.042), "skin")]
    return parts


def thing(
    rng: np.random.Generator, at: np.ndarray, texture_size: int, others: list[tuple[str, Mesh]]
) -> tuple[list[Part], str]:
    """Something at `at` on the floor: person, column, showcase, bench, plant, vessel on a stand, crate, far sculpture."""
    kind = str(rng.choice(
        ["person", "column", "case", "bench", "plant", "vessel", "crate", "post", "sculpture"],
        p=[0.22, 0.1, 0.12, 0.1, 0.1, 0.08, 0.08, 0.06, 0.14]))  # fmt: skip
    at, yaw = np.asarray(at, float), rng.uniform(0, np.pi)
    if kind == "person":
        return people(rng, at), kind
    if kind == "column":
        r, h = rng.uniform(0.15, 0.4), rng.uniform(2.5, 5)
        meshes = [
            primitive("cylinder", (r, h, r), at + [0, h / 2, 0]),
            box((3 * r, 0.2, 3 * r), at),
            box((3 * r, 0.2, 3 * r), at + [0, h, 0]),
        ]
        return [
            Part(join(meshes), textured(rng, str(rng.choice(["plaster", "marble", "concrete", "blocks"])), texture_size))
        ], kind
    if kind == "case":
        w, h, base = rng.uniform(0.5, 1.2), rng.uniform(0.4, 1.1), rng.uniform(0.4, 1.0)
        frame = plain(rng, rng.choice([0.05, 0.5, 0.8]))
        t = 0.025
        bars = [box((t, h, t), at + [x * w / 2, base, z * w / 2]) for x in (-1, 1) for z in (-1, 1)]
        bars += [box((w, t, t), at + [0, base + h, z * w / 2]) for z in (-1, 1)]
        bars += [box((t, t, w), at + [x * w / 2, base + h, 0]) for x in (-1, 1)]
        parts = [Part(box((w, base, w), at), plain(rng)), Part(join(bars), frame)]
        parts.append(Part(_vessel(rng).placed(h * 0.6, 0, at + [0, base, 0]), sculpture_material(rng)))
        return parts, kind
    if kind == "bench":
        top = box((1.4, 0.08, 0.4), at + [0, 0.42, 0], 0)
        legs = [box((0.06, 0.42, 0.36), at + [x, 0, 0]) for x in (-0.6, 0.6)]
        return [Part(join([top, *legs]), textured(rng, "planks", texture_size))], kind
    if kind == "plant":
        pot = lathe(np.array([[0.14, 0], [0.2, 0.35], [0.22, 0.36], [0.17, 0.34], [0.02, 0.33]])).placed(1, 0, at)
        balls = [
            primitive(
                "sphere", rng.uniform(0.12, 0.3), at + [*rng.normal(0, 0.18, 1), rng.uniform(0.5, 1.3), *rng.normal(0, 0.18, 1)]
            )
            for _ in range(9)
        ]
        return [Part(pot, plain(rng)), Part(join(balls), textured(rng, "leaves", texture_size, period=0.5))], kind
    if kind == "vessel":
        base = rng.uniform(0.5, 1.0)
        return [
            Part(box((0.4, base, 0.4), at), plain(rng)),
            Part(_vessel(rng).placed(0.5, 0, at + [0, base, 0]), sculpture_material(rng)),
        ], kind
    if kind == "post":
        meshes = [
            lathe(np.array([[0.16, 0], [0.16, 0.02], [0.025, 0.05], [0.025, 0.92], [0.045, 0.95], [0.01, 0.99]])).placed(
                1, 0, at + [x, 0, 0]
            )
            for x in (-0.8, 0.8)
        ]
        points = [at + [x, 0.86 - 0.22 * (1 - (x / 0.8) ** 2), 0] for x in np.linspace(-0.8, 0.8, 9)]
        rope = [_limb(a, b, 0.02) for a, b in pairwise(points)]
        return [
            Part(join(meshes), Material("brass", "flat", np.array([0.7, 0.5, 0.25]), roughness=0.25, metal=1.0)),
            Part(join(rope), plain(rng, chroma=0.6)),
        ], kind
    if kind == "sculpture" and others:
        name, mesh = others[rng.integers(len(others))]
        base = rng.uniform(0.3, 1.0)
        size = rng.uniform(0.5, 1.7)
        width = float(np.ptp(mesh.v[:, 0])) * size + 0.1
        return [
            Part(box((width, base, width), at), plain(rng)),
            Part(mesh.placed(size, yaw * 2, at + [0, base, 0]), sculpture_material(rng)),
        ], f"sculpture:{name}"
    size = rng.uniform(0.3, 1.1, 3)
    return [
        Part(box(size, at, yaw), textured(rng, "planks", texture_size) if rng.random() < 0.5 else plain(rng, chroma=0.4))
    ], "crate"


def _vessel(rng: np.random.Generator) -> Mesh:
    y = np.linspace(0, 1, 24)
    r = (
        0.12
        + 0.25 * np.sin(np.clip(y * rng.uniform(2.4, 3.3), 0, np.pi)) ** rng.uniform(0.7, 1.5)
        + 0.08 * np.clip(y - 0.85, 0, 1) * 4
    )
    inside = np.array([[0.8 * r[-1], 0.98], [0.5 * r[-1], 0.7], [1e-3, 0.65]])
    return lathe(np.vstack([np.stack([r, y], 1), inside]))


def quad(width: float, height: float, centre, yaw: float) -> Mesh:
    """An upright rectangle facing +Z turned by `yaw`, with UVs."""
    v = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float32) * [width / 2, height / 2, 1]
    n = np.tile(np.array([0, 0, 1], np.float32), (4, 1))
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    f = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    return Mesh(v.astype(np.float32), f, n, uv, n).placed(1, yaw, centre)


def image_material(photo: np.ndarray, gain: float, glow: bool) -> Material:
    """A photograph uint8[h, w, 3] as a surface (`glow`: as light, for windows)."""
    linear = (photo.astype(np.float32) / 255) ** 2.2
    return Material(
        "picture",
        "image",
        np.full(3, gain),
        roughness=0.5,
        scale=1.0,
        amount=2.0 if glow else 0.0,
        texture=Pyramid(linear, wrap=False),
    )


def framed(rng: np.random.Generator, photo: np.ndarray, centre, yaw: float, width: float) -> list[Part]:
    """A picture in its frame on a wall; `centre` lies on the wall, which faces +Z turned by `yaw`."""
    height = width * photo.shape[0] / photo.shape[1] * rng.uniform(0.8, 1.2)
    c, s = np.cos(yaw), np.sin(yaw)
    out, across = np.array([s, 0, c]), np.array([c, 0, -s])
    b = rng.uniform(0.03, 0.14)
    centre = np.asarray(centre, float)
    bars = [box((width + 2 * b, b, 0.06), centre + [0, y, 0] + out * 0.03, yaw) for y in (-height / 2 - b, height / 2)]
    bars += [
        box((b, height, 0.06), centre + across * x * (width + b) / 2 - [0, height / 2, 0] + out * 0.03, yaw) for x in (-1, 1)
    ]
    gilt = (
        Material("frame", "flat", np.array([0.75, 0.55, 0.25]), roughness=0.4, metal=1.0) if rng.random() < 0.4 else plain(rng)
    )
    return [
        Part(quad(width, height, centre + out * 0.02, yaw), image_material(photo, 0.8, False), casts=False),
        Part(join(bars), gilt, casts=False),
    ]
