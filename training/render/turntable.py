"""A set of views of one scan in one furnished room, with known cameras: what photogrammetry is tested on.

Nothing moves but the camera: two rings of it (`walk`: eye height and above) or one (`ring`), each view aimed at the object
with a little unsteadiness, one lens for all. Textures are large, since features must be found on 12 MP photographs.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
from tqdm import tqdm

from training.render import furniture, output, post, rooms
from training.render.camera import Camera, look_at
from training.render.forms import scan_subject
from training.render.materials import sculpture_material
from training.render.meshes import Part, scan_paths
from training.render.scenes import photographs
from training.render.shade import Renderer, Scene


def stage(rng: np.random.Generator, path: Path, backgrounds: Path | None, material: str, height: float,
          texture_size: int) -> tuple[Scene, np.ndarray, float, Part]:  # fmt: skip
    """Room, plinth, lamps and the scan of `height` metres; also the point to look at, the ring's radius, and the object."""
    subject = scan_subject(path)
    base = float(np.clip(1.35 - 0.6 * height, 0.05, 1.1))
    mesh = subject.meshes[0].placed(height, 0.0, (0, base, 0))
    w, d = np.ptp(mesh.v[:, 0]), np.ptp(mesh.v[:, 2])
    statue = Part(mesh, sculpture_material(rng, material), is_object=True)
    plinth = Part(furniture.box((w + 0.1, base - 1e-3, d + 0.1)), furniture.textured(rng, "concrete", texture_size))
    reach = float(np.linalg.norm(np.ptp(mesh.v, 0))) / 2
    focus, radius = np.array([0, base + height / 2, 0]), reach * 2.9
    photos = photographs(backgrounds)
    # A room with the ring of cameras inside: built as if the ring were the object, so that it stays clear.
    around = rooms.build(
        "room",
        rng,
        np.array([0, 1.6, radius + 0.6]),
        np.array([0, focus[1], 0]),
        radius + 0.5,
        photos,
        [],
        texture_size,
        clutter=5.0,
    )
    lamps, _ = rooms.lamps(rng, "room", focus, np.array([0, 1.6, radius]), reach, "several")
    return Scene([statue, plinth, *around.parts], lamps, around.environment, None, 0.9), focus, radius, statue


def cameras(
    rng: np.random.Generator, focus: np.ndarray, radius: float, views: int, width: int, height: int, path: str
) -> list[Camera]:
    """`views` cameras around `focus`; vertical field chosen so that the object fills most of the frame."""
    rings = [0.05] if path == "ring" else [0.05, 0.5]
    focal = 1.15 * min(width, height)
    made = []
    for i in range(views):
        ring = i * len(rings) // views
        per = views / len(rings)
        az = 2 * np.pi * ((i % per) / per) + 0.1 * ring + (0 if path == "ring" else rng.normal(0, 0.02))
        el = rings[ring] + (0 if path == "ring" else rng.normal(0, 0.03))
        r = radius * (1 if path == "ring" else rng.uniform(0.92, 1.08))
        eye = focus + r * np.array([np.cos(el) * np.sin(az), np.sin(el), np.cos(el) * np.cos(az)])
        wobble = np.zeros(3) if path == "ring" else rng.normal(0, 0.03, 3) * radius
        made.append(look_at(eye, focus + wobble, width, height, focal, 0.0 if path == "ring" else float(rng.normal(0, 0.02))))
    return made


def run(scan: Path, out: Path, backgrounds: Path | None, views: int, width: int, height: int, seed: int, material: str,
        tall: float, path: str, texture_size: int, noise: float, quality: int) -> None:  # fmt: skip
    """Write OUT/images, OUT/masks, OUT/cameras.json and OUT/object.ply; finished views are kept."""
    scan_paths(scan.parent, [scan.stem])
    rng = np.random.default_rng([seed, 900])
    scene, focus, radius, statue = stage(rng, scan, backgrounds, material, tall, texture_size)
    views_of = cameras(np.random.default_rng([seed, 901]), focus, radius, views, width, height, path)
    names = [f"view_{i:04d}" for i in range(views)]
    record = {
        "convention": "OpenCV: x right, y down, z forward; X_camera = R X_world + t; pixel centres at .5; metres",
        "scan": scan.stem, "mesh": "object.ply", "seed": seed, "material": material,
        "views": [
            {"file": f"images/{n}.jpg", "mask": f"masks/{n}.png", **c.as_dict()}
            for n, c in zip(names, views_of, strict=True)
        ],
    }  # fmt: skip
    output.write(out / "cameras.json", json.dumps(record, indent=1).encode())
    buffer = io.BytesIO()
    statue.mesh.to_trimesh().export(buffer, file_type="ply")
    output.write(out / "object.ply", buffer.getvalue())
    if all((out / v[k]).exists() for v in record["views"] for k in ("file", "mask")):
        return
    renderer = Renderer()
    renderer.load(scene, shadow_size=int(np.clip(width, 512, 2048)))
    gain: float | None = None
    for i, (camera, view) in enumerate(tqdm(list(zip(views_of, record["views"], strict=True)), desc="turntable", unit="img")):
        if (out / view["file"]).exists() and (out / view["mask"]).exists():
            continue
        if gain is None:  # one exposure for the set, metered on a small first view
            small = Camera(np.diag([0.1, 0.1, 1]) @ views_of[0].K, views_of[0].R, views_of[0].t, width // 10, height // 10)
            probe = renderer.render(small)
            metered = post.expose(probe.light, probe.coverage, 0.0, 0.5)
            gain = float(metered.mean() / probe.light.mean())
        picture = renderer.render(camera)
        grain = np.random.default_rng([seed, 902, i])
        image = post.tone(picture.light * np.float32(gain))
        if noise > 0:
            image = image + grain.standard_normal(image.shape, dtype=np.float32) * np.float32(noise)
        image = (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
        output.write(out / view["file"], post.jpeg(image, quality))
        output.write(out / view["mask"], post.png(np.where(picture.coverage >= 0.5, 255, 0).astype(np.uint8)))
