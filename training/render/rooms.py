"""Surroundings: museum rooms, outdoor squares, studio sweeps, darkness, photographs. All of it is background."""
# ruff: noqa: RUF005  array + list adds vectors here

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.render import furniture
from training.render.furniture import image_material, plain, quad, textured
from training.render.lighting import Environment, Lamp, from_photo, studio
from training.render.meshes import Mesh, Part, box, primitive
from training.render.textures import FLOORS, WALLS

KINDS = ("room", "outdoor", "photo", "sweep", "dark")
KIND_WEIGHTS = (0.52, 0.1, 0.2, 0.12, 0.06)


@dataclass
class Surroundings:
    """What stands around the object, its light, and names of what was put there."""

    parts: list[Part]
    environment: Environment
    sky: np.ndarray | None
    ambient: float
    names: list[str]


def linear(photo: np.ndarray) -> np.ndarray:
    """sRGB uint8[h, w, 3] to linear float32."""
    return (photo.astype(np.float32) / 255) ** 2.2


def build(kind: str, rng: np.random.Generator, eye: np.ndarray, focus: np.ndarray, radius: float,
          photos: list[np.ndarray], others: list[tuple[str, Mesh]], texture_size: int = 512,
          clutter: float = 1.0) -> Surroundings:  # fmt: skip
    """Surroundings of `kind` for a camera at `eye` float[3] looking at `focus`, an object of `radius` there, floor y = 0."""
    if kind == "room":
        return _room(rng, eye, focus, radius, photos, others, texture_size, clutter)
    if kind == "outdoor":
        return _outdoor(rng, eye, focus, radius, others, texture_size)
    if kind == "photo" and photos:
        return _photo(rng, photos, texture_size)
    if kind == "dark":
        black = rng.uniform(0, 0.02)
        env = studio(rng, [black] * 3, [black * 1.5] * 3, [black] * 3, int(rng.integers(1, 4)), rng.uniform(1, 5))
        floor = [Part(box((30, 0.05, 30), (0, -0.05, 0)), plain(rng, 0.02), casts=False)] if rng.random() < 0.5 else []
        return Surroundings(floor, env, np.full((2, 2, 3), black, np.float32), 0.6, [])
    return _sweep(rng, eye, focus)


def _photo(rng, photos, texture_size) -> Surroundings:
    photo = photos[rng.integers(len(photos))]
    if rng.random() < 0.5:
        photo = photo[:, ::-1]
    h, w = photo.shape[:2]
    side = int(min(h, w) * rng.uniform(0.6, 1))
    top, left = rng.integers(h - side + 1), rng.integers(w - side + 1)
    sky = linear(photo[top : top + side, left : left + side]) * rng.uniform(0.6, 1.4)
    parts = []
    if rng.random() < 0.35:
        kind = str(rng.choice([*FLOORS, furniture.ground_kind(rng)]))
        parts = [Part(box((14, 0.05, 14), (0, -0.05, 0)), textured(rng, kind, texture_size), casts=False)]
    return Surroundings(parts, from_photo(photo, rng.uniform(0.8, 1.6)), sky, 1.0, [])


