"""The model card, and the command that makes the bundle again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from training.embed_latent import augment, data, evaluate


def text(run: evaluate.Run, works: data.Works, version: str, measured: dict[str, Any], licence: str) -> str:
    """MODEL_CARD.md, from what :func:`export.export` measured."""
    fit, structure, drawn = measured["fit_of_means"], measured["structure"], measured["reconstruction"]
    plane, features = structure["plane"], structure["features"]
    counts = ", ".join(f"{name} {int((works.groups == name).sum())}" for name in works.names)
    called = {name: share for name, share in measured["unlike"].items() if name != "above"}
    shaped = "the features and the plane" if run.config.plane_labels else "the features"
    widened = (
        f"\nThe plane was widened by {run.factor:.2f}, fitted on works that runs with other folds held out."
        if run.factor != 1
        else ""
    )
    strangers = "; ".join(f"{name} {share:.2f}" for name, share in called.items())
    rows = [
        ("share within 3σ of the prior", f"{fit['share_within_3_sigma']:.3f}", "≥ 0.98"),
        ("MMD against the prior, permutation p", f"{fit['mmd_p']:.3f}", "≥ 0.05"),
        ("Kolmogorov-Smirnov of the radius, posterior means", f"{fit['ks_radius']:.3f}", "≤ 0.08"),
        ("the same, aggregate posterior", f"{measured['fit_of_aggregate_posterior']['ks_radius']:.3f}", "≤ 0.08"),
        ("effective rank", f"{fit['effective_rank']:.2f}", "≥ 1.8"),
        ("balanced accuracy of group, 5 neighbours in the plane: as served; white, grey, black wall", _four(plane), "≥ 0.60"),
        ("the same in the features", _four(features), "≥ 0.85"),
        ("the same, neighbours masked likewise: plane; features", f"{_both(plane)}; {_both(features)}", "≥ 0.60; ≥ 0.85"),
        ("reconstruction MSE; that of the mean picture", f"{drawn['mse']:.4f}; {drawn['mse_of_the_mean_picture']:.4f}", ""),
        ("reconstruction SSIM", f"{drawn['ssim']:.3f}", ""),
        ("called unlike the training set", strangers, ""),
    ]
    table = "\n".join(f"| {what} | {value} | {wanted} |" for what, value, wanted in rows)
    return f"""# embed_latent {version}

Places a photograph of a clay figurine in a two-dimensional latent plane whose points follow N(0, 5²), and gives a feature
vector of unit length.

**Made from** {len(works)} photographs of {len(set(works.objects))} objects ({counts}); {licence}.
Split by object: {len(run.seen["train"])} to train, {len(run.seen["held"])} held out. Seed {run.seed}.
Trunk: EfficientNet-Lite0, ImageNet weights (Apache-2.0).{widened}

**Labels were used.** The groups' names shaped {shaped}: among the groups trained on, distances show how well they
can be told apart, and are no evidence that they differ. For that question train the `unlabelled` configuration.

## Measured on the exported files, held-out objects

| | | wanted |
|---|---|---|
{table}

Chance of a group is {1 / len(works.names):.2f}. metrics.json holds the rest.

## Not for

Attribution, dating, authentication or valuation. Distances say which photographs this network finds alike; culture,
collection, photographer and lighting hang together in the data, and no number here takes them apart. Two numbers cannot hold
a figurine: decoded pictures show a kind of figurine, never a particular one.
"""


def _four(space: dict[str, dict[str, float]]) -> str:
    first, *rest = (f"{space[name]['balanced_accuracy']:.3f}" for name in augment.BACKDROPS)
    return f"{first}; {', '.join(rest)}"


def command(run: evaluate.Run, version: str) -> str:
    """What makes this bundle again; where the folders lay on the machine that made it is nobody's concern."""
    module, name = "python -m training.embed_latent", Path(run.facts["data"]).name
    options = f"--configuration {run.config.name} --seed {run.seed} --fold {run.config.fold}"
    given = f"--data data/{name}"
    train = f"{module}.train {given} --out RUN {options}"
    if run.factor != 1:
        # The same with another --fold each, into RUN-FOLD.
        train += f" && {module}.calibrate --run RUN " + " ".join(
            f"--sister RUN-{fold}" for fold in range(run.config.folds) if fold != run.config.fold
        )
    return f"{train} && {module}.export --run RUN {given} --version {version}"


def _both(space: dict[str, dict[str, float]]) -> str:
    return ", ".join(f"{space[f'{name} both']['balanced_accuracy']:.3f}" for name in list(augment.BACKDROPS)[1:])
