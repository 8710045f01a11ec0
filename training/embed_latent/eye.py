"""The wider features: the trunk's last blocks, tuned to the groups or only projected, and what is computed once for all runs.

The frozen blocks' answers to a dozen random views of each photograph are kept, so that a run costs minutes, not hours.
"""

from __future__ import annotations

import copy
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


class TrainingError(Exception):
    """Training cannot go on; the message says what to do, and the last checkpoint stands."""


class Eye(nn.Module):
    """What :meth:`Trunk.lower` answers -> features float [n, features], not yet of unit length; compared by cosine."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.trunk = Trunk()
        self.standard = nn.BatchNorm1d(Trunk.WIDTH + Trunk.TEXTURE, affine=False)
        self.dropout = nn.Dropout(0.3)
        self.features = nn.Linear(Trunk.WIDTH + Trunk.TEXTURE, features)

    def forward(self, lower: Tensor) -> Tensor:
        return self.head(self.wide(lower))

    def wide(self, lower: Tensor) -> Tensor:
        """float [n, 112, 14, 14] -> all that the trunk tells, float [n, WIDTH + TEXTURE]."""
        return torch.cat([self.trunk.upper(lower), self.trunk.texture(lower)], dim=1)

    def head(self, wide: Tensor) -> Tensor:
        """What :meth:`wide` answers -> features."""
        return self.features(self.dropout(self.standard(wide)))


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

    def lower(self) -> Tensor:
        """float16 [n, views, 112, 14, 14]."""
        return torch.stack([self._lower(number) for number in range(self.count)], dim=1)

    def wide(self) -> Tensor:
        """float32 [n, views, WIDTH + TEXTURE], of the trunk with its ImageNet weights."""
        eye, rounds = None, []
        for number in tqdm(range(self.count), desc="views", unit="view", disable=None):
            kept = self.folder / f"wide-{self.name}-{number:02d}.pt"
            if not kept.exists():
                eye = eye or Eye(1)
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


def train(kept: Path, works: Works, chosen: np.ndarray, views: Views, config: Config) -> Eye:
    """Tune on the photographs at ``chosen`` (int), or, without ``tuned_features``, fit the projection (principal components).

    The checkpoint ``kept`` is resumed from, and read when finished. Raises :class:`TrainingError` when the loss is no number.
    """
    seed = config.eye_seed
    torch.manual_seed(seed)
    eye = Eye(config.features)
    if not config.tuned_features:
        return _projected(eye, views.wide()[torch.from_numpy(chosen)].flatten(0, 1))
    labels = torch.from_numpy(works.labels)
    classifier = nn.Linear(config.features, len(works.names))
    groups = [{"params": [*eye.features.parameters(), *classifier.parameters()], "lr": config.eye_head_rate}]
    if config.tuned_blocks:
        inputs, look_at = views.lower(), eye.forward
        upper = eye.trunk._blocks[Trunk.CUT :].requires_grad_(True)
        groups.append({"params": upper.parameters(), "lr": config.eye_rate})
    else:
        inputs, look_at = views.wide(), eye.head
    optimiser = torch.optim.AdamW(groups, weight_decay=config.eye_decay)
    batches = -(-len(chosen) // config.eye_batch)
    rates = [group["lr"] for group in groups]
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
            which = torch.randint(views.count, (len(part),))
            seen, share, other = (
                inputs[part, which].float(),
                float(mix.beta(config.eye_mix, config.eye_mix)),
                torch.randperm(len(part)),
            )
            logits = classifier(8 * F.normalize(look_at(share * seen + (1 - share) * seen[other])))
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


def features(eye: Eye, views: Views, config: Config) -> Tensor:
    """float32 [n, 4, features] of the four plain views."""
    eye.eval()
    count = len(augment.BACKDROPS)
    if config.tuned_blocks:
        return _in_parts(eye, views.lower()[:, :count].flatten(0, 1)).unflatten(0, (-1, count))
    return _in_parts(eye.head, views.wide()[:, :count].flatten(0, 1)).unflatten(0, (-1, count))


def _projected(eye: Eye, pooled: Tensor) -> Eye:
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


def _in_parts(function: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([function(part.float()) for part in inputs.split(64)])


def _restore(path: Path, state: dict[str, object]) -> int:
    if not path.exists():
        return 0
    saved = torch.load(path, weights_only=True)
    for name, part in state.items():
        part.load_state_dict(saved[name])  # type: ignore[attr-defined]
    return int(saved["epoch"])


def _parts(array: np.ndarray, size: int) -> list[np.ndarray]:
    return [array[start : start + size] for start in range(0, len(array), size)]