def _sweep(rng, eye, focus) -> Surroundings:
    value = rng.choice([0.85, 0.6, 0.35, 0.12, 0.04])
    material = plain(rng, value, rng.choice([0.02, 0.02, 0.3]), 0.9)
    if rng.random() < 0.3:
        material = textured(rng, str(rng.choice(["fabric", "plaster", "concrete"])), 512)
    away = focus - eye
    yaw = np.arctan2(away[0], away[2])
    bend, depth = rng.uniform(0.3, 1.5), rng.uniform(1.0, 4.0)
    angle = np.linspace(0, np.pi / 2, 12)
    profile = np.concatenate(
        [[[-15.0, 0.0]], np.stack([depth + bend * np.sin(angle), bend - bend * np.cos(angle)], 1), [[depth + bend, 14.0]]]
    )
    slope = np.gradient(profile, axis=0)
    v, n = [], []
    for x in (-20.0, 20.0):
        v.append(np.stack([np.full(len(profile), x), profile[:, 1], profile[:, 0]], 1))
        n.append(np.stack([np.zeros(len(profile)), slope[:, 1] * 0 + slope[:, 0], -slope[:, 1]], 1))
    k = len(profile)
    f = [[i, i + k, i + 1] for i in range(k - 1)] + [[i + 1, i + k, i + k + 1] for i in range(k - 1)]
    nn = np.concatenate(n)
    mesh = Mesh(
        np.concatenate(v).astype(np.float32),
        np.array(f, np.int32),
        (nn / np.linalg.norm(nn, axis=1)[:, None]).astype(np.float32),
    )
    mesh = mesh.placed(1, yaw, (focus[0], 0, focus[2]))
    grey = float(np.mean(material.colour))
    env = studio(rng, [grey * 0.8] * 3, [grey * 0.5 + 0.05] * 3, [grey * 0.4] * 3, int(rng.integers(1, 5)), rng.uniform(2, 8))
    return Surroundings([Part(mesh, material, casts=False)], env, None, 1.0, [])


def _free_spot(rng, eye, focus, radius, bounds) -> np.ndarray | None:
    """A floor point within `bounds` that does not stand between camera and object, nor in the object's own space."""
    for _ in range(12):
        p = np.array([rng.uniform(bounds[0] + 0.4, bounds[1] - 0.4), 0, rng.uniform(bounds[2] + 0.4, bounds[3] - 0.4)])
        to, axis = (p - eye)[[0, 2]], (focus - eye)[[0, 2]]
        d, reach = np.linalg.norm(to), np.linalg.norm(axis)
        cosine = to @ axis / max(d * reach, 1e-6)
        if np.linalg.norm((p - focus)[[0, 2]]) < radius + 0.7 or d < 0.9:
            continue
        if cosine > np.cos(np.arctan2(radius + 0.6, reach)) and d < reach + radius:
            continue
        return p
    return None


