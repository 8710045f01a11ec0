"""One step of training the plane, and its whole state: networks, running averages, optimisers."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.common import runs
from training.embed_latent import model
from training.embed_latent.config import Config


class Plane:
    """Encoder head, decoder, discriminator and plane classifier under training. Latents leave it in the prior's unit."""

    def __init__(self, config: Config, inputs: int, groups: int) -> None:
        self.config = config
        self.unit = config.prior_std if config.scaled_prior else 1.0
        self.sigma = config.prior_std / self.unit  # of the prior, in the networks' unit
        self.nets: dict[str, nn.Module] = {
            "encoder": model.Encoder(config, inputs),
            "decoder": model.Decoder(config),
            "discriminator": model.Discriminator(config),
            "classifier": model.PlaneClassifier(config, groups),
        }
        self.averaged = {name: copy.deepcopy(self.nets[name]).requires_grad_(False).eval() for name in ("encoder", "decoder")}
        ours = _parameters(self.nets[name] for name in ("encoder", "decoder", "classifier"))
        self.optimisers = {
            "encoder": torch.optim.AdamW(ours, config.rate, config.betas, weight_decay=config.decay),
            "discriminator": torch.optim.Adam(self.nets["discriminator"].parameters(), config.rate_discriminator, config.betas),
        }
        self.base = {"encoder": config.rate, "discriminator": config.rate_discriminator}

    def standardise(self, seen: Tensor) -> None:
        """Take centre and scale of the encoder's input from ``seen`` float [n, d]."""
        for net in (self.nets["encoder"], self.averaged["encoder"]):
            net.centre.copy_(seen.mean(dim=0))
            net.scale.copy_(seen.std(dim=0) + 1e-3)

    def set_rate(self, factor: float) -> None:
        """Scale both learning rates from their configured values."""
        for name, optimiser in self.optimisers.items():
            for group in optimiser.param_groups:
                group["lr"] = factor * self.base[name]

    def step(self, seen: Tensor, target: Tensor, label: Tensor) -> dict[str, float]:
        """One batch: ``seen`` float [b, d], ``target`` uint8 [b, s, s, 3], ``label`` int [b] -> the losses by name."""
        config, nets = self.config, self.nets
        for net in nets.values():
            net.train()
        mean, log_variance = nets["encoder"](seen)
        z = model.draw(mean, log_variance)
        losses: dict[str, Tensor] = {}
        if config.method == "aae":
            losses |= self._discriminate(z.detach())
        decoded = nets["decoder"](z[: config.decoded])
        wanted = target[: config.decoded].permute(0, 3, 1, 2).float() / 255
        losses["reconstruction"] = F.mse_loss(decoded, wanted)
        losses["match"] = self._mismatch(z, mean, log_variance)
        total = config.reconstruct * losses["reconstruction"] + config.match * losses["match"]
        if config.plane_labels:
            # A hinge, not cross-entropy: a point on its group's side is left to the prior, or the plane's middle would empty.
            losses["plane_labels"] = F.multi_margin_loss(nets["classifier"](z / self.sigma), label)
            total = total + config.plane_labels * losses["plane_labels"]
        self.optimisers["encoder"].zero_grad()
        total.backward()
        self.optimisers["encoder"].step()
        with torch.no_grad():
            for name, averaged in self.averaged.items():
                for slow, fast in zip(averaged.parameters(), nets[name].parameters(), strict=True):
                    slow.lerp_(fast, 1 - config.average)
        return {name: float(value.detach()) for name, value in losses.items()}

    def encode(self, seen: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """float [n, d] -> the averaged encoder's posterior means and deviations, float32 [n, latent], in the prior's unit."""
        with torch.inference_mode():
            mean, log_variance = self.averaged["encoder"](seen)
            return (mean * self.unit).numpy().copy(), (torch.exp(0.5 * log_variance) * self.unit).numpy().copy()

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """float [n, latent] in the prior's unit -> uint8 [n, side, side, 3]."""
        with torch.inference_mode():
            drawn = self.averaged["decoder"](torch.from_numpy(np.asarray(latents, np.float32)) / self.unit)
            return (drawn * 255).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy().copy()

    def save(self, path: Path, epoch: int) -> None:
        """Whole or not at all."""
        state = {name: part.state_dict() for name, part in self._parts().items()}
        with runs.whole(path) as temporary:
            torch.save({"epoch": epoch, "state": state}, temporary)

    def restore(self, path: Path) -> int:
        """-> the epoch to go on with."""
        saved = torch.load(path, weights_only=True)
        for name, part in self._parts().items():
            part.load_state_dict(saved["state"][name])
        return int(saved["epoch"])

    def _parts(self) -> dict[str, nn.Module | torch.optim.Optimizer]:
        averaged = {f"averaged {name}": net for name, net in self.averaged.items()}
        optimisers = {f"optimiser {name}": optimiser for name, optimiser in self.optimisers.items()}
        return self.nets | averaged | optimisers

    def _noisy(self, z: Tensor) -> Tensor:
        return z + self.config.instance_noise * self.sigma * torch.randn_like(z) if self.config.instance_noise else z

    def _discriminate(self, z: Tensor) -> dict[str, Tensor]:
        net, optimiser, config = self.nets["discriminator"], self.optimisers["discriminator"], self.config
        real = self._noisy(torch.randn_like(z) * self.sigma).requires_grad_(config.r1 > 0)
        on_real, on_ours = net(real), net(self._noisy(z))
        loss = F.softplus(-on_real).mean() + F.softplus(on_ours).mean()
        total = loss
        if config.r1:
            (slope,) = torch.autograd.grad(on_real.sum(), real, create_graph=True)
            total = loss + config.r1 / 2 * slope.square().sum(dim=1).mean()
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        accuracy = ((on_real > 0).float().mean() + (on_ours <= 0).float().mean()) / 2
        return {"discriminator": loss.detach(), "discriminator_accuracy": accuracy.detach()}

    def _mismatch(self, z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        """What keeps the aggregate posterior at the prior; its gradient moves the encoder alone."""
        method = self.config.method
        if method == "vae":
            return model.gaussian_kl(mean, log_variance, self.sigma)
        if method == "aae":
            net = self.nets["discriminator"].requires_grad_(False)
            loss = F.softplus(-net(self._noisy(z))).mean()
            net.requires_grad_(True)
            return loss
        prior = torch.randn_like(z) * self.sigma
        return model.mmd_imq(z, prior) if method == "wae-mmd" else model.sliced_wasserstein(z, prior)


def _parameters(nets: Iterable[nn.Module]) -> list[nn.Parameter]:
    return [parameter for net in nets for parameter in net.parameters()]
