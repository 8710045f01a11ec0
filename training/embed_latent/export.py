"""Write the bundle that serving reads: python -m training.embed_latent.export --run RUN --data DIR --version 0.2.0

The gate: encoder and decoder must answer as PyTorch does within 1e-4 on the real photographs, and every number in the manifest
is measured on the exported files.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from scipy.spatial import distance

from services.common import images, models
from training.common import bundle, photographs
from training.embed_latent import augment, card, data, evaluate, graphs, measures, sample
from training.embed_latent.eye import TrainingError
from training.embed_latent.train import plainly

SERVICE, DECODER, REFERENCE = "embed_latent", "decoder.onnx", "reference.npz"
TOLERANCE = 1e-4
UNLIKE_QUANTILE = 0.99
_STRANGERS = 200  # photographs read from each --unlike folder


def export(
    run: evaluate.Run, works: data.Works, destination: Path, golden: bytes, unlike: dict[str, Path], licence: str
) -> Path:
    """Assemble and check the bundle; returns its folder. Raises :class:`bundle.ParityError` or :class:`TrainingError`."""
    if list(works.files) != run.facts["files"]:
        raise TrainingError(
            f"{run.folder}: was trained on other photographs than --data holds; give the same --data and --labels"
        )
    config = run.config
    embedder = graphs.Embedder(evaluate.open_eye(run), run.plane.averaged["encoder"], run.plane.unit)
    drawer = graphs.Drawer(run.plane.averaged["decoder"], run.plane.unit)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        example = torch.from_numpy(works.pixels[:2].copy())
        graphs.to_onnx(embedder, example, folder / models.GRAPH, "images", ["latent", "features"])
        graphs.to_onnx(drawer, torch.randn(2, config.latent) * config.prior_std, folder / DECODER, "latent", ["images"])
        session = models.open_session(folder / models.GRAPH, threads=1)

        def graph(pictures: np.ndarray) -> dict[str, np.ndarray]:
            parts = [session.run(["latent", "features"], {"images": p}) for p in graphs.parts(pictures)]
            return dict(zip(("latent", "features"), map(np.concatenate, zip(*parts, strict=True)), strict=True))

        def framework(pictures: np.ndarray) -> dict[str, np.ndarray]:
            with torch.inference_mode():
                return dict(zip(("latent", "features"), (t.numpy() for t in embedder(torch.from_numpy(pictures))), strict=True))

        held, train = run.seen["held"], run.seen["train"]
        differs = bundle.parity(graph, framework, graphs.parts(works.pixels[held]), TOLERANCE)
        answers = {name: graph(augment.plains(works.pixels, works.masks, data.SIDE, name)) for name in augment.BACKDROPS}
        differs |= graphs.decoder_parity(folder / DECODER, drawer, answers["keep"]["latent"][held], TOLERANCE)
        measured = _measure(run, works, answers, folder / DECODER)
        threshold, known, strangers = _unlike(answers["keep"]["features"], train, held, unlike, graph)
        measured |= {"parity": differs, "unlike": {"above": threshold, "held_out_called_unlike": known, **strangers}}
        part = np.full(len(works), "train", "U5")
        part[held] = "held"
        np.savez_compressed(
            folder / REFERENCE,
            ids=works.files.astype(str),
            groups=works.groups.astype(str),
            split=part,
            latents=answers["keep"]["latent"].astype(np.float32),
            features=answers["keep"]["features"].astype(np.float16),
        )
        space = f"{SERVICE}/{destination.name}/{models.sha256(folder / models.GRAPH)[:8]}"
        fit, structure = measured["fit_of_means"], measured["structure"]
        headline = {
            "share_within_3_sigma": fit["share_within_3_sigma"],
            "mmd_p": fit["mmd_p"],
            "ks_radius": fit["ks_radius"],
            "ks_radius_aggregate": measured["fit_of_aggregate_posterior"]["ks_radius"],
            "effective_rank": fit["effective_rank"],
            "balanced_accuracy_plane": structure["plane"]["keep"]["balanced_accuracy"],
            "balanced_accuracy_plane_masked": structure["plane"]["white"]["balanced_accuracy"],
            "balanced_accuracy_features": structure["features"]["keep"]["balanced_accuracy"],
            "balanced_accuracy_features_masked": structure["features"]["white"]["balanced_accuracy"],
            "balanced_accuracy_features_masked_both": structure["features"]["white both"]["balanced_accuracy"],
            "reconstruction_mse": measured["reconstruction"]["mse"],
            "reconstruction_ssim": measured["reconstruction"]["ssim"],
            "parity_largest_difference": max(differs.values()),
        }
        return bundle.write(
            destination,
            graph=folder / models.GRAPH,
            extra_files={DECODER: folder / DECODER, REFERENCE: folder / REFERENCE},
            golden_picture=golden,
            card=card.text(run, works, destination.name, measured, licence),
            metrics=measured,
            headline=headline,
            architecture=f"{config.method}: EfficientNet-Lite0 trunk, {config.features} features, {config.latent}-d latent",
            licence="Apache-2.0",
            command=card.command(run, destination.name),
            input=bundle.Input(height=data.SIDE, width=data.SIDE, resize=images.ResizeRule.LETTERBOX),
            labels=tuple(bundle.Label(id=name.lower().replace(" ", "-"), name=name) for name in works.names),
            embedding_space=space,
            training_data=(
                bundle.Dataset(name="figurines", items=len(works), licence=licence, note=f"{len(held)} held out by object"),
                bundle.Dataset(name="ImageNet (EfficientNet-Lite0 weights)", items=1_281_167, licence="weights Apache-2.0"),
            ),
            intended_use="Placing photographs of clay figurines in a plane with a known prior; finding ones that look alike.",
            not_for="Attribution, dating, authentication or valuation; any claim of cultural influence from the plane alone.",
            seed=run.seed,
            details={
                "prior": {"mean": [0.0] * config.latent, "covariance": (np.eye(config.latent) * config.prior_std**2).tolist()},
                "groups": works.names,
                "unlike_above": threshold,
                "unlike_measure": "mean Euclidean distance of the unit-length features to the 5 nearest in reference.npz",
                "features": {"width": config.features, "normalised": True},
                "decoder": {"file": DECODER, "height": config.side, "width": config.side, "target": config.target},
                "labels_used_in_training": {"features": config.tuned_features, "plane": config.plane_labels > 0},
            },
        )


def _measure(run: evaluate.Run, works: data.Works, answers: dict[str, Any], decoder: Path) -> dict[str, Any]:
    """As :func:`evaluate.evaluate`, from what the exported files answer."""
    result = evaluate.evaluate(run)
    rng, scale = np.random.default_rng(0), run.config.prior_std
    train, held, target = run.seen["train"], run.seen["held"], run.seen["targets"]
    latents = {name: answer["latent"] for name, answer in answers.items()}
    features = {name: answer["features"] for name, answer in answers.items()}
    session = models.open_session(decoder, threads=1)
    decoded = np.concatenate([session.run(["images"], {"latent": part})[0] for part in graphs.parts(latents["keep"][held])])
    error, similar = measures.reconstruction(target[held], decoded)
    result["fit_of_means"] = measures.prior_fit(latents["keep"][held], scale, rng=rng)
    result["structure"] = evaluate.structure(latents, features, works.labels, train, held)
    result["reconstruction"] |= {"mse": error, "ssim": similar}
    return result


def _unlike(
    features: np.ndarray, train: np.ndarray, held: np.ndarray, folders: dict[str, Path], graph: Any
) -> tuple[float, float, dict[str, float]]:
    """(threshold, share of held-out works above it, share of each stranger folder above it).

    The threshold is a quantile of the held-out works' distances to the training works, so that a figurine of a known kind that
    the model has not seen passes; strangers are compared with all works, as in serving.
    """
    stored = features.astype(np.float16).astype(np.float32)

    def distances(query: np.ndarray, reference: np.ndarray) -> np.ndarray:
        return np.sort(distance.cdist(query, reference), axis=1)[:, : evaluate.NEIGHBOURS].mean(axis=1)

    threshold = float(np.quantile(distances(features[held], stored[train]), UNLIKE_QUANTILE))
    shares = {}

    for name, folder in folders.items():
        pictures, _ = photographs.load(
            photographs.find(folder)[:_STRANGERS], (data.SIDE, data.SIDE), images.ResizeRule.LETTERBOX
        )
        shares[name] = float((distances(graph(pictures)["features"], stored) > threshold).mean())
    return threshold, float((distances(features[held], stored[train]) > threshold).mean()), shares


def main(
    run: Annotated[Path, typer.Option(help="a finished run of training.embed_latent.train")],
    data_: Annotated[Path, typer.Option("--data", help="the folder it was trained on")],
    version: Annotated[str, typer.Option(help="of the bundle")] = "0.2.0",
    root: Annotated[Path, typer.Option(help="where bundles lie")] = Path("exported_models"),
    golden: Annotated[Path | None, typer.Option(help="picture for the start-up check; default: a drawn figurine")] = None,
    unlike: Annotated[
        list[Path] | None, typer.Option(help="folder of other pictures, to measure how many are called unlike")
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="as given in training")] = None,
    licence: Annotated[str, typer.Option(help="of the photographs")] = "mixed, partly unverified; photographs not distributed",
    cache: Annotated[Path | None, typer.Option(help="as given in training")] = None,
    mask_model: Annotated[Path | None, typer.Option(help="as given in training")] = None,
) -> None:
    """Export, check and measure a run."""
    torch.set_num_threads(1)
    with plainly():
        opened = evaluate.open_run(run)
        works = data.load(data_, labels, cache=cache or run / "cache", mask_model=mask_model)
        picture = golden.read_bytes() if golden else sample.picture()
        folders = {folder.name: folder for folder in unlike or []}
        try:
            written = export(opened, works, root / SERVICE / version, picture, folders, licence)
        except bundle.ParityError as error:
            raise TrainingError(str(error)) from error
    headline = json.loads((written / models.MANIFEST).read_text())["metrics"]
    for name, value in headline.items():
        typer.echo(f"{name:36} {value:.4g}")
    size = sum(path.stat().st_size for path in written.rglob("*") if path.is_file())
    typer.echo(f"{written}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    typer.run(main)