def _room(rng, eye, focus, radius, photos, others, size, clutter) -> Surroundings:
    u = rng.uniform
    x0 = min(eye[0], focus[0] - radius) - u(0.8, 4)
    x1 = max(eye[0], focus[0] + radius) + u(0.8, 4)
    z0 = focus[2] - radius - u(0.5, 7)
    z1 = max(eye[2], focus[2] + radius) + u(0.5, 3)
    top = max(2.6, eye[1] + 0.5, focus[1] + radius + 0.4) + u(0, 2.5)
    floor = textured(rng, str(rng.choice(FLOORS)), size)
    wall = textured(rng, str(rng.choice(WALLS)), size)
    second = wall if rng.random() < 0.6 else textured(rng, str(rng.choice(WALLS)), size)
    w, d = x1 - x0, z1 - z0
    cx, cz = (x0 + x1) / 2, (z0 + z1) / 2
    t = 0.1

    def shell(dims, at, material):
        return Part(box(dims, at), material, casts=False)

    parts = [
        shell((w, t, d), (cx, -t, cz), floor),
        shell((w, t, d), (cx, top, cz), plain(rng, 0.8, 0.03)),
        shell((w, top, t), (cx, 0, z0 - t / 2), wall),
        shell((w, top, t), (cx, 0, z1 + t / 2), second),
        shell((t, top, d), (x0 - t / 2, 0, cz), second),
        shell((t, top, d), (x1 + t / 2, 0, cz), second),
    ]
    trim = plain(rng, rng.choice([0.8, 0.1, 0.4]))
    h = u(0.06, 0.2)
    parts += [Part(box((w, h, 0.03), (cx, 0, z0 + 0.015)), trim, casts=False)]
    parts += [Part(box((0.03, h, d), (x, 0, cz)), trim, casts=False) for x in (x0 + 0.015, x1 - 0.015)]
    if rng.random() < 0.3:
        rail = u(0.8, 1.3)
        parts.append(Part(box((w, 0.05, 0.03), (cx, rail, z0 + 0.015)), trim, casts=False))
    names: list[str] = []
    walls = [((cx, z0), (1, 0), w, 0.0), ((x0, cz), (0, 1), d, np.pi / 2), ((x1, cz), (0, 1), d, -np.pi / 2)]
    bright = 0.0
    for (wx, wz), along, length, yaw in walls:
        for slot in np.linspace(-length / 2, length / 2, max(2, int(length / 1.6)) + 1)[1:-1]:
            what = rng.choice(["none", "picture", "window", "door", "niche"], p=[0.4, 0.35, 0.1, 0.08, 0.07])
            spot = np.array([wx + along[0] * slot, 0, wz + along[1] * slot])
            out = np.array([np.sin(yaw), 0, np.cos(yaw)])
            if what == "picture" and photos:
                parts += furniture.framed(rng, photos[rng.integers(len(photos))], spot + [0, u(1.3, 1.9), 0], yaw, u(0.4, 1.2))
            elif what == "window":
                tall, wide = u(1.0, 2.0), u(0.7, 1.3)
                sky = (
                    photos[rng.integers(len(photos))]
                    if photos and rng.random() < 0.5
                    else np.full((8, 8, 3), [220, 232, 245], np.uint8)
                )
                parts.append(
                    Part(
                        quad(wide, tall, spot + [0, 0.8 + tall / 2, 0] + out * 0.01, yaw),
                        image_material(sky, u(1, 4), True),
                        casts=False,
                    )
                )
                bars = [
                    box((0.06, tall, 0.06), spot + out * 0.03 + np.array([np.cos(yaw), 0, -np.sin(yaw)]) * x + [0, 0.8, 0], yaw)
                    for x in (-wide / 2, 0, wide / 2)
                ]
                bars += [box((wide, 0.06, 0.06), spot + out * 0.03 + [0, y, 0], yaw) for y in (0.8, 0.8 + tall)]
                parts += [Part(b, trim, casts=False) for b in bars]
                bright += 1
            elif what == "door":
                parts.append(
                    Part(
                        box((0.95, 2.1, 0.05), spot + out * 0.02, yaw),
                        textured(rng, "panels", size) if rng.random() < 0.5 else plain(rng),
                        casts=False,
                    )
                )
                parts.append(Part(box((1.15, 2.2, 0.03), spot + out * 0.01, yaw), trim, casts=False))
            elif what == "niche":
                parts.append(
                    Part(
                        box((u(0.5, 1.2), u(0.8, 2), 0.02), spot + out * 0.01 + [0, u(0.3, 1), 0], yaw),
                        plain(rng, 0.04),
                        casts=False,
                    )
                )
            if what != "none":
                names.append(str(what))
    for _ in range(rng.poisson(3.5 * clutter)):
        spot = _free_spot(rng, eye, focus, radius, (x0, x1, z0, z1))
        if spot is None:
            continue
        # A sculpture in the near field would be an object by our rule, so only far ones serve as background.
        far = np.linalg.norm(spot - eye) > 2.0 * np.linalg.norm(focus - eye) + radius
        more, name = furniture.thing(rng, spot, size, others if far else [])
        parts += more
        names.append(name)
    grey = float(np.mean(wall.colour)) * 0.5
    warm = 1 + np.array([0.12, 0, -0.15]) * rng.standard_normal()
    env = studio(rng, [0.55] * 3 * warm, [grey] * 3 * warm, np.full(3, 0.2), int(rng.integers(2, 7) + bright), u(1.5, 8))
    return Surroundings(parts, env, None, 1.0, names)


