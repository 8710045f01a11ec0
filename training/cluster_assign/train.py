"""Group a folder of works: pre-train, choose k, cluster (DCEC).

    python -m training.cluster_assign.train --data data/paintings_masters --out RUN
    python -m training.cluster_assign.train --data data/paintings_masters --out RUN --config paper --k 7

Started again with the same settings it resumes. ``KERAS_BACKEND=torch`` trains on torch, the default is TensorFlow.
"""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from training.cluster_assign import commands, data, figures, fit, measures
from training.cluster_assign.config import NAMED, Config, TrainingError
from training.cluster_assign.features import FrontEnd
from training.common import runs

RESULT, CHOICE, FEATURES = "result.npz", "choice.json", "features.npz"
app = typer.Typer(add_completion=False)


def prepare(config: Config, collection: data.Collection, run: Path) -> tuple[FrontEnd, np.ndarray]:
    """(fitted front end, features [n, ...]). The statistics of the collection are kept in the run folder."""
    front_end, kept = FrontEnd(config), run / FEATURES
    if kept.exists():
        with np.load(kept) as stored:
            raw = [stored[name] for name in sorted(stored.files)]
    else:
        raw = front_end.raw(collection.pixels)
        if config.components:
            with runs.whole(kept) as temporary:
                np.savez(temporary, *raw)
    front_end.fit(raw)
    return front_end, front_end.transform(raw)


def train(collection: data.Collection, config: Config, k: int, seed: int, run: Path) -> fit.Clustered:
    """All stages; ``k`` = 0 chooses it from 2..9. Writes ``result.npz`` (ids, embedding, q, centroids)."""
    data.check_enough(len(collection.ids), k or 2)
    _, features = prepare(config, collection, run)
    encoder, decoder = fit.pretrain(features, config, seed, run / "pretrain")
    if k == 0:
        ks = [k for k in range(2, 10) if 2 * k <= len(features)]
        k, table = measures.choose_k(fit.embed(encoder, features), ks, seed)
        runs.write_json(run / CHOICE, {"k": k, "table": table})
        rows = [row | {"method": "pre-trained embedding"} for row in table]
        figures.against_k(
            rows, {"stability": "stability (ARI over 80 % resamples)", "silhouette": "silhouette"}, run / "choice.png"
        )
    done = fit.cluster(features, encoder, decoder, k, config, seed, run / f"dcec_{k}", "dcec")
    with runs.whole(run / RESULT) as temporary:
        facts = {"iterations": done.iterations, "converged": done.converged}
        np.savez(temporary, ids=collection.ids, embedding=done.embedding, q=done.q, centroids=done.centroids, **facts)
    return done


def draw(collection: data.Collection, done: fit.Clustered, seed: int, run: Path) -> None:
    """``tsne.png`` and ``samples.png``."""
    figures.tsne(done.embedding, done.clusters, run / "tsne.png", seed, collection.labels)
    distance = np.linalg.norm(done.embedding[:, None] - done.centroids, axis=2)
    figures.samples(collection.pixels, done.q, distance, run / "samples.png")


@app.command()
@commands.one_sentence_errors
def main(
    folders: commands.Data,
    out: commands.Out,
    config: Annotated[str, typer.Option(help="paper or default.")] = "default",
    k: Annotated[int, typer.Option(help="Number of clusters; 0 chooses it from 2 to 9.", min=0)] = 0,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    labels: commands.Labels = None,
    label_column: commands.LabelColumn = "label",
    epochs: Annotated[int | None, typer.Option(help="Pre-training epochs instead of the configuration's.", min=1)] = None,
    max_iterations: Annotated[int | None, typer.Option(help="Cap on clustering iterations.", min=1)] = None,
    learning_rate: Annotated[float | None, typer.Option(help="AdaMax rate instead of the configuration's.")] = None,
    threads: commands.Threads = 0,
) -> None:
    """Train a grouping of the works below --data."""
    if k == 1:
        raise TrainingError("--k 1 is no grouping; choose 2 or more, or 0 to have it chosen")
    if config not in NAMED:
        raise TrainingError(f"--config {config}: choose one of {', '.join(NAMED)}")
    changed = {"pretrain_epochs": epochs, "max_iterations": max_iterations, "learning_rate": learning_rate}
    settings = dataclasses.replace(NAMED[config], **{name: value for name, value in changed.items() if value is not None})
    commands.limit_threads(threads)
    collection = data.load(folders, settings.size, labels=labels, column=label_column, cache=out.parent / "cache")
    run = runs.open_run(
        out,
        {
            "data": [folder.name for folder in folders],
            "works": len(collection.ids),
            "config": config,
            "settings": dataclasses.asdict(settings),
            "k": k,
            "seed": seed,
            "labels": str(labels) if labels else None,
            "label_column": label_column,
        },
    )
    done = train(collection, settings, k, seed, run)
    draw(collection, done, seed, run)
    numbers = measures.internal(done.embedding, done.clusters)
    logging.info(
        "%d works in %d clusters %s, silhouette %.3f, %d iterations%s; look at %s",
        len(done.q),
        done.q.shape[1],
        np.bincount(done.clusters).tolist(),
        numbers["silhouette"],
        done.iterations,
        "" if done.converged else " (cap)",
        run / "samples.png",
    )


if __name__ == "__main__":
    app()
