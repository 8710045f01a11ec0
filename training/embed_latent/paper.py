"""The paper's network as written, in as little memory as it allows, to see its failure with one's own eyes.

394 million weights in encoder and decoder. Two habits keep it near 6 GB: every parameter is stepped as soon as backward has
reached it, and the two Adams of the encoder (reconstruction, generator) keep their moments in bfloat16.
"""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from training.common import runs
from training.embed_latent import data, measures, model, plots
from training.embed_latent.config import Config
from training.embed_latent.eye import TrainingError

CHECKPOINT = "paper.pt"


class LeanAdam:
    """Adam whose step happens inside ``backward``, parameter by parameter, while :attr:`on`; moments in bfloat16."""

    def __init__(self, parameters: list[nn.Parameter], rate: float, betas: tuple[float, float]) -> None:
        self.rate, self.betas, self.on, self.count = rate, betas, False, 0
        self.moments = [
            (torch.zeros_like(p, dtype=torch.bfloat16), torch.zeros_like(p, dtype=torch.bfloat16)) for p in parameters
        ]
        for parameter, moments in zip(parameters, self.moments, strict=True):
            parameter.register_post_accumulate_grad_hook(lambda p, m=moments: self._step(p, *m))

    def _step(self, parameter: Tensor, first: Tensor, second: Tensor) -> None:
        if not self.on:
            return
        one, two = self.betas
        correct = math.sqrt(1 - two**self.count) / (1 - one**self.count)
        with torch.no_grad():
            # In slices: float32 copies of whole moments would cost what bfloat16 saved.
            for p, g, m, v in zip(
                *(t.view(-1).split(1 << 22) for t in (parameter, parameter.grad, first, second)), strict=True
            ):
                m_ = m.float().lerp_(g, 1 - one)
                v_ = v.float().mul_(two).addcmul_(g, g, value=1 - two)
                p.addcdiv_(m_, v_.sqrt().add_(1e-8 * math.sqrt(1 - two**self.count)), value=-self.rate * correct)
                m.copy_(m_)
                v.copy_(v_)

    def backward(self, loss: Tensor) -> None:
        """Step every parameter of this optimiser that ``loss`` reaches; gradients are gone afterwards."""
        self.on, self.count = True, self.count + 1
        loss.backward()
        self.on = False

    def state_dict(self) -> dict[str, object]:
        return {"moments": self.moments, "count": self.count}

    def load_state_dict(self, state: dict) -> None:
        self.count = state["count"]
        for ours, saved in zip(self.moments, state["moments"], strict=True):
            for into, value in zip(ours, saved, strict=True):
                into.copy_(value)


