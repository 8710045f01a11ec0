"""Commands: `python -m training.render photos|people|types|turntable --help`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from training.render import output, post, scenes, turntable
from training.render.forms import TYPES
from training.render.materials import SCULPTURE_MATERIALS
from training.render.meshes import scan_paths
from training.render.shade import Renderer

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)
Scans = Annotated[Path, typer.Option(help="Folder of GLB scans, +Y up.")]
Backgrounds = Annotated[Path | None, typer.Option(help="Folder of background photographs; none: procedural only.")]
Out = Annotated[Path, typer.Option(help="Output folder; finished files in it are kept.")]
Seed = Annotated[int, typer.Option(help="Picture i depends on (seed, i) only.")]


@app.command()
def photos(
    scans: Scans,
    out: Out,
    count: Annotated[int, typer.Option(min=1)],
    backgrounds: Backgrounds = None,
    seed: Seed = 0,
    size: Annotated[int, typer.Option(min=64, max=1024, help="Side in pixels.")] = 512,
    scan: Annotated[list[str] | None, typer.Option(help="Only these scans (repeat).")] = None,
    empty: Annotated[float, typer.Option(min=0, max=1, help="Share of scenes without an object.")] = 0.1,
) -> None:
    """Photographs with exact masks: OUT/images/*.jpg, OUT/masks/*.png, OUT/index.csv."""
    paths, pictures = scan_paths(scans, scan), scenes.photographs(backgrounds)
    renderer = Renderer()
    _photographs(out, count, seed, size, lambda i: scenes.photo(renderer, seed, i, paths, pictures, size, empty))


@app.command()
def people(
    out: Out,
    count: Annotated[int, typer.Option(min=1)],
    backgrounds: Backgrounds = None,
    seed: Seed = 0,
    size: Annotated[int, typer.Option(min=64, max=1024, help="Side in pixels.")] = 512,
) -> None:
    """Photographs of people, who are the object here and nowhere else: the files of `photos`."""
    pictures = scenes.photographs(backgrounds)
    renderer = Renderer()
    _photographs(out, count, seed, size, lambda i: scenes.person(renderer, seed, i, pictures, size))


def _photographs(out: Path, count: int, seed: int, size: int, shoot: Callable[[int], scenes.Shot]) -> None:
    """Write images/, masks/ and index.csv, but for what is there already."""
    index = output.Index(out)
    for i in tqdm(range(count), desc="photos", unit="img"):
        stem = f"{seed:03d}_{i:06d}"
        files = {"file": f"images/{stem}.jpg", "mask": f"masks/{stem}.png"}
        if index.has(files):
            continue
        shot = shoot(i)
        output.write(out / files["file"], post.jpeg(shot.image, shot.quality))
        output.write(out / files["mask"], post.png(shot.mask))
        index.add({**files, **shot.row, "seed": seed, "i": i, "size": size})
    index.close()


@app.command()
def types(
    scans: Scans,
    out: Out,
    per_class: Annotated[int, typer.Option(min=1)],
    backgrounds: Backgrounds = None,
    seed: Seed = 0,
    size: Annotated[int, typer.Option(min=64, max=1024, help="Side in pixels.")] = 320,
    scan: Annotated[list[str] | None, typer.Option(help="Only these scans (repeat).")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Only these types (repeat).")] = None,
    masks: Annotated[bool, typer.Option(help="Also write masks to OUT/../<name>_masks.")] = False,
) -> None:
    """Photographs of the eight types: OUT/<type>/*.jpg and OUT/index.csv, whose `work` keeps splits disjoint."""
    paths, pictures = scan_paths(scans, scan), scenes.photographs(backgrounds)
    renderer = Renderer()
    index = output.Index(out)
    chosen = [t for t in TYPES if not only or t in only]
    # Type after type within each round, so that an interrupted run is balanced.
    for i, kind in tqdm([(i, t) for i in range(per_class) for t in chosen], desc="types", unit="img"):
        stem = f"{kind}/{seed:03d}_{i:05d}"
        files = {"file": f"{stem}.jpg"}
        if index.has(files):
            continue
        shot = scenes.typed(renderer, seed, kind, i, paths, pictures, size)
        output.write(out / files["file"], post.jpeg(shot.image, shot.quality))
        if masks:
            output.write(out.with_name(f"{out.name}_masks") / f"{stem}.png", post.png(shot.mask))
        index.add({**files, **shot.row, "seed": seed, "i": i, "size": size})
    index.close()


@app.command(name="turntable")
def turntable_(
    scan: Annotated[Path, typer.Option(help="One GLB file.")],
    out: Out,
    views: Annotated[int, typer.Option(min=2)] = 60,
    size: Annotated[int, typer.Option(min=64, help="Width in pixels; 4000 makes 12 MP.")] = 1024,
    aspect: Annotated[float, typer.Option(help="Height / width.")] = 0.75,
    backgrounds: Backgrounds = None,
    seed: Seed = 0,
    material: Annotated[str, typer.Option(help=", ".join(SCULPTURE_MATERIALS))] = "limestone",
    tall: Annotated[float, typer.Option(help="Height of the object in metres.")] = 1.0,
    path: Annotated[str, typer.Option(help="walk: two unsteady rings; ring: one exact ring.")] = "walk",
    texture_size: Annotated[int, typer.Option(help="Pixels of the room's textures (about 2 m).")] = 2048,
    noise: Annotated[float, typer.Option(min=0, max=0.1)] = 0.008,
    quality: Annotated[int, typer.Option(min=30, max=100)] = 92,
) -> None:
    """Views of one scan in a furnished room: OUT/images, OUT/masks, OUT/cameras.json (K, R, t), OUT/object.ply."""
    if path not in ("walk", "ring"):
        raise typer.BadParameter("walk or ring", param_hint="--path")
    turntable.run(
        scan, out, backgrounds, views, size, round(size * aspect), seed, material, tall, path, texture_size, noise, quality
    )
