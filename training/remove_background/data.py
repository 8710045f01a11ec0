"""What a training run sees: the sources by name, what of each is set aside, and batches that depend on seed and epoch alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from training.remove_background import augment, sources
from training.remove_background.config import Config
from training.remove_background.sources import DataError, Source


@dataclass(frozen=True)
class Folders:
    """Where the data are; any may be missing, but not all. All but ``backgrounds`` and ``cutouts`` hold pictures with masks.

    ``renders``: of ``python -m training.render photos``; ``photographs``: labelled by ``teacher``; ``pairs``: masked by hand.
    ``never``: stems of photographs that must not be trained on, because truth about them is evaluated.
    """

    renders: Path | None = None
    photographs: Path | None = None
    pairs: tuple[Path, ...] = ()
    cutouts: Path | None = None
    backgrounds: Path | None = None
    never: tuple[str, ...] = ()


@dataclass
class Data:
    """``train`` and ``held``: source by name; ``donors``: RGBA objects to compose."""

    train: dict[str, Source]
    held: dict[str, Source]
    donors: list[np.ndarray] = field(default_factory=list)


def load(folders: Folders, config: Config, cache: Path | None = None) -> Data:
    """Read everything and set aside: whole scans, and a share of photographs, pairs and empty scenes by the hash of the name.

    Raises :class:`DataError` when nothing to train on is left.
    """
    train: dict[str, Source] = {}
    held: dict[str, Source] = {}
    empties: list[tuple[Source, Source]] = []

    def share(source: Source) -> tuple[Source, Source]:
        aside = {name for name in source.names if sources.held(name, config.held_share)}
        return source.only(lambda name, _: name not in aside), source.only(lambda name, _: name in aside)

    if folders.renders:
        every = sources.renders(folders.renders, cache=cache)
        empties.append(share(every.only(lambda _, scan: scan == "")))
        every = every.only(lambda _, scan: scan != "")
        apart = set(config.held_scans)
        if apart:
            train["renders"] = every.only(lambda _, scan: not apart & set(scan.split("+")))
            # Scenes that mix held and trained scans belong to neither side.
            held["renders"] = every.only(lambda _, scan: set(scan.split("+")) <= apart)
        else:
            train["renders"], held["renders"] = share(every)
    if folders.photographs:
        every = sources.pairs(folders.photographs, cache=cache)
        sure = {name for name, mask in zip(every.names, every.masks, strict=True) if doubt(mask) <= config.doubt}
        every = every.only(lambda name, _: name in sure and not any(stem in name for stem in folders.never))
        train["photographs"], held["photographs"] = share(every)
    for folder in folders.pairs:
        train["pairs"], held[folder.name] = share(sources.pairs(folder, cache=cache))
    if folders.backgrounds:
        empties.append(share(sources.empty(folders.backgrounds, cache=cache)))
    if empties:
        train["empty"], held["empty"] = (sources.join([pair[side] for pair in empties]) for side in (0, 1))
    train = {name: source for name, source in train.items() if len(source)}
    held = {name: source for name, source in held.items() if len(source)}
    if not set(train) - {"empty"}:
        raise DataError("nothing to train on: give --renders, --photographs or --pairs")
    donors = sources.cutouts(folders.cutouts) if folders.cutouts else []
    if "photographs" in train:
        donors += [
            donor
            for pair in zip(train["photographs"].pixels, train["photographs"].masks, strict=True)
            if (donor := _donor(*pair)) is not None
        ]
    return Data(train, held, donors)


def batches(data: Data, config: Config, seed: int, epoch: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """One epoch of (uint8 [batch, size, size, 3], float32 [batch, size, size, 1] from 0 to 1)."""
    rng = np.random.default_rng([seed, epoch])
    if not config.augment:
        yield from _plain(data, config, rng)
        return
    weights = {
        name: share
        for name, share in config.mixture
        if name in data.train or (name == "composed" and data.donors and "empty" in data.train)
    }
    names, shares = list(weights), np.array(list(weights.values()))
    for _ in range(config.steps):
        drawn = [
            example(data, names[rng.choice(len(names), p=shares / shares.sum())], config.size, rng) for _ in range(config.batch)
        ]
        yield (
            np.stack([pixels for pixels, _ in drawn]),
            np.stack([mask for _, mask in drawn])[..., None].astype(np.float32) / 255,
        )


def example(data: Data, kind: str, side: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One augmented picture uint8 [side, side, 3] and mask uint8 [side, side] of a source, or ``composed``."""
    if kind != "composed":
        source = data.train[kind]
        pick = int(rng.integers(len(source)))
        return augment.augment(source.pixels[pick], source.masks[pick], side, rng)
    scenes = data.train["empty"]
    background, _ = augment.frame(
        scenes.pixels[int(rng.integers(len(scenes)))], np.zeros(scenes.masks.shape[1:], np.uint8), sources.SIDE, rng
    )
    count = 1 if rng.random() < 0.8 else 2
    pixels, mask = augment.compose(background, [data.donors[int(rng.integers(len(data.donors)))] for _ in range(count)], rng)
    return augment.augment(pixels, mask, side, rng)


def doubt(mask: np.ndarray) -> float:
    """Pixels of a teacher's mask between 10 and 90 % over those that are object: an edge is a tenth, a guess is all doubt."""
    return float(((mask > 25) & (mask < 230)).sum() / max((mask > 127).sum(), 1))


def _plain(data: Data, config: Config, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Every picture once, shuffled and as it is: the paper's way."""
    size = (config.size, config.size)
    order = [(source, i) for source in data.train.values() for i in range(len(source))]
    rng.shuffle(order)
    for start in range(0, len(order), config.batch):
        part = order[start : start + config.batch]
        yield (
            np.stack([cv2.resize(source.pixels[i], size, interpolation=cv2.INTER_AREA) for source, i in part]),
            np.stack([cv2.resize(source.masks[i], size, interpolation=cv2.INTER_AREA) for source, i in part])[..., None].astype(
                np.float32
            )
            / 255,
        )


def _donor(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray | None:
    """The object of a photograph as RGBA, if its mask is sure of itself and cut off nowhere but below."""
    solid = mask > 127
    if not 0.04 < solid.mean() < 0.8 or solid[0].any() or solid[:, 0].any() or solid[:, -1].any():
        return None
    if doubt(mask) > 0.12:
        return None
    ys, xs = np.nonzero(mask > 12)
    here = (slice(ys.min(), ys.max() + 1), slice(xs.min(), xs.max() + 1))
    return np.dstack([pixels[here], mask[here]])
