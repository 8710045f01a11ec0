"""The wider features: the trunk's last blocks, tuned to the groups or only projected, and what is computed once for all runs.

The frozen blocks' answers to a dozen random views of each photograph are kept, so that a run costs minutes, not hours.
"""

from __future__ import annotations

import copy
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


class TrainingError(Exception):
    """Training cannot go on; the message says what to do, and the last checkpoint stands."""


class Eye(nn.Module):
    """What :meth:`Trunk.lower` answers -> features float [n, features], not yet of unit length; compared by cosine."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.trunk = Trunk()
        self.standard = nn.BatchNorm1d(Trunk.WIDTH, affine=False)
        self.dropout = nn.Dropout(0.3)
        self.features = nn.Linear(Trunk.WIDTH, features)

    def forward(self, lower: Tensor) -> Tensor:
        return self.features(self.dropout(self.standard(self.trunk.upper(lower))))


def lower(trunk: Trunk, pictures: np.ndarray) -> Tensor:
    """uint8 [n, 224, 224, 3] -> float16 [n, 112, 14, 14]."""
    with torch.inference_mode():
        parts = [trunk.lower(torch.from_numpy(part).permute(0, 3, 1, 2).float()).half() for part in _parts(pictures, 16)]
    return torch.cat(parts).clone()


def lower_views(trunk: Trunk, works: Works, config: Config, seed: int, kept: Path) -> Tensor:
    """float16 [n, views, 112, 14, 14] of random views, kept in the file ``kept`` and read from there when it exists."""
    if kept.exists():
        return torch.load(kept, mmap=True, weights_only=True)
    rounds = []
    for number in tqdm(range(config.views), desc="views", unit="round", disable=None):
        rng = np.random.default_rng((seed, number))
        pairs = zip(works.pixels, works.masks, strict=True)
        rounds.append(
            lower(trunk, np.stack([augment.view(*pair, works.pixels.shape[1], rng, config.replaced) for pair in pairs]))
        )
    views = torch.stack(rounds, dim=1)
    with runs.whole(kept) as temporary:
        torch.save(views, temporary)
    return views


def train(kept: Path, works: Works, chosen: np.ndarray, views: Tensor, config: Config) -> Eye:
    """Tune on the photographs at ``chosen`` (int), or, without ``tuned_features``, fit the projection (principal components).

    The checkpoint ``kept`` is resumed from, and read when finished. Raises :class:`TrainingError` when the loss is no number.
    """
    seed = config.eye_seed
    torch.manual_seed(seed)
    eye = Eye(config.features)
    if not config.tuned_features:
        return _projected(eye, views[torch.from_numpy(chosen)])
    labels = torch.from_numpy(works.labels)
    classifier = nn.Linear(config.features, len(works.names))
    upper = eye.trunk._blocks[Trunk.CUT :].requires_grad_(True)
    fresh = [*eye.features.parameters(), *classifier.parameters()]
    groups = [{"params": upper.parameters(), "lr": config.eye_rate}, {"params": fresh, "lr": config.eye_head_rate}]
    optimiser = torch.optim.AdamW(groups, weight_decay=0.02)
    batches = -(-len(chosen) // config.eye_batch)
    rates = [config.eye_rate, config.eye_head_rate]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rates, total_steps=config.eye_epochs * batches)
    average = copy.deepcopy(eye).requires_grad_(False)
    state = {"eye": eye, "average": average, "classifier": classifier, "optimiser": optimiser, "schedule": schedule}
    start = _restore(kept, state)
    weights = 1 / torch.bincount(labels[chosen])[labels[chosen]].float()
    for epoch in tqdm(range(start, config.eye_epochs), desc="features", unit="epoch", disable=None):
        # The seed of an epoch is its own, so that a resumed run draws what an unbroken one would have drawn.
        torch.manual_seed(seed * 100_003 + epoch)
        mix = np.random.default_rng((seed, epoch))
        eye.train()
        order = torch.from_numpy(chosen)[torch.multinomial(weights, len(chosen), replacement=True)]
        for part in order.split(config.eye_batch):
            which = torch.randint(config.views, (len(part),))
            seen, share, other = (
                views[part, which].float(),
                float(mix.beta(config.eye_mix, config.eye_mix)),
                torch.randperm(len(part)),
            )
            logits = classifier(8 * F.normalize(eye(share * seen + (1 - share) * seen[other])))
            loss = share * F.cross_entropy(logits, labels[part], label_smoothing=config.smoothing)
            loss = loss + (1 - share) * F.cross_entropy(logits, labels[part[other]], label_smoothing=config.smoothing)
            if not torch.isfinite(loss):
                raise TrainingError(f"features: the loss became {loss.item()} in epoch {epoch}; lower eye_rate and start anew")
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            with torch.no_grad():
                for slow, fast in zip(average.state_dict().values(), eye.state_dict().values(), strict=True):
                    if slow.is_floating_point():
                        slow.lerp_(fast, 1 - config.eye_average)
        with runs.whole(kept) as temporary:
            torch.save({"epoch": epoch + 1} | {name: part.state_dict() for name, part in state.items()}, temporary)
    return average.eval()


def look(eye: Eye, lower_: Tensor, *, features: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """float16 [..., 112, 14, 14] -> (texture float32 [..., TEXTURE], features float32 [..., features], empty unless wanted)."""
    eye.eval()
    flat, shape = lower_.reshape(-1, *lower_.shape[-3:]), lower_.shape[:-3]
    with torch.inference_mode():
        texture = torch.cat([Trunk.texture(part.float()) for part in flat.split(64)])
        wide = torch.cat([eye(part.float()) for part in flat.split(64)]) if features else torch.empty(*shape, 0)
    return texture.reshape(*shape, -1).numpy().copy(), wide.reshape(*shape, -1).numpy().copy()


def _projected(eye: Eye, views: Tensor) -> Eye:
    with torch.inference_mode():
        pooled = torch.cat([eye.trunk.upper(part.float()) for part in views.flatten(0, 1).split(64)])
    mean, variance = pooled.mean(dim=0), pooled.var(dim=0)
    standard = (pooled - mean) / (variance + eye.standard.eps).sqrt()
    _, singular, axes = torch.linalg.svd(standard, full_matrices=False)
    count = eye.features.out_features
    with torch.no_grad():
        eye.standard.running_mean.copy_(mean)
        eye.standard.running_var.copy_(variance)
        eye.features.weight.zero_()
        # Whitened by half (square root of the singular values): the first components would else be all that cosine sees.
        eye.features.weight[: len(axes)].copy_((axes / singular[:, None].sqrt())[:count])
        eye.features.bias.zero_()
    return eye.requires_grad_(False).eval()


def _restore(path: Path, state: dict[str, object]) -> int:
    if not path.exists():
        return 0
    saved = torch.load(path, weights_only=True)
    for name, part in state.items():
        part.load_state_dict(saved[name])  # type: ignore[attr-defined]
    return int(saved["epoch"])


def _parts(array: np.ndarray, size: int) -> list[np.ndarray]:
    return [array[start : start + size] for start in range(0, len(array), size)]
