"""Configurations side by side: python -m training.embed_latent.study --data DIR --out OUT --configuration aae --seed 0 --seed 1

Photographs, views and features are made once for all runs, so that a run costs what its plane costs. Each lives in its own
folder OUT/NAME-SEED-FOLD and goes on where it was stopped; finished ones are only read. OUT/table.md has a row a run.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from training.common import runs
from training.embed_latent import data, evaluate
from training.embed_latent.config import CONFIGURATIONS, Config
from training.embed_latent.eye import TrainingError
from training.embed_latent.train import describe, plainly, prepare, train_plane

# A run has failed when it collapses, leaves the prior, or cannot tell its groups from chance.
LEAST_RANK, LEAST_SHARE, LEAST_P = 1.8, 0.98, 0.05


def failures(measured: dict[str, Any]) -> list[str]:
    """Why a run is a failure, in words; empty for one that is none."""
    fit = measured["fit_of_means"]
    judged = {
        f"effective rank {fit['effective_rank']:.2f} < {LEAST_RANK}": fit["effective_rank"] < LEAST_RANK,
        f"{fit['share_within_3_sigma']:.3f} within 3σ < {LEAST_SHARE}": fit["share_within_3_sigma"] < LEAST_SHARE,
        f"MMD p {fit['mmd_p']:.3f} < {LEAST_P}": fit["mmd_p"] < LEAST_P,
    }
    return [why for why, failed in judged.items() if failed]


def study(
    works: data.Works, configurations: list[Config], seeds: list[int], out: Path, cache: Path, settings: dict[str, str]
) -> str:
    """Train and measure every configuration with every seed; returns the table, Markdown, with what failed below it.

    ``settings``: where the works come from, as :mod:`training.embed_latent.train` notes it of a run.
    """
    results, failed = [], []
    for config in configurations:
        for seed in seeds:
            run = out / f"{config.name}-{seed}-{config.fold}"
            runs.open_run(run, asdict(config) | {"seed": seed} | settings)
            if not (run / "metrics.json").is_file():
                describe(run, works)
                train_plane(run, prepare(run, works, config, cache), works.labels, works.names, config, seed)
                evaluate.evaluate(evaluate.open_run(run))
            measured = json.loads((run / "metrics.json").read_text())
            results.append(measured)
            failed += [f"- {run.name}: {why}" for why in failures(measured)]
            text = evaluate.table(results) + "\n\n" + ("\n".join(failed) if failed else "No failure among them.") + "\n"
            with runs.whole(out / "table.md") as temporary:
                temporary.write_text(text, encoding="utf-8")
    return text


def main(
    data_: Annotated[Path, typer.Option("--data", help="folder of photographs with labels.csv")],
    out: Annotated[Path, typer.Option(help="folder of the runs and the table")],
    configuration: Annotated[list[str], typer.Option(help=f"one or several of {', '.join(CONFIGURATIONS)}; not paper")],
    seed: Annotated[list[int], typer.Option(help="one or several")],
    fold: Annotated[list[int] | None, typer.Option(help="which fifth of the objects is held out; one or several")] = None,
    epochs: Annotated[int | None, typer.Option(help="instead of the configuration's")] = None,
    views: Annotated[int | None, typer.Option(help="random views a photograph, instead of the configuration's")] = None,
    cache: Annotated[Path | None, typer.Option(help="as in training; default OUT/cache")] = None,
    mask_model: Annotated[Path | None, typer.Option(help="as in training")] = None,
) -> None:
    """Train and measure configurations with seeds, in one table."""
    torch.set_num_threads(1)
    with plainly():
        for name in configuration:
            if name not in CONFIGURATIONS or CONFIGURATIONS[name].encoder == "dense":
                raise TrainingError(f"--configuration {name}: choose of {', '.join(CONFIGURATIONS)}; paper is trained alone")
        changed = {name: value for name, value in (("epochs", epochs), ("views", views)) if value}
        chosen = [replace(CONFIGURATIONS[name], fold=part, **changed) for name in configuration for part in fold or [0]]
        kept = cache or out / "cache"
        settings = {"data": str(data_), "labels": ""} | ({"mask_model": mask_model.name} if mask_model else {})
        typer.echo(study(data.load(data_, cache=kept, mask_model=mask_model), chosen, seed, out, kept, settings))


if __name__ == "__main__":
    typer.run(main)
