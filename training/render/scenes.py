"""Random photographs of scans: picture `i` of seed `s` depends on nothing but (s, i), the scans and the backgrounds.

The rule of the mask: the sculptures in the near field are the object, all of them. Everything else is background: floor,
shadows, plinths and tables (furniture made here), people, showcases, vessels, and sculptures at more than twice the
distance of the nearest one. A base that is part of a scan belongs to the scan, so it is object.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from training.render import furniture, post, rooms
from training.render.camera import Camera, look_at
from training.render.forms import HEIGHTS, TYPES, Subject, scan_subject, works
from training.render.forms import person as make_person
from training.render.forms import subject as make_subject
from training.render.materials import LOUD, sculpture_material
from training.render.meshes import Part
from training.render.shade import Glass, Renderer, Scene
from training.render.textures import WALLS

FRAMINGS = ("whole", "crop", "close", "small")
FRAMING_WEIGHTS = (0.55, 0.2, 0.13, 0.12)


@dataclass
class Shot:
    """A finished photograph: `image` uint8[h, w, 3], `mask` uint8[h, w], JPEG `quality` and its row of the index."""

    image: np.ndarray
    mask: np.ndarray
    quality: int
    row: dict[str, object]


@lru_cache(maxsize=4)
def photographs(folder: Path | None) -> list[np.ndarray]:
    """All background photographs below `folder`, uint8[h, w, 3] of at most 640 pixels a side, in name order."""
    if folder is None:
        return []
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp"))
    if not paths:
        raise FileNotFoundError(f"no photographs in {folder}")
    out = []
    for path in paths:
        image = Image.open(path).convert("RGB")
        image.thumbnail((640, 640))
        out.append(np.asarray(image))
    return out


def camera_for(
    rng: np.random.Generator, points: np.ndarray, size: int, framing: str, spread: float = 0.9, gain: float = 1.0
) -> Camera:
    """A random camera on the object whose vertices are `points` float[n, 3]; floor at y = 0.

    `spread` bounds the azimuth (radians), `gain` makes the object larger in the frame."""
    low, high = points.min(0), points.max(0)
    centre, reach = (low + high) / 2, float(np.linalg.norm(high - low)) / 2
    tall = float(high[1] - low[1])
    half = np.radians(rng.uniform(18, 62)) / 2
    fill = {
        "whole": rng.uniform(0.5, 0.95),
        "crop": rng.uniform(1.0, 1.9),
        "close": rng.uniform(2.2, 4.5),
        "small": rng.uniform(0.18, 0.5),
    }[framing] * gain
    distance = max(reach / np.tan(half) / fill, reach * 0.35 + 0.25)
    if framing in ("crop", "close"):
        # Looking at a point of the surface, not into thin air.
        p = points[rng.integers(len(points))]
        centre = centre + (p - centre) * rng.uniform(0.4, 0.9)
        distance = max(distance, reach * 0.9)
    az = rng.uniform(-spread, spread)
    el = np.radians(np.clip(rng.normal(6, 11), -18, 50))
    eye = centre + distance * np.array([np.cos(el) * np.sin(az), np.sin(el), np.cos(el) * np.cos(az)])
    eye[1] = np.clip(eye[1], 0.12, None)
    target = centre + rng.normal(0, 0.12, 3) * [reach, tall * 0.5, 0] * (1 if framing == "whole" else 0.5)
    focal = 0.5 * size / np.tan(half)
    if framing in ("crop", "close"):  # distance was bounded from below, so reach the framing by the lens
        focal = 0.5 * size * fill * np.linalg.norm(eye - centre) / reach
    roll = rng.normal(0, 0.02) if rng.random() < 0.85 else rng.normal(0, 0.15)
    stretch = np.exp(rng.uniform(-0.25, 0.25)) if rng.random() < 0.4 else 1.0
    shift = (rng.uniform(-0.16, 0.16), rng.uniform(-0.12, 0.12)) if framing == "small" else (0.0, 0.0)
    return look_at(eye, target, size, size, float(focal), float(roll), float(stretch), shift)


def place(rng: np.random.Generator, subjects: list[Subject], texture_size: int, material: str | None = None):
    """Stand `subjects` side by side on plinths or the floor; their parts, plinth name and material names."""
    parts: list[Part] = []
    plinths, materials = [], []
    at = 0.0
    small, large = HEIGHTS[subjects[0].type]
    shared = float(np.exp(rng.uniform(np.log(small), np.log(large))))
    same = sculpture_material(rng, material) if rng.random() < 0.3 else None
    stand = rng.random() < (0.75 if shared < 1.3 else 0.35) and subjects[0].type != "installation"
    for subject in subjects:
        height = shared * rng.uniform(0.75, 1.25)
        relief = subject.type == "relief"
        # People photograph faces more often than backs.
        yaw = rng.normal(0, 0.3 if relief else 0.8) if relief or rng.random() < 0.65 else rng.uniform(0, 2 * np.pi)
        turned = np.concatenate([m.placed(height, yaw).v for m in subject.meshes])
        width, depth = np.ptp(turned[:, 0]), np.ptp(turned[:, 2])
        x = 0.0 if len(subjects) == 1 else at + width / 2
        at = x + width / 2 + rng.uniform(0.05, 0.6) * shared
        z = 0.0 if len(subjects) == 1 else rng.normal(0, 0.2 * shared)
        base = 0.0
        if relief and rng.random() < 0.6:  # hung on a wall of its own
            base, yaw = rng.uniform(0.0, 1.4), 0.0
            back = min(float(m.placed(height).v[:, 2].min()) for m in subject.meshes) - 0.05
            wall = furniture.textured(rng, str(rng.choice(WALLS)), texture_size)
            parts.append(Part(furniture.box((9 + width, 5, 0.1), (x, 0, back)), wall, casts=False))
            plinths.append("wall")
        elif stand:
            base = float(np.clip(rng.uniform(0.3, 1.3) - 0.3 * height, 0.08, 1.3))
            made, name = furniture.plinth(
                rng, width * rng.uniform(0.95, 1.8) + 0.02, depth * rng.uniform(0.95, 1.8) + 0.02, base, texture_size
            )
            parts += [Part(p.mesh.placed(1, 0, (x, 0, z)), p.material) for p in made]
            plinths.append(name)
        loud = str(rng.choice(LOUD)) if subject.loud else None
        paint = same or sculpture_material(rng, material or loud)
        for number, mesh in enumerate(subject.meshes):
            if subject.several:
                paint = sculpture_material(rng, material or str(rng.choice(LOUD)))
            elif subject.paints:
                paint = subject.paints[number]
            parts.append(Part(mesh.placed(height, yaw, (x, base + 1e-3, z)), paint, is_object=True))
        materials.append(paint.name)
    return parts, "+".join(plinths) or "none", "+".join(materials)


def shoot(renderer: Renderer, rng: np.random.Generator, subjects: list[Subject], photos: list[np.ndarray],
          others: list[Subject], size: int, empty: bool = False, kind: str | None = None, framing: str | None = None,
          texture_size: int = 512, strength: float = 1.0, material: str | None = None) -> Shot:  # fmt: skip
    """Photograph `subjects` (none of them left in when `empty`) somewhere; `others` may stand far behind."""
    kind = kind or str(rng.choice(rooms.KINDS, p=rooms.KIND_WEIGHTS))
    kind = "room" if kind == "photo" and not photos else kind
    framing = framing or str(rng.choice(FRAMINGS, p=FRAMING_WEIGHTS))
    for _attempt in range(4):
        parts, plinth, material_name = place(rng, subjects, texture_size, material)
        points = np.concatenate([p.mesh.v for p in parts if p.is_object])
        spread = 0.55 if subjects[0].type == "relief" else 0.9
        camera = camera_for(rng, points, size, framing, spread, 1.45 if subjects[0].type == "installation" else 1.0)
        pixel, depth = camera.project(points[:: max(1, len(points) // 500)])
        if ((depth > 0.05) & (np.abs(pixel / size - 0.5) < 0.5).all(1)).any():
            break
    low, high = points.min(0), points.max(0)
    focus, reach = (low + high) / 2, float(np.linalg.norm(high - low)) / 2
    around = rooms.build(kind, rng, camera.centre, focus, reach, photos, [(s.name, s.meshes[0]) for s in others], texture_size)
    lamps, light = rooms.lamps(rng, kind, focus, camera.centre, reach)
    glass = []
    if kind == "room" and framing in ("whole", "small") and rng.random() < 0.08:
        margin = 0.12 + 0.1 * reach
        glass = [Glass((low - margin).astype(np.float32), (high + margin).astype(np.float32))]
        glass[0].low[1] = low[1]
    if empty:
        keep_plinth = rng.random() < 0.4
        parts = [p for p in parts if not p.is_object] if keep_plinth else []
        plinth = plinth if keep_plinth else "none"
    scene = Scene(parts + around.parts, lamps, around.environment, around.sky, around.ambient * rng.uniform(0.35, 1.0), glass)
    if not scene.parts:
        scene.parts = [Part(furniture.box((30, 0.05, 30), (0, -0.05, 0)), furniture.plain(rng), casts=False)]
    renderer.load(scene)
    picture = renderer.render(camera)
    image, mask, done = post.photograph(picture, rng, float(np.linalg.norm(camera.centre - focus)), strength)
    row = {
        "scan": "" if empty else "+".join(s.name for s in subjects),
        "type": "" if empty else subjects[0].type,
        "objects": 0 if empty else len(subjects),
        "material": "" if empty else material_name,
        "light": light,
        "background": kind,
        "plinth": plinth,
        "framing": framing,
        "behind": "+".join(sorted(set(around.names))),
        "glass": int(bool(glass)),
        "effects": "+".join(f"{k}={v}" for k, v in done.items()),
        "coverage": round(float((mask > 0).mean()), 4),
        "focal": round(float(camera.K[0, 0] / size), 3),
    }
    return Shot(image, mask, int(rng.integers(55, 97)), row)


def photo(
    renderer: Renderer, seed: int, i: int, scans: dict[str, Path], photos: list[np.ndarray], size: int, empty: float
) -> Shot:
    """Photograph number `i` of `seed`."""
    rng = np.random.default_rng([seed, i])
    names = sorted(scans)
    count = int(rng.choice([1, 2, 3], p=[0.87, 0.09, 0.04]))
    chosen = [scan_subject(scans[str(n)]) for n in rng.choice(names, min(count, len(names)), replace=False)]
    others = [scan_subject(scans[n]) for n in names if rng.random() < 0.4]
    return shoot(renderer, rng, chosen, photos, others, size, empty=rng.random() < empty)


def person(renderer: Renderer, seed: int, i: int, photos: list[np.ndarray], size: int) -> Shot:
    """Photograph number `i` of a person, who is the object here."""
    rng = np.random.default_rng([seed, 300, i])
    shot = shoot(renderer, rng, [make_person(rng)], photos, [], size)
    shot.row["material"] = "clothes"
    return shot


def typed(renderer: Renderer, seed: int, kind: str, i: int, scans: dict[str, Path], photos: list[np.ndarray], size: int,
          views: int = 5) -> Shot:  # fmt: skip
    """Photograph number `i` of type `kind`; forms made here are seen in `views` photographs each."""
    number = TYPES.index(kind)
    names = works(kind, scans)
    rng = np.random.default_rng([seed, 100 + number, i])
    if names:
        work = names[i % len(names)]
        shape = np.random.default_rng([seed, 200 + number, i])
    else:
        work = f"{kind}_{seed}_{i // views:04d}"
        shape = np.random.default_rng([seed, 200 + number, i // views])
    chosen = make_subject(kind, shape, scans, work)
    where = (0.4, 0.25, 0.18, 0.12, 0.05) if kind in ("geometric_form", "organic_form") else (0.55, 0.08, 0.2, 0.12, 0.05)
    if kind == "installation":
        where = (0.85, 0.08, 0.0, 0.07, 0.0)
    place_kind = str(rng.choice(rooms.KINDS, p=where))
    framing = str(rng.choice(["whole", "crop", "small"], p=[0.82, 0.1, 0.08]))
    others = [scan_subject(scans[n]) for n in sorted(scans) if rng.random() < 0.3]
    shot = shoot(renderer, rng, [chosen], photos, others, size, kind=place_kind, framing=framing)
    shot.row = {"type": kind, "work": work, **shot.row, "scan": work if names else ""}
    return shot
