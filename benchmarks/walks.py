"""Photographs of one scan on a plinth, walked around in a ring of real street scenes, with exact masks.

    python -m benchmarks.walks --scan data/sculpture_scans/Athena.glb --scenes data/scenes_empty --side test --seed 1 --out WALK

Nothing moves but the camera. The plinth is of the statue's own material and no part of the object. The street is photographs
without an object, of one side of the split, that stand around the place as a wall; every other one is mirrored, so that they
meet without a seam where two are of one picture. Writes ``images/`` and ``masks/``; finished views are kept.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image

from training.common import photographs
from training.remove_background import split
from training.render import furniture, output, post
from training.render.forms import scan_subject
from training.render.lighting import from_photo
from training.render.materials import sculpture_material
from training.render.meshes import Part, box
from training.render.rooms import lamps, linear
from training.render.shade import Renderer, Scene
from training.render.turntable import cameras

# Panels of the wall, two for each photograph; its distance in radii of the walk.
PANELS, DISTANCE = 8, 1.7
HEIGHT = 0.95  # of a panel, in its widths
TALL = 1.8  # of the statue, metres
PLINTH = 0.9  # metres


def main(
    scan: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="one GLB file")],
    scenes: Annotated[Path, typer.Option(exists=True, file_okay=False, help="scenes without an object")],
    out: Annotated[Path, typer.Option(help="gets images/ and masks/")],
    side: Annotated[split.Side, typer.Option(help="whose scan and scenes")] = split.Side.TEST,
    material: Annotated[str, typer.Option(help="of statue and plinth")] = "dark_bronze",
    views: Annotated[int, typer.Option(min=2)] = 20,
    width: Annotated[int, typer.Option(min=64, help="pixels")] = 640,
    seed: int = 0,
) -> None:
    """Render the views of one walk."""
    if split.side("sculpture_scans", scan.stem) is not side:
        raise typer.BadParameter(f"{scan.stem} is not on the side {side}")
    rng = np.random.default_rng([seed, 14])
    scene, focus, radius = stage(rng, scan, _streets(rng, scenes, side), material)
    shots = cameras(rng, focus, radius, views, width, width * 3 // 4, "walk")
    renderer = Renderer()
    renderer.load(scene, shadow_size=width)
    for i, camera in enumerate(shots):
        image, mask = out / f"images/view_{i:04d}.jpg", out / f"masks/view_{i:04d}.png"
        if image.exists() and mask.exists():
            continue
        shot = renderer.render(camera)
        gain = 0.5 / max(float(np.quantile(shot.light, 0.8)), 1e-3)
        noise = np.random.default_rng([seed, i]).standard_normal(shot.light.shape, dtype=np.float32) * np.float32(0.008)
        pixels = (np.clip(post.tone(shot.light * np.float32(gain)) + noise, 0, 1) * 255 + 0.5).astype(np.uint8)
        output.write(image, post.jpeg(pixels, 90))
        output.write(mask, post.png(np.where(shot.coverage >= 0.5, 255, 0).astype(np.uint8)))
    typer.echo(f"{views} views of {scan.stem} in {out}")


def stage(rng: np.random.Generator, scan: Path, streets: list[np.ndarray], material: str) -> tuple[Scene, np.ndarray, float]:
    """The scene, the point to look at, and the radius of the walk."""
    mesh = scan_subject(scan).meshes[0].placed(TALL, 0.0, (0, PLINTH, 0))
    wide, _, deep = np.ptp(mesh.v, 0)
    stuff = sculpture_material(rng, material)
    statue = Part(mesh, stuff, is_object=True)
    block = Part(box((wide * 1.15, PLINTH - 1e-3, deep * 1.15)), stuff)
    step = Part(box((wide * 1.5, 0.18, deep * 1.5)), stuff)
    reach = float(np.linalg.norm(np.ptp(mesh.v, 0))) / 2
    focus, radius = np.array([0, (PLINTH + TALL) * 0.55, 0]), reach * rng.uniform(3.6, 4.4)
    ground = Part(box((200, 0.05, 200), (0, -0.05, 0)), furniture.textured(rng, furniture.ground_kind(rng), 1024), casts=False)
    far = DISTANCE * radius
    panel = 2 * far * np.tan(np.pi / PANELS)
    walls = []
    for i in range(PANELS):
        photo, turn = streets[i // 2], 2 * np.pi * i / PANELS
        centre = np.array([far * np.sin(turn), HEIGHT * panel * 0.42, far * np.cos(turn)])
        facing = furniture.quad(panel * 1.001, HEIGHT * panel, centre, turn + np.pi)
        walls.append(Part(facing, furniture.image_material(photo[:, ::-1] if i % 2 else photo, 1.0, True), casts=False))
    lights, _ = lamps(rng, "outdoor", focus, np.array([0, 1.6, radius]), reach, "sun")
    sky = np.full((2, 2, 3), linear(streets[0][:8]).mean((0, 1)), np.float32)
    return Scene([statue, block, step, ground, *walls], lights, from_photo(streets[0], 1.2), sky, 1.0), focus, radius


def _streets(rng: np.random.Generator, scenes: Path, side: split.Side) -> list[np.ndarray]:
    group = split.groups(scenes)
    places = [path for path in photographs.find(scenes) if split.side(scenes.name, group(path.stem)) is side]
    chosen = rng.choice(len(places), PANELS // 2, replace=False)
    return [np.asarray(Image.open(places[i]).convert("RGB")) for i in chosen]


if __name__ == "__main__":
    typer.run(main)
