"""Score a run on the works each fold never saw, or a bundle on photographs of its own.

    python -m training.classify.evaluate --run RUN
    python -m training.classify.evaluate --bundle exported_models/classify/0.2.0 --data DATA --out FOLDER
    python -m training.classify.evaluate --bundle exported_models/classify/0.2.0 --others FOLDER
    python -m training.classify.evaluate --bundle exported_models/classify/0.2.0 --heat RENDERS/index.csv

The first two write ``metrics.json``, ``confusion.png``, ``reliability.png``, ``predictions.png`` into the run (or ``--out``).
``--others`` is a folder without sculpture: how much of it is abstained from? ``--heat`` is the index of
``training.render photos``, whose masks say where the sculptures are: does the explanation's heat lie there?
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from matplotlib import pyplot as plt
from PIL import Image

from services.classify.predictor import heat as heat_of
from services.common import images, models
from training.classify import config as configs
from training.classify import data as datasets
from training.classify import scores
from training.classify.train import RENDERS, fail
from training.common import photographs, plots, runs


def of_run(run: Path) -> dict[str, Any]:
    """metrics.json of a run: the five folds together, each source apart, calibration and abstention.

    The probabilities of a fold are calibrated with the temperature of the other folds' held-out logits.
    """
    config, _ = configs.of_run(run)
    facts = json.loads((run / "data.json").read_text())
    names = [label["id"] for label in facts["labels"]]
    with np.load(run / "oof.npz") as stored:
        logits, accepted, fold, sources = (stored[name] for name in ("logits", "accepted", "fold", "sources"))
    paths = np.array(facts["photographs"])
    types, other = len(names), ~accepted.any(1)
    others = _others(logits[other], sources[other], types, facts["temperature"])
    real = (fold >= 0) & ~other
    logits, accepted, fold, sources, paths = logits[real], accepted[real], fold[real], sources[real], paths[real]
    raw, calibrated, weighted = scores.answers(logits, types)[0], np.empty(accepted.shape), np.empty(accepted.shape)
    for number in np.unique(fold):
        test = fold == number
        temperature = scores.temperature(logits[~test][:, :types], accepted[~test])
        calibrated[test], weighted[test] = scores.answers(logits[test], types, temperature)
    abstention = scores.abstention(weighted, accepted, sources, config.precision, others, config.abstained)
    per_fold = [scores.summary(calibrated[fold == number], accepted[fold == number], names) for number in np.unique(fold)]
    metrics = {
        "scheme": f"{config.folds}-fold cross-validation, split by work; {RENDERS} are trained on, never scored",
        "all": scores.summary(calibrated, accepted, names),
        "sources": {
            name: scores.summary(calibrated[sources == name], accepted[sources == name], names) for name in np.unique(sources)
        },
        "folds": {
            key: {"mean": float(np.mean(values)), "std": float(np.std(values, ddof=1))}
            for key in ("accuracy", "macro_f1")
            for values in [[row[key] for row in per_fold]]
        },
        "temperature": facts["temperature"],
        "ece_before": scores.expected_calibration_error(raw, accepted),
        "ece": scores.expected_calibration_error(calibrated, accepted),
        "abstention": abstention,
    }
    _plots(run, calibrated, accepted, names, [Path(path) for path in paths], config.size)
    runs.write_json(run / "metrics.json", metrics)
    return metrics


def _others(logits: np.ndarray, sources: np.ndarray, types: int, temperature: float) -> dict[str, np.ndarray]:
    """The best weighted probability of each photograph without sculpture, by source, which was held out whole."""
    top = scores.answers(logits, types, temperature)[1].max(1) if len(logits) else np.zeros(0)
    return {str(name): top[sources == name] for name in np.unique(sources)}


def _served(bundle: models.Bundle, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The bundle's probabilities [n, types], and the best of each as it decides whether to abstain [n]."""
    outputs = [bundle.run(pixels[start : start + 32]) for start in range(0, len(pixels), 32)]
    answers = np.concatenate([output["probabilities"] for output in outputs])
    return answers, answers.max(1) * np.concatenate([output.get("sculpture", np.ones(1)) for output in outputs])