def _outdoor(rng, eye, focus, radius, others, size) -> Surroundings:
    kind = furniture.ground_kind(rng)
    parts = [Part(box((160, 0.05, 160), (0, -0.05, 0)), textured(rng, kind, size), casts=False)]
    away = (focus - eye)[[0, 2]]
    facing = np.arctan2(away[0], away[1])
    names = [kind]
    for _ in range(rng.integers(2, 9)):
        a, d = facing + rng.uniform(-1, 1), rng.uniform(6, 40)
        at = np.array([eye[0] + np.sin(a) * d, 0, eye[2] + np.cos(a) * d])
        if np.linalg.norm(at - focus) < radius + 3.5:
            continue
        if rng.random() < 0.45 and d > 14:
            parts.append(
                Part(
                    box((rng.uniform(6, 20), rng.uniform(5, 25), 6), at, rng.uniform(0, 3)),
                    textured(rng, "facade" if rng.random() < 0.7 else "brick", size),
                    casts=False,
                )
            )
            names.append("building")
        else:
            h = rng.uniform(1.5, 3.5)
            parts.append(Part(primitive("cylinder", (0.15, h, 0.15), at + [0, h / 2, 0]), plain(rng, 0.08)))
            leaves = textured(rng, "leaves", size, period=1.2)
            parts += [
                Part(
                    primitive(
                        "sphere",
                        rng.uniform(0.8, 1.8) * np.array([1, 0.8, 1]),
                        at + [rng.normal(0, 0.7), h + rng.uniform(0, 1.5), rng.normal(0, 0.7)],
                    ),
                    leaves,
                )
                for _ in range(5)
            ]
            names.append("tree")
    for _ in range(rng.poisson(0.7)):
        spot = _free_spot(rng, eye, focus, radius, (focus[0] - 8, focus[0] + 8, focus[2] - 8, focus[2] + 8))
        if spot is not None:
            parts += furniture.people(rng, spot)
            names.append("person")
    overcast = rng.random()
    zenith = np.array([0.25, 0.45, 0.9]) * (1 - overcast) + 0.8 * overcast
    env = studio(rng, zenith, 0.6 * zenith + 0.4, [0.2, 0.2, 0.17], 0 if overcast > 0.5 else 2, 3)
    return Surroundings(parts, env, None, 1.0, names)


def lamps(rng: np.random.Generator, kind: str, focus: np.ndarray, eye: np.ndarray, reach: float,
          name: str | None = None) -> tuple[list[Lamp], str]:  # fmt: skip
    """Lamps for an object of size `reach` at `focus`: `flat`, `hard`, `several`, `coloured`, `back` or `sun`."""
    given = name
    name = given or ("sun" if kind == "outdoor" else "")
    name = name or str(rng.choice(["flat", "hard", "several", "coloured", "back"], p=[0.25, 0.22, 0.33, 0.1, 0.1]))
    if not given and kind in ("dark", "sweep") and name == "flat" and rng.random() < 0.6:
        name = "hard"
    towards = np.arctan2(*(eye - focus)[[0, 2]])
    count = {"flat": int(rng.integers(0, 2)), "several": int(rng.integers(2, 4)), "coloured": 2}.get(name, 1)
    made = []
    for _ in range(count):
        az = towards + (rng.uniform(2, 4.3) if name == "back" else rng.uniform(-1.5, 1.5))
        el = rng.uniform(0.35, 1.35)
        distance = reach * rng.uniform(2.5, 5) + 0.4
        position = focus + distance * np.array([np.cos(el) * np.sin(az), np.sin(el), np.cos(el) * np.cos(az)])
        warm = 1 + np.array([0.18, 0.02, -0.25]) * rng.normal(0.3, 0.7)
        colour = np.clip(rng.random(3) * 1.4, 0.1, 1.4) if name == "coloured" else np.clip(warm, 0.3, 1.6)
        power = {
            "flat": rng.uniform(0.4, 1.5),
            "hard": rng.uniform(3, 9),
            "back": rng.uniform(2, 7),
            "sun": rng.uniform(0.5, 6),
        }.get(name, rng.uniform(1, 5))
        cone = float(np.arctan2(reach * rng.uniform(0.7, 2.2), distance))
        made.append(
            Lamp(
                position,
                focus + rng.normal(0, 0.1, 3) * reach,
                colour * power,
                cone,
                rng.uniform(0.1, 0.5),
                rng.choice([0.004, 0.01, 0.03]),
                far=name in ("sun", "flat"),
            )
        )
        if name in ("sun", "flat"):
            made[-1].cone, made[-1].edge = max(cone, 0.6), 0.4
    return made, name
