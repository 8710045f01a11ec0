"""Commands: `python -m training.render photos|types|turntable --help`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer
from tqdm import tqdm

from training.render import output, post, scenes
from training.render.meshes import scan_paths
from training.render.shade import Renderer

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)
Scans = Annotated[Path, typer.Option(help="Folder of GLB scans, +Y up.")]
Backgrounds = Annotated[Optional[Path], typer.Option(help="Folder of background photographs; none: procedural only.")]
Out = Annotated[Path, typer.Option(help="Output folder; finished files in it are kept.")]
Seed = Annotated[int, typer.Option(help="Picture i depends on (seed, i) only.")]


@app.callback()
def main() -> None:
    """Render photographs of sculptures with exact masks."""


@app.command()
def photos(
    scans: Scans,
    out: Out,
    count: Annotated[int, typer.Option(min=1)],
    backgrounds: Backgrounds = None,
    seed: Seed = 0,
    size: Annotated[int, typer.Option(min=64, max=1024, help="Side in pixels.")] = 512,
    scan: Annotated[Optional[list[str]], typer.Option(help="Only these scans (repeat).")] = None,
    empty: Annotated[float, typer.Option(min=0, max=1, help="Share of scenes without an object.")] = 0.1,
) -> None:
    """Photographs with exact masks: OUT/images/*.jpg, OUT/masks/*.png, OUT/index.csv."""
    paths, pictures = scan_paths(scans, scan), scenes.photographs(backgrounds)
    renderer = Renderer()
    index = output.Index(out)
    for i in tqdm(range(count), desc="photos", unit="img"):
        stem = f"{seed:03d}_{i:06d}"
        files = {"file": f"images/{stem}.jpg", "mask": f"masks/{stem}.png"}
        if index.has(files):
            continue
        shot = scenes.photo(renderer, seed, i, paths, pictures, size, empty)
        output.write(out / files["file"], post.jpeg(shot.image, shot.quality))
        output.write(out / files["mask"], post.png(shot.mask))
        index.add({**files, **shot.row, "seed": seed, "i": i, "size": size})
    index.close()