def of_bundle(bundle: Path, data: Path, out: Path) -> dict[str, Any]:
    """metrics.json of an exported file on labelled photographs, through decode, resize and graph as served."""
    loaded = models.load(bundle)
    names = [label.id for label in loaded.manifest.labels]
    wanted = loaded.manifest.input
    photos, _ = datasets.find(data)
    pixels, unreadable = photographs.load([photo.path for photo in photos], (wanted.height, wanted.width), wanted.resize)
    skipped = {path for path, _ in unreadable}
    photos = [photo for photo in photos if photo.path not in skipped]
    accepted = np.array([[name in photo.types for name in names] for photo in photos])
    if unknown := sorted({type_ for photo in photos for type_ in photo.types} - set(names)):
        raise datasets.DataError(f"{data}: the bundle does not know {', '.join(unknown)}; it knows {', '.join(names)}")
    answers, top = _served(loaded, pixels)
    kept = top >= float(loaded.manifest.details["abstain_below"])
    metrics = {
        "bundle": f"{loaded.manifest.service} {loaded.manifest.version}",
        "all": scores.summary(answers, accepted, names),
        "ece": scores.expected_calibration_error(answers, accepted),
        "answered": float(kept.mean()),
        "precision_when_answered": float(scores.correct(answers, accepted)[kept].mean()) if kept.any() else None,
        "left_out": [f"{path}: {why}" for path, why in unreadable],
    }
    out.mkdir(parents=True, exist_ok=True)
    _plots(out, answers, accepted, names, [photo.path for photo in photos], wanted.height)
    runs.write_json(out / "metrics.json", metrics)
    return metrics


def abstained(bundle: Path, folder: Path) -> tuple[int, float]:
    """How many photographs a folder without sculpture holds, and the share of them that the bundle abstains from."""
    loaded = models.load(bundle)
    wanted = loaded.manifest.input
    pixels, _ = photographs.load(photographs.find(folder), (wanted.height, wanted.width), wanted.resize)
    if not len(pixels):
        raise datasets.DataError(f"{folder}: holds no photographs")
    return len(pixels), float((_served(loaded, pixels)[1] < loaded.manifest.details["abstain_below"]).mean())


def heat_on_object(bundle: Path, index: Path, most: int = 100) -> np.ndarray:
    """How many times denser heat is on the object than overall, in the first ``most`` renders of which 1 to 50 % is object."""
    loaded = models.load(bundle)
    wanted = loaded.manifest.input
    with index.open(newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if 0.01 <= float(row["coverage"]) <= 0.5][:most]
    densities = []
    for row in rows:
        pixels = photographs.read(index.parent / row["file"], (wanted.height, wanted.width), wanted.resize)
        outputs = loaded.run(pixels[None])
        glow = heat_of(outputs["activation"][0], int(outputs["probabilities"][0].argmax()))
        mask = Image.open(index.parent / row["mask"]).convert("L").resize((wanted.width, wanted.height))
        on_object = np.asarray(mask) > 127
        large = np.asarray(Image.fromarray(glow).resize(mask.size, Image.Resampling.BILINEAR))
        densities.append(float(large[on_object].mean() / large.mean()) if large.any() else 0.0)
    return np.array(densities)


def _plots(
    out: Path, answers: np.ndarray, accepted: np.ndarray, names: Sequence[str], paths: Sequence[Path], size: int
) -> None:
    plots.confusion_matrix(scores.confusion(answers, accepted), names, out / "confusion.png")
    _reliability(answers, accepted, out / "reliability.png")
    right = scores.correct(answers, accepted)
    # The surest mistakes first, then the surest right answers of each type: what there is to learn from.
    surest = np.argsort(-answers.max(1), kind="stable")
    chosen = [index for index in surest if not right[index]][:24]
    for column in range(len(names)):
        chosen += [index for index in surest if right[index] and answers[index].argmax() == column][:4]
    pictures = [photographs.read(paths[index], (size, size), images.ResizeRule.LETTERBOX) for index in chosen]
    captions = []
    for index in chosen:
        accepted_names = " or ".join(name for name, is_right in zip(names, accepted[index], strict=True) if is_right)
        answer = f"{names[answers[index].argmax()]} {answers[index].max():.2f}"
        captions.append(answer if right[index] else f"{answer}\nis {accepted_names}")
    plots.contact_sheet(
        pictures, captions, out / "predictions.png", colours=["darkgreen" if right[index] else "firebrick" for index in chosen]
    )