class Networks:
    """Encoder, decoder and discriminator with the paper's three optimisers and its three phases."""

    def __init__(self, config: Config) -> None:
        self.encoder = model.Encoder(config, 3 * config.side**2)
        self.decoder, self.discriminator = model.DenseDecoder(config), model.Discriminator(config)
        coder = [*self.encoder.parameters(), *self.decoder.parameters()]
        self.reconstruct = LeanAdam(coder, config.rate, config.betas)
        self.generate = LeanAdam([*self.encoder.parameters()], config.rate, config.betas)
        self.discriminate = LeanAdam([*self.discriminator.parameters()], config.rate_discriminator, config.betas)
        self.sigma = config.prior_std
        self.all = [*coder, *self.discriminator.parameters()]

    def step(self, pictures: np.ndarray) -> dict[str, float]:
        """uint8 [b, 256, 256, 3] -> the three losses; the mean squared error is of pixels scaled to -1..1, as in the paper."""
        flat = torch.from_numpy(pictures).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
        rows = flat.flatten(1)
        reconstruction = F.mse_loss(self.decoder(self.encoder(rows)[0]) * 2 - 1, flat)
        self._finish(self.reconstruct, reconstruction)
        with torch.no_grad():
            fake = self.encoder(rows)[0]
        on_real, on_fake = self.discriminator(torch.randn_like(fake) * self.sigma), self.discriminator(fake)
        discriminator = F.softplus(-on_real).mean() + F.softplus(on_fake).mean()
        accuracy = ((on_real > 0).float().mean() + (on_fake <= 0).float().mean()) / 2
        self._finish(self.discriminate, discriminator)
        for parameter in self.discriminator.parameters():
            parameter.requires_grad_(False)
        generator = F.softplus(-self.discriminator(self.encoder(rows)[0])).mean()
        self._finish(self.generate, generator)
        for parameter in self.discriminator.parameters():
            parameter.requires_grad_(True)
        named = {"reconstruction": reconstruction, "discriminator": discriminator, "match": generator}
        return {name: float(value.detach()) for name, value in named.items()} | {"discriminator_accuracy": float(accuracy)}

    def encode(self, pictures: np.ndarray) -> np.ndarray:
        """uint8 [n, 256, 256, 3] -> latents float32 [n, 2]."""
        with torch.inference_mode():
            return np.concatenate(
                [
                    self.encoder(torch.from_numpy(p).permute(0, 3, 1, 2).float().div(127.5).sub(1).flatten(1))[0].numpy()
                    for p in np.array_split(pictures, max(1, len(pictures) // 50))
                ]
            )

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """float32 [n, 2] -> uint8 [n, 256, 256, 3]."""
        with torch.inference_mode():
            drawn = self.decoder(torch.from_numpy(latents)).mul(255).round().clamp(0, 255)
            return drawn.byte().permute(0, 2, 3, 1).numpy()

    def parts(self) -> dict[str, nn.Module | LeanAdam]:
        """What a checkpoint holds."""
        return {
            name: getattr(self, name)
            for name in ("encoder", "decoder", "discriminator", "reconstruct", "generate", "discriminate")
        }

    def _finish(self, optimiser: LeanAdam, loss: Tensor) -> None:
        optimiser.backward(loss)
        for parameter in self.all:
            parameter.grad = None


def train(run: Path, works: data.Works, config: Config, seed: int, *, minutes: float = math.inf) -> Networks:
    """The paper's loop, at most ``minutes`` of wall time; a row of history an epoch, a plot and a checkpoint (4 GB) every 20.

    A run resumes from its checkpoint. Raises :class:`TrainingError` for a loss that is no number.
    """
    torch.manual_seed(seed)
    networks, began = Networks(config), time.monotonic()
    chosen, held = data.split(works, folds=config.folds, fold=config.fold, seed=config.split_seed)
    path, start = run / CHECKPOINT, 0
    if path.exists():
        saved = torch.load(path, weights_only=True)
        start = saved["epoch"]
        for name, part in networks.parts().items():
            part.load_state_dict(saved["state"][name])
        del saved
    runs.read_history(run, before_epoch=start)
    for epoch in tqdm(
        range(start, config.epochs), desc="paper", unit="epoch", disable=None, initial=start, total=config.epochs
    ):
        torch.manual_seed(seed * 100_003 + epoch)
        order, epoch_began = np.random.default_rng((seed, epoch)).permutation(chosen), time.monotonic()
        parts = [order[at : at + config.batch] for at in range(0, len(order), config.batch)]
        rows = [networks.step(works.pixels[part]) for part in parts]
        mean = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
        latents = networks.encode(works.pixels)
        if not np.isfinite([*mean.values(), *latents.ravel()]).all():
            raise TrainingError(
                f"paper: a loss or a latent is no number in epoch {epoch}; lower the rate and choose another --out"
            )
        fit = measures.prior_fit(latents[held], config.prior_std, rng=np.random.default_rng(epoch), permutations=100)
        structure = measures.class_structure(latents[chosen], works.labels[chosen], latents[held], works.labels[held])
        row = {name: fit[name] for name in ("mmd2", "mmd_p", "ks_radius", "effective_rank", "share_within_3_sigma", "farthest")}
        row |= {"spread_x": fit["spread"][0], "spread_y": fit["spread"][1], "balanced_accuracy": structure["balanced_accuracy"]}
        runs.log(run, epoch=epoch, **mean, **row, seconds=time.monotonic() - epoch_began)
        late = time.monotonic() - began > 60 * minutes
        if epoch % 20 == 19 or late or epoch == config.epochs - 1:
            plots.plane(
                latents, works.labels, works.names, run / "plots" / f"plane-{epoch + 1:04d}.png", config.prior_std, held=held
            )
            state = {name: part.state_dict() for name, part in networks.parts().items()}
            with runs.whole(path) as temporary:
                torch.save({"epoch": epoch + 1, "state": state}, temporary)
        if late:
            break
    plots.history(runs.read_history(run), run / "plots")
    decoded = networks.decode(latents[held])
    error, similar = measures.reconstruction(works.pixels[held], decoded)
    small = (plots.shrink(works.pixels[held], 64), plots.shrink(decoded, 64))
    runs.write_json(
        run / "metrics.json",
        {
            "epochs": epoch + 1,
            "seconds": time.monotonic() - began,
            "held_out": fit,
            "structure": structure,
            "mse_256": error,
            "ssim_256": similar,
            "mse_64": measures.reconstruction(*small)[0],
            "mse_64_of_the_mean_picture": measures.baseline(plots.shrink(works.pixels[chosen], 64), small[0]),
        },
    )
    plots.reconstructions(works.pixels[held], decoded, works.groups[held], run / "plots" / "reconstructions.png")
    return networks
