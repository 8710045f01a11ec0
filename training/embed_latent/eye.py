"""The wider features: what the frozen trunk tells, as numbers that tell the groups apart and numbers that tell how it looks.

All is in closed form, so it takes seconds once the trunk has answered; those answers to every view are kept for all runs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from training.common import runs
from training.embed_latent import augment
from training.embed_latent.config import Config
from training.embed_latent.data import Works
from training.embed_latent.trunk import Trunk

WIDE = Trunk.WIDTH + Trunk.TEXTURE


class TrainingError(Exception):
    """Training cannot go on; the message says what to do, and the last checkpoint stands."""


class Eye(nn.Module):
    """What :meth:`Trunk.lower` answers -> features float [n, features], not yet of unit length; compared by cosine.

    The first ``groups`` numbers are linear discriminants of the groups, the others principal components; each part is brought
    to unit length before the two are weighed, so that a picture far from everything does not outweigh the one by the other.
    """

    def __init__(self, features: int, groups: int, weight: float) -> None:
        super().__init__()
        self.trunk, self.weight = Trunk(), weight
        self.register_buffer("centre", torch.zeros(WIDE))
        self.register_buffer("scale", torch.ones(WIDE))
        self.apart = nn.Linear(WIDE, groups) if groups else None
        self.look = nn.Linear(WIDE, features - groups)
        self.requires_grad_(False).eval()

    def forward(self, lower: Tensor) -> Tensor:
        return self.head(self.wide(lower))

    def wide(self, lower: Tensor) -> Tensor:
        """float [n, 112, 14, 14] -> all that the trunk tells, float [n, WIDE]."""
        return torch.cat([self.trunk.upper(lower), self.trunk.texture(lower)], dim=1)

    def head(self, wide: Tensor) -> Tensor:
        """What :meth:`wide` answers -> features."""
        x = (wide - self.centre) / self.scale
        look = F.normalize(self.look(x), dim=1)
        return look if self.apart is None else torch.cat([self.weight * F.normalize(self.apart(x), dim=1), look], dim=1)


def empty(config: Config, groups: int) -> Eye:
    """An eye of the configuration's shape, not yet fitted to ``groups`` groups."""
    return Eye(config.features, groups if config.tuned_features else 0, config.apart)


def lower(trunk: Trunk, pictures: np.ndarray) -> Tensor:
    """uint8 [n, 224, 224, 3] -> float16 [n, 112, 14, 14]."""
    with torch.inference_mode():
        parts = [trunk.lower(torch.from_numpy(part).permute(0, 3, 1, 2).float()).half() for part in _parts(pictures, 16)]
    return torch.cat(parts).clone()


class Views:
    """What the frozen trunk answers to every view, a file a view in ``folder``: kept through a kill, and shared by runs.

    The first four views are the photograph as served and with its background laid flat (:data:`augment.BACKDROPS`, in order),
    the others random; so that what is measured with the background masked has also been trained on.
    """

    def __init__(self, folder: Path, works: Works, config: Config) -> None:
        self.folder, self.works, self.config = folder, works, config
        self.count = len(augment.BACKDROPS) + config.views
        digest = hashlib.sha256(works.pixels.tobytes() + works.masks.tobytes() + repr(config.replaced).encode())
        self.name = digest.hexdigest()[:12]

    def wide(self) -> Tensor:
        """float32 [n, views, WIDE]."""
        eye, rounds = None, []
        for number in tqdm(range(self.count), desc="views", unit="view", disable=None):
            kept = self.folder / f"wide-{self.name}-{number:02d}.pt"
            if not kept.exists():
                eye = eye or Eye(1, 0, 1.0)
                wide = _in_parts(eye.wide, self._lower(number, eye.trunk))
                with runs.whole(kept) as temporary:
                    torch.save(wide, temporary)
            rounds.append(torch.load(kept, weights_only=True))
        return torch.stack(rounds, dim=1)

    def _lower(self, number: int, trunk: Trunk | None = None) -> Tensor:
        kept = self.folder / f"lower-{self.name}-{number:02d}.pt"
        if not kept.exists():
            answer = lower(trunk or Trunk(), self._pictures(number))
            with runs.whole(kept) as temporary:
                torch.save(answer, temporary)
        return torch.load(kept, weights_only=True)

    def _pictures(self, number: int) -> np.ndarray:
        works, side = self.works, self.works.pixels.shape[1]
        if number < len(augment.BACKDROPS):
            return augment.plains(works.pixels, works.masks, side, list(augment.BACKDROPS)[number])
        rng = np.random.default_rng((0, number - len(augment.BACKDROPS)))
        pairs = zip(works.pixels, works.masks, strict=True)
        return np.stack([augment.view(*pair, side, rng, self.config.replaced) for pair in pairs])


def fit(labels: np.ndarray, groups: int, chosen: np.ndarray, views: Views, config: Config) -> Eye:
    """Fit to the photographs at ``chosen`` (int), all their views; ``labels`` int [n], read only with ``tuned_features``."""
    eye = empty(config, groups)
    x = views.wide()[torch.from_numpy(chosen)].double()
    count = x.shape[1]
    x = x.flatten(0, 1)
    centre, scale = x.mean(dim=0), x.std(dim=0) + 1e-3
    x = (x - centre) / scale
    eye.centre.copy_(centre)
    eye.scale.copy_(scale)
    if eye.apart is not None:
        weight, bias = discriminants(x, torch.from_numpy(labels[chosen]).repeat_interleave(count), groups, config.shrink)
        eye.apart.weight.copy_(weight)
        eye.apart.bias.copy_(bias)
    values, axes = (part.flip(-1) for part in torch.linalg.eigh(x.T @ x / len(x)))
    # Whitened by half (square root of the deviations): the first components would else be all that cosine sees.
    wanted = min(eye.look.out_features, int((values > 1e-6 * values[0]).sum()))
    eye.look.weight.zero_()
    eye.look.weight[:wanted].copy_((axes / values.clamp(min=1e-12) ** 0.25).T[:wanted])
    eye.look.bias.zero_()
    return eye


def discriminants(x: Tensor, labels: Tensor, groups: int, shrink: float) -> tuple[Tensor, Tensor]:
    """Fisher's, for groups taken to be equally common -> weight [groups, d], bias [groups], of sum zero over the groups.

    The covariance within groups is shrunk to a multiple of the identity (Friedman 1989): a few hundred objects cannot tell a
    thousand numbers' covariance.
    """
    means = torch.stack([x[labels == group].mean(dim=0) for group in range(groups)])
    rest = x - means[labels]
    within = rest.T @ rest / len(rest)
    within = (1 - shrink) * within + shrink * within.diagonal().mean() * torch.eye(len(within), dtype=within.dtype)
    weight = torch.linalg.solve(within, (means - means.mean(dim=0)).T).T
    bias = -(weight * (means + means.mean(dim=0))).sum(dim=1) / 2
    return weight - weight.mean(dim=0), bias - bias.mean()


def features(eye: Eye, views: Views) -> Tensor:
    """float32 [n, 4, features] of the four plain views."""
    count = len(augment.BACKDROPS)
    return _in_parts(eye.head, views.wide()[:, :count].flatten(0, 1)).unflatten(0, (-1, count))


def _in_parts(function: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([function(part.float()) for part in inputs.split(64)])


def _parts(array: np.ndarray, size: int) -> list[np.ndarray]:
    return [array[start : start + size] for start in range(0, len(array), size)]
