"""Held-out scans set into real scenes that no training saw.

    python -m training.remove_background.split data/scenes_empty --side test --out TEST_SCENES
    python -m training.render photos --scans data/sculpture_scans --scan Athena --scan Demosthenes --backgrounds TEST_SCENES \\
      --out TEST_RENDERS --count 100 --seed 15 --size 512 --empty 0
    python -m training.remove_background.streets --renders TEST_RENDERS --scenes data/scenes_empty --side test --seed 15 \\
      --out STREETS

Rendered surroundings are still rendered; here everything but the statue was in front of a camera. Light, shadow and softness
are matched as in training (augment.compose). Writes ``images/`` and ``masks/``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image
from tqdm import tqdm

from services.common import images
from training.common import photographs, runs
from training.remove_background import augment, data, sources, split

# Of the renders' squares, and of the longer side of a scene.
SIDE, LONGEST = 512, 512


def main(
    renders: Annotated[Path, typer.Option(exists=True, file_okay=False, help="of training.render photos")],
    scenes: Annotated[Path, typer.Option(exists=True, file_okay=False, help="scenes without an object")],
    out: Annotated[Path, typer.Option(help="gets images/ and masks/")],
    side: Annotated[split.Side, typer.Option(help="whose scans and scenes")] = split.Side.TEST,
    count: Annotated[int, typer.Option(min=1)] = 60,
    seed: int = 0,
) -> None:
    """One object in each picture, scenes and objects in turn."""
    try:
        every = sources.renders(renders, SIDE)
        ours = every.only(
            lambda _, scan: bool(scan) and all(split.side("sculpture_scans", one) is side for one in scan.split("+"))
        )
        objects = [data.cut_out(*pair) for pair in zip(ours.pixels, ours.masks, strict=True)]
        donors = [cut for cut in objects if cut is not None]
        group = split.groups(scenes)
        places = [path for path in photographs.find(scenes) if split.side(scenes.name, group(path.stem)) is side]
        if not donors or not places:
            raise sources.DataError(f"{len(donors)} objects and {len(places)} scenes are on the side {side}")
    except sources.DataError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    rng = np.random.default_rng(seed)
    order, turns = rng.permutation(len(places)), rng.permutation(len(donors))
    for i in tqdm(range(count), unit="picture", disable=None):
        place = places[order[i % len(places)]]
        scene = images.decode(place.read_bytes(), images.Limits(), images.Frame.DISPLAY).pixels
        scale = LONGEST / max(scene.shape[:2])
        scene = np.asarray(Image.fromarray(scene).resize([round(length * scale) for length in scene.shape[1::-1]]))
        pixels, mask = augment.compose(scene, [donors[turns[i % len(donors)]]], np.random.default_rng([seed, i]))
        for kind, array in (("masks", mask), ("images", pixels)):
            with runs.whole(out / kind / f"{i:03d}_{place.stem}.png") as temporary:
                Image.fromarray(array).save(temporary)
    typer.echo(f"{count} pictures in {out}: {len(donors)} objects of {len(set(ours.groups))} scans, {len(places)} scenes")


if __name__ == "__main__":
    typer.run(main)
