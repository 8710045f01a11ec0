"""How well a bundle tells groups apart when the mask service's model takes the background away first, as ``mask=true`` does:
python -m training.embed_latent.masked --data DIR --bundle exported_models/embed_latent/0.2.0 --mask-model BUNDLE

Held-out works among the training works, by five neighbours. The split is the bundle's own, from its reference.npz.
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
from training.embed_latent import measures
from training.embed_latent.evaluate import NEIGHBOURS
from training.embed_latent.train import plainly


def embed(folder: Path, bundle: models.Bundle, masker: Masker, files: np.ndarray) -> tuple[dict[str, np.ndarray], int]:
    """``latent`` and ``features`` of the masked photographs, float32 [n, ...], and how many held no figure."""
    predictor, asked = Predictor(bundle, masker), Parameters(mask=True)
    side = 2 * max(bundle.manifest.input.height, bundle.manifest.input.width)
    answers, without = [], 0
    for file in tqdm(files, desc="masked", unit="photo", disable=None):
        data = (folder / file).read_bytes()
        photograph = images.decode(data, images.Limits(), images.Frame.DISPLAY, shrink_to=side)
        noted, seen = predictor.prepare(photograph, asked)
        without += len(noted.notes) > len(photograph.notes)
        answers.append(bundle.run(seen[None]))
    return {name: np.concatenate([answer[name] for answer in answers]) for name in ("latent", "features")}, without


def measure(folder: Path, bundle: models.Bundle, masker: Masker) -> dict[str, float]:
    """Balanced accuracy of group by space: photographs as they are, masked ones among them, and masked among masked."""
    kept = bundle.arrays(REFERENCE, "ids", "groups", "split", "latents", "features")
    plain = {"latent": kept["latents"], "features": kept["features"].astype(np.float32)}
    masked, without = embed(folder, bundle, masker, kept["ids"])
    labels = np.unique(kept["groups"], return_inverse=True)[1]
    train, held = kept["split"] == "train", kept["split"] == "held"

    def among(reference: np.ndarray, query: np.ndarray) -> float:
        scores = measures.class_structure(reference[train], labels[train], query[held], labels[held], k=NEIGHBOURS)
        return float(scores["balanced_accuracy"])

    result: dict[str, float] = {"photographs": len(labels), "held_out": int(held.sum()), "without_a_figure": without}
    for space in plain:
        result[f"{space}, as they are"] = among(plain[space], plain[space])
        result[f"{space}, masked among as they are"] = among(plain[space], masked[space])
        result[f"{space}, masked among masked"] = among(masked[space], masked[space])
    fit = measures.prior_fit(masked["latent"][held], float(np.sqrt(bundle.manifest.details["prior"]["covariance"][0][0])),
                             rng=np.random.default_rng(0))  # fmt: skip
    names = ("share_within_3_sigma", "mmd_p", "ks_radius", "effective_rank")
    return result | {f"masked, {name}": float(fit[name]) for name in names}


def main(
    data_: Annotated[Path, typer.Option("--data", help="the folder the bundle was trained on")],
    bundle: Annotated[Path, typer.Option(help="of embed_latent")],
    mask_model: Annotated[Path, typer.Option(help="bundle of the mask service")],
) -> None:
    """Measure a bundle on masked photographs."""
    torch.set_num_threads(1)
    with plainly():
        typer.echo(json.dumps(measure(data_, models.load(bundle), Masker(models.load(mask_model))), indent=1))


if __name__ == "__main__":
    typer.run(main)
