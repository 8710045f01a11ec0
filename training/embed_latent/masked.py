"""How well a bundle tells groups apart when the mask service's model takes the background away first, as ``mask=true`` does:
python -m training.embed_latent.masked --data DIR --bundle exported_models/embed_latent/0.2.0 --mask-model BUNDLE

Held-out works among the training works, by five neighbours. The split is the bundle's own, from its reference.npz. With --run,
once or several times, in the place of --bundle: a number a run, on the split of its fold, and their mean.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from tqdm import tqdm

from services.common import images, models
from services.embed_latent.predictor import REFERENCE, Masker, Parameters, Predictor
from training.embed_latent import augment, data, evaluate, eye, graphs, measures
from training.embed_latent.train import plainly

_PAIRS = (
    ("as they are", "plain", "plain"),
    ("masked among as they are", "masked", "plain"),
    ("masked among masked", "masked", "masked"),
)


def embed(folder: Path, bundle: models.Bundle, masker: Masker, files: np.ndarray) -> tuple[dict[str, np.ndarray], int]:
    """``latent`` and ``features`` of the masked photographs, float32 [n, ...], and how many held no figure."""
    predictor, asked = Predictor(bundle, masker), Parameters(mask=True)
    side = 2 * max(bundle.manifest.input.height, bundle.manifest.input.width)
    answers, without = [], 0
    for file in tqdm(files, desc="masked", unit="photo", disable=None):
        content = (folder / file).read_bytes()
        photograph = images.decode(content, images.Limits(), images.Frame.DISPLAY, shrink_to=side)
        noted, seen = predictor.prepare(photograph, asked)
        without += len(noted.notes) > len(photograph.notes)
        answers.append(bundle.run(seen[None]))
    return {name: np.concatenate([answer[name] for answer in answers]) for name in ("latent", "features")}, without


def _among(reference: np.ndarray, query: np.ndarray, labels: np.ndarray, train: np.ndarray, held: np.ndarray) -> float:
    scores = measures.class_structure(reference[train], labels[train], query[held], labels[held], k=evaluate.NEIGHBOURS)
    return float(scores["balanced_accuracy"])


def measure(folder: Path, bundle: models.Bundle, masker: Masker) -> dict[str, float]:
    """Balanced accuracy of group by space: photographs as they are, masked ones among them, and masked among masked."""
    kept = bundle.arrays(REFERENCE, "ids", "groups", "split", "latents", "features")
    plain = {"latent": kept["latents"], "features": kept["features"].astype(np.float32)}
    masked, without = embed(folder, bundle, masker, kept["ids"])
    labels = np.unique(kept["groups"], return_inverse=True)[1]
    train, held = kept["split"] == "train", kept["split"] == "held"

    result: dict[str, float] = {"photographs": len(labels), "held_out": int(held.sum()), "without_a_figure": without}
    for space in plain:
        ways = {"plain": plain[space], "masked": masked[space]}
        for name, query, reference in _PAIRS:
            result[f"{space}, {name}"] = _among(ways[reference], ways[query], labels, train, held)
    fit = measures.prior_fit(masked["latent"][held], float(np.sqrt(bundle.manifest.details["prior"]["covariance"][0][0])),
                             rng=np.random.default_rng(0))  # fmt: skip
    names = ("share_within_3_sigma", "mmd_p", "ks_radius", "effective_rank")
    return result | {f"masked, {name}": float(fit[name]) for name in names}


def over_folds(opened: list[evaluate.Run], works: data.Works) -> dict[str, list[float]]:
    """The same scores of runs that are no bundles yet, a number a run and their mean; ``works`` have the mask model's masks."""
    lower = eye.lower(eye.Trunk(), augment.plains(works.pixels, works.masks, data.SIDE, "white"))
    result: dict[str, list[float]] = {}
    for run in opened:
        if list(works.files) != run.facts["files"]:
            raise eye.TrainingError(f"{run.folder}: was trained on other photographs than --data holds")
        embedder = graphs.Embedder(evaluate.open_eye(run), run.plane.averaged["encoder"], run.plane.unit)
        with torch.inference_mode():
            parts = [embedder.read(part.float()) for part in lower.split(64)]
        masked = {
            name: torch.cat(part).numpy() for name, part in zip(("latent", "features"), zip(*parts, strict=True), strict=True)
        }
        latent, _ = run.plane.encode(torch.from_numpy(run.seen["keep"]))
        plain = {"latent": latent, "features": evaluate.normalised(run.seen["features keep"])}
        for space in plain:
            for name, query, reference in _PAIRS:
                ways = {"plain": plain[space], "masked": masked[space]}
                score = _among(ways[reference], ways[query], run.labels, run.seen["train"], run.seen["held"])
                result.setdefault(f"{space}, {name}", []).append(round(score, 3))
    return {name: [*scores, round(float(np.mean(scores)), 3)] for name, scores in result.items()}


def main(
    data_: Annotated[Path, typer.Option("--data", help="the folder the bundle was trained on")],
    mask_model: Annotated[Path, typer.Option(help="bundle of the mask service")],
    bundle: Annotated[Path | None, typer.Option(help="of embed_latent")] = None,
    run: Annotated[list[Path] | None, typer.Option(help="instead of a bundle: finished runs, one or several")] = None,
    cache: Annotated[Path | None, typer.Option(help="with --run: as given in training")] = None,
) -> None:
    """Measure a bundle, or runs, on masked photographs."""
    torch.set_num_threads(1)
    with plainly():
        if (bundle is None) == (not run):
            raise eye.TrainingError("give either --bundle or --run")
        if bundle:
            scores: object = measure(data_, models.load(bundle), Masker(models.load(mask_model)))
        else:
            opened = [evaluate.open_run(folder) for folder in run or []]
            scores = over_folds(opened, data.load(data_, cache=cache, mask_model=mask_model))
        typer.echo(json.dumps(scores, indent=1))


if __name__ == "__main__":
    typer.run(main)
