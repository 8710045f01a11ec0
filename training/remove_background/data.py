"""What a training run sees: sources by name, what of each is for development, batches that depend on seed and epoch alone."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from training.remove_background import augment, sources, split
from training.remove_background.config import Config
from training.remove_background.lineage import Names
from training.remove_background.sources import DataError, Source
from training.remove_background.split import Side

# Objects that fill more of their photograph than this leave too little to paint them over with.
PAINTED_SHARE = 0.15


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
    backgrounds: tuple[Path, ...] = ()
    never: tuple[str, ...] = ()


@dataclass(frozen=True)
class Donor:
    """An object to set into scenes, uint8 RGBA [h, w, 4], and the name of its picture."""

    pixels: np.ndarray
    name: str


@dataclass
class Data:
    """``train`` and ``held``: source by name, ``held`` for development; ``donors``: objects to compose with scenes.

    ``pairs``: which of ``train`` are masked by hand. ``seen`` and ``chosen_on``: names by folder, for the run's lineage.
    """

    train: dict[str, Source]
    held: dict[str, Source]
    donors: list[Donor] = field(default_factory=list)
    pairs: tuple[str, ...] = ()
    seen: Names = field(default_factory=dict)
    chosen_on: Names = field(default_factory=dict)


def load(folders: Folders, config: Config, cache: Path | None = None) -> Data:
    """Read everything and keep what is for training and for development, as :mod:`split` says. Near duplicates of anything
    for development or the test are not trained on.

    Raises :class:`DataError` when nothing to train on is left, or two folders have one name.
    """
    data = Data({}, {})
    sides: dict[str, dict[Side, Source]] = {}
    group = {folder.name: split.groups(folder) for folder in (*folders.pairs, *folders.backgrounds)}
    named = [*folders.pairs, *folders.backgrounds]
    if len({folder.name for folder in named}) < len(named):
        raise DataError(f"two folders have one name: {', '.join(map(str, named))}")
    for folder in folders.pairs:
        sides[folder.name] = _sides(sources.pairs(folder, cache=cache), folder)
    for folder in folders.backgrounds:
        sides[folder.name] = _sides(sources.empty(folder, cache=cache), folder)
    if folders.photographs:
        every = sources.pairs(folders.photographs, cache=cache)
        sure = {name for name, mask in zip(every.names, every.masks, strict=True) if doubt(mask) <= config.doubt}
        every = every.only(lambda name, _: name in sure and not any(stem in name for stem in folders.never))
        sides["photographs"] = _sides(every, folders.photographs)
    reserved = [
        split.fingerprint(pixels)
        for each in sides.values()
        for side in (Side.TEST, Side.DEVELOPMENT)
        for pixels in each[side].pixels
    ]
    for name, each in sides.items():
        far = split.apart(map(split.fingerprint, each[Side.TRAIN].pixels), reserved)
        clear = {stem for stem, keep in zip(each[Side.TRAIN].names, far, strict=True) if keep}
        data.train[name] = each[Side.TRAIN].only(lambda stem, _, clear=clear: stem in clear)
        data.held[name] = each[Side.DEVELOPMENT]
        for kept, names in ((data.train, data.seen), (data.held, data.chosen_on)):
            names[name] = sorted({group.get(name, str)(stem) for stem in kept[name].names})
    empties = [folder.name for folder in folders.backgrounds]
    scenes = [[kept.pop(name) for name in empties] for kept in (data.train, data.held)]
    if folders.renders:
        _renders(data, scenes, folders.renders, config, cache)
    data.pairs = tuple(folder.name for folder in folders.pairs if len(data.train[folder.name]))
    if scenes[0]:
        data.train["empty"], data.held["empty"] = map(sources.join, scenes)
    data.train = {name: source for name, source in data.train.items() if len(source)}
    data.held = {name: source for name, source in data.held.items() if len(source)}
    if not set(data.train) - {"empty"}:
        raise DataError("nothing to train on: give --renders, --photographs or --pairs")
    if folders.cutouts:
        data.donors += [Donor(pixels, f"cutout{i}") for i, pixels in enumerate(sources.cutouts(folders.cutouts))]
        data.seen[folders.cutouts.name] = ["*"]
    for name in (*data.pairs, "photographs", "renders"):
        if name in data.train:
            source = data.train[name]
            for pixels, mask, stem in zip(source.pixels, source.masks, source.names, strict=True):
                if (donor := cut_out(pixels, mask)) is not None:
                    data.donors.append(Donor(donor, stem))
    if any(name == "painted_out" for name, _ in config.mixture):
        painted = [sources.painted_out(data.train[name], PAINTED_SHARE, cache) for name in data.pairs]
        if any(map(len, painted)):
            data.train["painted_out"] = sources.join(painted)
    return data


def _sides(every: Source, folder: Path) -> dict[Side, Source]:
    group = split.groups(folder)
    return {side: every.only(lambda stem, _, side=side: split.side(folder.name, group(stem)) is side) for side in Side}


def _renders(data: Data, scenes: list[list[Source]], folder: Path, config: Config, cache: Path | None) -> None:
    """Renders by scan: those held are not trained on, and of these the scans for development are scored."""
    every = sources.renders(folder, cache=cache)
    bare, every = every.only(lambda _, scan: scan == ""), every.only(lambda _, scan: scan != "")
    shares = [
        bare.only(lambda name, _, aside=aside: (split.share(name) < config.held_share) is aside) for aside in (False, True)
    ]
    for kept, more in zip(scenes, shares, strict=True):
        kept.append(more)
    if apart := set(config.held_scans):
        data.train["renders"] = every.only(lambda _, scan: not apart & set(scan.split("+")))
        # Scenes that mix held and trained scans belong to neither side.
        chosen = {scan for scan in apart if split.side("sculpture_scans", scan) is not Side.TEST}
        data.held["renders"] = every.only(lambda _, scan: set(scan.split("+")) <= chosen)
    else:
        aside = {name for name in every.names if split.share(name) < config.held_share}
        data.train["renders"], data.held["renders"] = (
            every.only(lambda name, _, side=side: (name in aside) is side) for side in (False, True)
        )
    for names, kept in ((data.seen, data.train), (data.chosen_on, data.held)):
        names["sculpture_scans"] = sorted({scan for group in kept["renders"].groups for scan in group.split("+")})


def shares(data: Data, config: Config) -> dict[str, float]:
    """Which share of the draws each source has, by the configured mixture; those that are not there leave theirs to the rest.

    ``pairs`` is every folder masked by hand: a picture counts as much as its folder's weight says, 1 where it says nothing.
    """
    weights = dict(config.weights)
    found: dict[str, float] = {}
    for name, share in config.mixture:
        if name in data.train or (name == "composed" and data.donors and "empty" in data.train):
            found[name] = share
        elif name == "pairs" and data.pairs:
            parts = {folder: weights.get(folder, 1.0) * len(data.train[folder]) for folder in data.pairs}
            found |= {folder: share * part / sum(parts.values()) for folder, part in parts.items()}
    return {name: share / sum(found.values()) for name, share in found.items()}


def batches(data: Data, config: Config, seed: int, epoch: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """One epoch of (uint8 [batch, size, size, 3], float32 [batch, size, size, 1] from 0 to 1).

    The next batch is made while the last one is learnt. No picture is twice in a batch, as itself, as a donor or painted over.
    """
    rng = np.random.default_rng([seed, epoch])
    if not config.augment:
        yield from _plain(data, config, rng)
        return
    names, chances = (list(part) for part in zip(*shares(data, config).items(), strict=True))

    def batch() -> tuple[np.ndarray, np.ndarray]:
        used: set[str] = set()
        drawn = [example(data, names[rng.choice(len(names), p=chances)], config.size, rng, used) for _ in range(config.batch)]
        masks = np.stack([mask for _, mask in drawn])[..., None].astype(np.float32) / 255
        return np.stack([pixels for pixels, _ in drawn]), masks

    with ThreadPoolExecutor(1) as ahead:
        following = ahead.submit(batch)
        for step in range(config.steps):
            ready = following.result()
            if step + 1 < config.steps:
                following = ahead.submit(batch)
            yield ready


def example(data: Data, kind: str, side: int, rng: np.random.Generator, used: set[str]) -> tuple[np.ndarray, np.ndarray]:
    """One augmented picture uint8 [side, side, 3] and mask uint8 [side, side] of a source, or ``composed``; its name goes into
    ``used``, and names there are not drawn again while there are others."""
    if kind != "composed":
        source = data.train[kind]
        pick = _unused(source.names, rng, used)
        return augment.augment(source.pixels[pick], source.masks[pick], side, rng)
    scenes = data.train["empty"]
    scene = _unused(scenes.names, rng, used)
    background, _ = augment.frame(scenes.pixels[scene], np.zeros(scenes.masks.shape[1:], np.uint8), sources.SIDE, rng)
    donors = [donor.name for donor in data.donors]
    picks = [_unused(donors, rng, used) for _ in range(1 if rng.random() < 0.8 else 2)]
    pixels, mask = augment.compose(background, [data.donors[pick].pixels for pick in picks], rng)
    return augment.augment(pixels, mask, side, rng)


def _unused(names: tuple[str, ...] | list[str], rng: np.random.Generator, used: set[str]) -> int:
    pick = int(rng.integers(len(names)))
    for _ in range(20):
        if names[pick] not in used:
            break
        pick = int(rng.integers(len(names)))
    used.add(names[pick])
    return pick


def doubt(mask: np.ndarray) -> float:
    """Area that is neither surely object nor surely background, for each pixel of object; a hair-thin edge has little doubt."""
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


def cut_out(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray | None:
    """The object of a photograph as RGBA, if its mask is sure of itself and cut off nowhere but below."""
    solid = mask > 127
    if not 0.04 < solid.mean() < 0.8 or solid[0].any() or solid[:, 0].any() or solid[:, -1].any():
        return None
    if doubt(mask) > 0.12:
        return None
    ys, xs = np.nonzero(mask > 12)
    here = (slice(ys.min(), ys.max() + 1), slice(xs.min(), xs.max() + 1))
    return np.dstack([pixels[here], mask[here]])
