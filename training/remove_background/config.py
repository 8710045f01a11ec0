"""Every number that the training of the mask model depends on, with its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any


@dataclass(frozen=True)
class Decoder:
    """``skips``: the tensors handed over from the encoder. ``expand`` takes the wide ones inside the blocks and the pixels
    themselves, and begins at 1/16; ``project`` the narrow ones between blocks, and begins at 1/32. ``widths``: channels after
    each of the four up-samplings. ``head``: ``full`` where these end at the input's size (``expand``), ``shuffle`` predicts
    2 x 2 pixels at each place of half of it (sub-pixel convolution, Shi et al. 2016; ``project``).
    """

    skips: str
    widths: tuple[int, int, int, int]
    head: str


@dataclass(frozen=True)
class Config:
    """One training run. The defaults are the shipped model's, chosen by the table in README.md."""

    size: int = 256
    # (first epoch, side) where it begins smaller: most pictures where they are cheap, the last at ``size`` or what is served.
    sizes: tuple[tuple[int, int], ...] = ()
    decoder: Decoder = field(default=Decoder("project", (128, 64, 48, 32), "shuffle"))
    # False: the encoder's batch norms are folded into its convolutions. A third faster on a CPU, and nothing to go wrong with
    # the statistics of batches that mix renders, photographs and empty scenes.
    encoder_norm: bool = False
    # dice: the paper's equation 1; dice+edge: Dice plus cross-entropy, heavier along the silhouette.
    loss: str = "dice+edge"
    optimizer: str = "nadam"
    learning_rate: float = 3e-4
    # Steps of a linear start: without norms a large first step breaks what the encoder knows.
    warmup: int = 200
    # Share of all steps, at the end, in which the rate falls to a hundredth along half a cosine; before, it is steady, so that
    # a run can be made longer from where it began to fall (Hu et al. 2024, MiniCPM, section 4: warm-up, stable, decay).
    decay: float = 0.3
    clip: float = 1.0
    weight_decay: float = 1e-5
    # Average of the weights over about 1 / (1 - ema) steps (Polyak): less noise than any single step's; 0 turns it off.
    ema: float = 0.995
    # Layers up to this one keep the weights they begin with ("": none do): early layers cost most and change least.
    frozen_to: str = ""
    batch: int = 16
    epochs: int = 40
    steps: int = 125
    # Share of each source in a batch; sources that are not given are left out and the rest scaled up.
    mixture: tuple[tuple[str, float], ...] = (
        ("pairs", 0.46),
        ("composed", 0.24),
        ("renders", 0.14),
        ("empty", 0.12),
        ("painted_out", 0.04),
    )
    # Of a picture in a folder masked by hand, where it is not 1.
    weights: tuple[tuple[str, float], ...] = ()
    augment: bool = True
    # Scans that are never trained on, a figure, a bust and an animal; the first two are for the test (split.RULES).
    held_scans: tuple[str, ...] = ("Athena", "Demosthenes", "LionStatue")
    # A photograph whose teacher doubts more than this (see data.doubt) teaches nothing.
    doubt: float = 0.6
    # Share of renders without an object (and of all, where no scan is held) set aside for development.
    held_share: float = 0.15


def from_json(facts: Mapping[str, Any]) -> Config:
    """The configuration as it was before it was written to JSON; what else ``facts`` holds is left alone."""
    known = {entry.name: facts[entry.name] for entry in fields(Config) if entry.name in facts}
    skips, widths, head = (facts["decoder"][key] for key in ("skips", "widths", "head"))
    lists = {key: tuple(map(tuple, known[key])) for key in ("sizes", "mixture", "weights") if key in known}
    held = tuple(known["held_scans"])
    return Config(**{**known, **lists, "held_scans": held, "decoder": Decoder(skips, tuple(widths), head)})


def at(config: Config, epoch: int) -> Config:
    """The configuration with the size that this epoch has."""
    sides = [side for first, side in config.sizes if first <= epoch]
    return replace(config, size=sides[-1]) if sides else config


CONFIGURATIONS = {
    "shipped": Config(),
    # Bici et al. 2023, section 2: 256 x 256, 85/15, batch 32, Nadam, Dice loss with its +1, up to 500 epochs with the best
    # kept. Table 1's counts of layers (36 convolutions, 13 depthwise, 48 batch norms, 27 ReLUs, four up-samplings and four
    # concatenations) leave one shape: MobileNetV2 up to the expansion of its block 13, and four levels of two convolutions that
    # take the expansions of blocks 6, 3 and 1 and the pixels. The paper names neither the learning rate (Keras' default for
    # Nadam) nor the decoder's widths (those customary in published U-Nets of this shape) nor any augmentation.
    "paper": Config(
        decoder=Decoder("expand", (64, 48, 32, 16), "full"),
        encoder_norm=True,
        loss="dice",
        learning_rate=1e-3,
        warmup=0,
        decay=0.0,
        clip=0.0,
        weight_decay=0.0,
        ema=0.0,
        batch=32,
        epochs=500,
        steps=0,
        augment=False,
        held_scans=(),
    ),
}
