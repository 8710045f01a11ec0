"""Every number that training turns on, with where it comes from. A configuration is one line: what differs from the cure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

PAPER = "satyarth-aae-figurines"  # the paper, section III.B, whose numbers the `paper` configuration keeps


@dataclass(frozen=True)
class Config:
    """The shipped model. Latents are in the prior's unit (5 = one sigma) everywhere outside the networks."""

    name: str = "aae"
    method: Literal["aae", "wae-mmd", "swae", "vae"] = "aae"
    # The plane and its prior N(0, 5²): the paper's.
    latent: int = 2
    prior_std: float = 5.0
    # Networks work on latent / prior_std, so that no layer has to make or read numbers around 15. False: as in the paper.
    scaled_prior: bool = True

    # --- encoder and decoder
    # "trunk": EfficientNet-Lite0 (ImageNet) and a small head; "dense": the paper's two layers of 1,000 each way.
    encoder: Literal["trunk", "dense"] = "trunk"
    hidden: int = 256
    stochastic: bool = True  # Makhzani et al. 2015, section 2.1: a Gaussian posterior
    noise_floor: float = 0.1  # least posterior deviation, in prior sigmas: neighbours must decode alike
    dropout: float = 0.3
    # Noise on the head's standardised input, and weight decay: without them held-out works lie nearer the middle than those
    # trained on, and the prior fits only the latter.
    jitter: float = 0.3
    decay: float = 1e-2
    side: int = 64  # decoded pictures, pixels; two numbers cannot say more than that
    target: Literal["figure", "photograph"] = "figure"  # figure: on white, centred, so that the plane holds figures, not walls

    # --- what the labels of the groups are used for
    tuned_features: bool = True  # the features' first numbers tell groups apart
    plane_labels: float = 0.6  # weight of the same wish on the plane; 0: the plane never sees a label

    # --- adversary (aae) or divergence (the others)
    discriminator: int = 256
    match: float = 3.0  # weight of the adversary's or divergence's gradient in the encoder
    reconstruct: float = 20.0  # weight of the mean squared error
    r1: float = 0.5  # Mescheder et al. 2018: gradient penalty on draws from the prior
    spectral: bool = False  # Miyato et al. 2018
    instance_noise: float = 0.1  # Sønderby et al. 2017, in prior sigmas, on both kinds of input
    balanced: bool = True  # every group equally often in a batch
    phases: Literal["joint", "paper"] = "joint"  # paper: reconstruction, discriminator, generator, each its own Adam

    # --- optimisation of the plane
    epochs: int = 80
    steps: int = 15  # batches an epoch
    batch: int = 256
    decoded: int = 16  # of each batch; the fit of two numbers to a law needs many points, a picture does not
    rate: float = 1e-3
    rate_discriminator: float = 2e-3  # two time-scales, Heusel et al. 2017
    betas: tuple[float, float] = (0.5, 0.99)
    average: float = 0.995  # of the weights over steps: what is exported (Yazıcı et al. 2019)

    # --- the eye: views and features
    views: int = 12  # random views of each photograph
    replaced: float = 0.6  # share of views on another background
    features: int = 128
    shrink: float = 0.3  # of the covariance within groups, towards the identity
    apart: float = 3.0  # weight of what tells groups apart beside what tells looks, both of unit length

    # --- data
    folds: int = 5
    fold: int = 0
    split_seed: int = 0  # of the split by object, kept apart from the seed of training


CURE = Config()
CONFIGURATIONS = {
    "aae": CURE,
    # The paper as written: every cure undone.
    "paper": replace(
        CURE, name="paper", encoder="dense", hidden=1000, discriminator=1000, stochastic=False, noise_floor=0.0,
        dropout=0.0, jitter=0.0, decay=0.0,
        scaled_prior=False, side=256, target="photograph", tuned_features=False, plane_labels=0.0, r1=0.0, instance_noise=0.0,
        balanced=False, phases="paper", reconstruct=1.0, epochs=200, steps=0, batch=100, decoded=100, rate=1e-3,
        rate_discriminator=1e-3, betas=(0.9, 0.999), average=0.0,
    ),
    # Alternatives for the same wish.
    "wae-mmd": replace(CURE, name="wae-mmd", method="wae-mmd", match=20.0),  # Tolstikhin et al. 2018
    "swae": replace(CURE, name="swae", method="swae", match=20.0),  # Kolouri et al. 2018
    "vae": replace(CURE, name="vae", method="vae", match=0.1),  # Kingma and Welling 2014
    # Without labels anywhere: for the question of influence among the very groups that were trained on.
    "unlabelled": replace(CURE, name="unlabelled", tuned_features=False, plane_labels=0.0),
    "photograph": replace(CURE, name="photograph", target="photograph"),
    # One cure taken away at a time.
    "deterministic": replace(CURE, name="deterministic", stochastic=False, noise_floor=0.0),
    "no-penalty": replace(CURE, name="no-penalty", r1=0.0, instance_noise=0.0),
    "spectral": replace(CURE, name="spectral", r1=0.0, instance_noise=0.0, spectral=True),
    "one-time-scale": replace(CURE, name="one-time-scale", rate_discriminator=1e-3),
    "unbalanced": replace(CURE, name="unbalanced", balanced=False),
    "unscaled": replace(CURE, name="unscaled", scaled_prior=False),
    "no-average": replace(CURE, name="no-average", average=0.0),
}  # fmt: skip
