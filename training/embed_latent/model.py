"""The networks of the plane: encoder heads, decoders, discriminator, and the divergences that may stand in for it."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from training.embed_latent.config import Config


class Encoder(nn.Module):
    """Features float [n, d] (``trunk``) or pictures float [n, 3 * side²] in -1..1 (``dense``) -> mean and log variance,
    [n, latent] each, in the networks' own unit (prior sigmas when ``scaled_prior``).
    """

    def __init__(self, config: Config, inputs: int) -> None:
        super().__init__()
        act: list[nn.Module] = [nn.ReLU()] if config.encoder == "dense" else [nn.SiLU(), nn.Dropout(config.dropout)]
        head = nn.Linear(config.hidden, 2 * config.latent if config.stochastic else config.latent)
        self.layers = nn.Sequential(nn.Linear(inputs, config.hidden), *act, nn.Linear(config.hidden, config.hidden), *act, head)
        self.stochastic, self.floor, self.jitter = config.stochastic, config.noise_floor, config.jitter
        standard = inputs if config.encoder == "trunk" else 1  # pictures are standardised already
        self.register_buffer("centre", torch.zeros(standard))
        self.register_buffer("scale", torch.ones(standard))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = (x - self.centre) / self.scale
        if self.training and self.jitter:
            x = x + self.jitter * torch.randn_like(x)
        if not self.stochastic:
            mean = self.layers(x)
            return mean, torch.full_like(mean, -math.inf)
        mean, raw = self.layers(x).chunk(2, dim=1)
        # Between the floor and one prior sigma: a posterior wider than the prior says nothing.
        return mean, torch.log(self.floor**2 + (1 - self.floor**2) * torch.sigmoid(raw - 3))


def draw(mean: Tensor, log_variance: Tensor) -> Tensor:
    """One sample of each posterior (the mean itself when the encoder is deterministic)."""
    return mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)


class Decoder(nn.Module):
    """Latents [n, latent] -> pictures float [n, 3, side, side], 0..1. The last doubling comes from
    four sub-pixels a channel (Shi et al. 2016), which costs a fifth of a convolution at full size.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        widths, ups = (96, 64, 32, 24), int(math.log2(config.side // 4)) - 1
        self.first = nn.Sequential(nn.Linear(config.latent, 256), nn.SiLU(), nn.Linear(256, 96 * 16), nn.SiLU())
        blocks: list[nn.Module] = []
        for step in range(ups):
            inputs, outputs = (widths[min(step + late, 3)] for late in (0, 1))
            blocks += [nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(inputs, outputs, 3, padding=1), nn.SiLU()]
        self.rest = nn.Sequential(*blocks, nn.Conv2d(widths[min(ups, 3)], 12, 3, padding=1), nn.PixelShuffle(2))

    def forward(self, z: Tensor) -> Tensor:
        return torch.sigmoid(self.rest(self.first(z).view(-1, 96, 4, 4)))


class DenseDecoder(nn.Module):
    """The paper's: the encoder's layers in the opposite order; float [n, 3, side, side], about 0..1 (it bounds nothing)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.side, wide = config.side, config.hidden
        self.layers = nn.Sequential(
            nn.Linear(config.latent, wide), nn.ReLU(), nn.Linear(wide, wide), nn.ReLU(), nn.Linear(wide, 3 * self.side**2)
        )

    def forward(self, z: Tensor) -> Tensor:
        return (self.layers(z).view(-1, 3, self.side, self.side) + 1) / 2


class Discriminator(nn.Module):
    """Latents [n, latent] -> logit [n] of "drawn from the prior"."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        wide = config.discriminator
        act = nn.ReLU() if config.encoder == "dense" else nn.LeakyReLU(0.2)
        linears = [nn.Linear(config.latent, wide), nn.Linear(wide, wide), nn.Linear(wide, 1)]
        if config.spectral:
            linears = [spectral_norm(layer) for layer in linears]
        self.layers = nn.Sequential(linears[0], act, linears[1], act, linears[2])

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z).squeeze(1)


class PlaneClassifier(nn.Module):
    """Latents -> logits of the groups; only its gradient is wanted, it is never exported."""

    def __init__(self, config: Config, groups: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(config.latent, 64), nn.SiLU(), nn.Linear(64, groups))

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z)


def mmd_imq(z: Tensor, prior: Tensor) -> Tensor:
    """Unbiased squared MMD with inverse multiquadric kernels at seven scales (Tolstikhin et al. 2018, section 3)."""
    n, total = len(z), z.new_zeros(())
    base = 2.0 * z.shape[1] * prior.var().detach()
    off = 1 - torch.eye(n)
    for scale in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0):
        c = base * scale
        zz, pp, zp = (c / (c + torch.cdist(a, b).square()) for a, b in ((z, z), (prior, prior), (z, prior)))
        total = total + ((zz * off).sum() + (pp * off).sum()) / (n * (n - 1)) - 2 * zp.mean()
    return total / 7


def sliced_wasserstein(z: Tensor, prior: Tensor, directions: int = 64) -> Tensor:
    """Squared 2-Wasserstein distance averaged over random lines (Kolouri et al. 2018, equation 11)."""
    lines = F.normalize(torch.randn(directions, z.shape[1]), dim=1)
    return ((z @ lines.T).sort(dim=0).values - (prior @ lines.T).sort(dim=0).values).square().mean()


def gaussian_kl(mean: Tensor, log_variance: Tensor, sigma: float) -> Tensor:
    """Mean over the batch of KL(N(mean, variance) || N(0, sigma²)), in nats (Kingma and Welling 2014, appendix B)."""
    ratio = torch.exp(log_variance) / sigma**2
    return 0.5 * (ratio + mean.square() / sigma**2 - 1 - torch.log(ratio)).sum(dim=1).mean()