def _reliability(answers: np.ndarray, accepted: np.ndarray, path: Path, bins: int = 10) -> None:
    confidence, right = answers.max(1), scores.correct(answers, accepted)
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    used = np.unique(index)
    figure, axis = plt.subplots(figsize=(4, 4))
    axis.plot([0, 1], [0, 1], color="grey", linestyle="dotted", label="calibrated")
    axis.plot(
        [confidence[index == bin_].mean() for bin_ in used],
        [right[index == bin_].mean() for bin_ in used],
        "o-",
        label="measured",
    )
    axis.set(xlabel="top probability", ylabel="share that is right", xlim=(0, 1), ylim=(0, 1))
    axis.legend()
    plots.save(figure, path)


def report(metrics: dict[str, Any]) -> str:
    """The figures as lines of text."""
    total = metrics["all"]
    lines = [f"{total['photographs']} photographs: accuracy {total['accuracy']:.3f}, macro F1 {total['macro_f1']:.3f}"]
    lines += [
        f"  {name:16s} precision {row['precision']:.2f}  recall {row['recall']:.2f}  F1 {row['f1']:.2f}  of {row['support']}"
        for name, row in total["types"].items()
    ]
    lines += [
        f"{name}: accuracy {row['accuracy']:.3f}, macro F1 {row['macro_f1']:.3f} of {row['photographs']}"
        for name, row in metrics.get("sources", {}).items()
    ]
    lines.append(f"ECE {metrics['ece']:.3f}")
    if "abstention" in metrics:
        at = metrics["abstention"]
        lines.append(f"from {at['abstain_below']:.3f} on: {at['coverage']:.0%} answered, {at['precision']:.1%} of them right")
        lines += [f"  {name}, without sculpture: {share:.1%} abstained from" for name, share in at["others"].items()]
    return "\n".join(lines)


def main(
    run: Annotated[Path | None, typer.Option(help="a run folder of train")] = None,
    bundle: Annotated[Path | None, typer.Option(help="an exported bundle")] = None,
    data: Annotated[Path | None, typer.Option(help="labelled photographs for --bundle")] = None,
    out: Annotated[Path | None, typer.Option(help="where --bundle writes")] = None,
    others: Annotated[Path | None, typer.Option(help="photographs without sculpture, for --bundle")] = None,
    heat: Annotated[Path | None, typer.Option(help="index.csv of rendered photographs with masks, for --bundle")] = None,
) -> None:
    """Score a run, or a bundle on photographs."""
    try:
        if run is not None:
            if not (run / "oof.npz").is_file():
                fail(f"{run}: holds no finished run; train it first")
            typer.echo(report(of_run(run)))
        elif bundle is not None and data is not None and out is not None:
            typer.echo(report(of_bundle(bundle, data, out)))
        elif bundle is not None and others is not None:
            count, share = abstained(bundle, others)
            typer.echo(f"{others}: {share:.1%} of {count} photographs abstained from")
        elif bundle is not None and heat is not None:
            found = heat_on_object(bundle, heat)
            share = (found > 1).mean()
            typer.echo(f"heat is denser on the object in {share:.0%} of {len(found)}, {np.median(found):.1f} times (median)")
        else:
            fail("give --run, or --bundle with --data and --out, --others or --heat")
    except (datasets.DataError, models.BundleError) as error:
        fail(str(error))


if __name__ == "__main__":
    typer.run(main)
