"""What a training draw costs, by the pictures' side and the precision.

    python -m benchmarks.draws --size 192 --size 256 --size 320 --policy float32 --policy mixed_bfloat16

Draws a second of ``training.remove_background`` on made-up pictures, the first two batches of each size left out: pictures are
made in another thread while the network learns, and take a few milliseconds of it.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Annotated

import numpy as np
import typer

from training.remove_background import train
from training.remove_background.config import Config


def main(
    size: Annotated[list[int], typer.Option(min=64, help="side in pixels; may be repeated")],
    policy: Annotated[list[str] | None, typer.Option(help="Keras' precision; may be repeated")] = None,
    frozen_to: Annotated[str, typer.Option(help="layers up to this one keep their weights")] = "",
    batches: Annotated[int, typer.Option(min=1)] = 4,
    threads: Annotated[int, typer.Option(min=1)] = 2,
) -> None:
    """Print a Markdown table."""
    train.set_threads(threads)
    rng = np.random.default_rng(0)
    typer.echo("| precision | side | draws/s |\n|---|---|---|")
    for name in policy or ["float32"]:
        train.keras.mixed_precision.set_global_policy(name)
        for side in size:
            config = replace(Config(), size=side, frozen_to=frozen_to)
            trainer = train.Trainer(config, 1000)
            pixels = rng.integers(0, 255, (config.batch, side, side, 3), np.uint8)
            masks = rng.integers(0, 2, (config.batch, side, side, 1)).astype(np.float32)
            for _ in range(2):
                trainer.step(pixels, masks)
            began = time.monotonic()
            for _ in range(batches):
                trainer.step(pixels, masks)
            typer.echo(f"| {name} | {side} | {config.batch * batches / (time.monotonic() - began):.1f} |")


if __name__ == "__main__":
    typer.run(main)
