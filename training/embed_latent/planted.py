"""Does the comparison find what was planted? python -m training.embed_latent.planted --draws 100

Made groups where the answer is known: two parents, a child that is 70 % one and 30 % the other, and a stranger. In every draw
the child must come out between its parents and the stranger must not. Sizes are unequal, as in the paper.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import typer
from tqdm import tqdm

from training.embed_latent import comparison

SIZES = {"parent one": 300, "parent two": 120, "child": 80, "stranger": 60}
SHARE = 0.7


def draw(dimensions: int, rng: np.random.Generator, gap: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """(points float [n, dimensions], groups str [n]): parents ``gap`` deviations apart, the stranger as far from both."""
    centres = np.zeros((3, dimensions))
    centres[1, 0], centres[2, :2] = gap, (gap / 2, gap * np.sqrt(3) / 2)
    parents = {"parent one": 0, "parent two": 1, "stranger": 2}
    points, groups = [], []
    for name, size in SIZES.items():
        which = np.full(size, parents[name]) if name in parents else (rng.random(size) > SHARE).astype(int)
        points.append(centres[which] + rng.normal(size=(size, dimensions)))
        groups += [name] * size
    return np.concatenate(points), np.array(groups)


def holds(points: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> bool:
    """The child is between its parents, and the stranger is between no two groups."""
    found = comparison.betweens(points, groups, rng=rng, bootstrap=300)
    child = next(b for b in found if (b.group, b.one, b.other) == ("child", "parent one", "parent two"))
    return child.between and not any(b.between for b in found if b.group == "stranger")


def main(
    draws: Annotated[int, typer.Option(help="how many times")] = 100,
    seed: Annotated[int, typer.Option(help="of all draws")] = 0,
) -> None:
    """Count the draws in which the planted answer is found, in the plane and in 16 dimensions."""
    for dimensions in (2, 16):
        good = sum(
            holds(*draw(dimensions, rng := np.random.default_rng((seed, dimensions, number))), rng)
            for number in tqdm(range(draws), desc=f"{dimensions} dimensions", unit="draw", disable=None)
        )
        typer.echo(f"{dimensions} dimensions: {good} of {draws} draws")


if __name__ == "__main__":
    typer.run(main)
