"""Export a run as the bundle that the service serves.

    python -m training.classify.export --run RUN --to exported_models/classify/0.2.0 --golden samples/PICTURE.jpg

The gate: the graph answers as the framework does on the run's real photographs; every fold's graph, run by ONNX Runtime as
serving does, scores its held-out works as the run did; the bundle loads.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import onnx
import typer
from onnx import numpy_helper
from tqdm import tqdm

from services.common import models
from training.classify import card, evaluate, scores
from training.classify import config as configs
from training.classify import data as datasets
from training.classify.head import Linear, tempered
from training.classify.model import Classifier, Features, export_graph, run_network
from training.classify.train import fail, load_head
from training.common import bundle

# Float32 sums in another order differ in the sixth digit; a wrong graph differs in the first.
TOLERANCE = 1e-4
# The activation is in logits, which a heat-map draws to a hundredth; probabilities are what is compared to the last digit.
_MANY_LOGITS = 10.0
_BATCH = 16


def export(run: Path, to: Path, golden: Path, cache: Path | None = None) -> Path:
    """Write the bundle ``to`` = ``<root>/classify/<version>`` from a finished run.

    Raises ``ParityError`` when a graph does not answer as it was trained to, ``DataError`` when the photographs are gone.
    """
    config, data = configs.of_run(run)
    facts = json.loads((run / "data.json").read_text())
    labels = [bundle.Label(**label) for label in facts["labels"]]
    metrics = evaluate.of_run(run)
    set_ = datasets.load(data, (config.size, config.size), config.resize, cache or run / "cache")
    if [str(photo.path) for photo in set_.photos] != facts["photographs"]:
        raise datasets.DataError(f"{data}: its photographs are not those of the run; train it again")
    temperature = facts["temperature"]
    network = Classifier(Features(config.backbone), load_head(run / "head.npz")[0], temperature, len(labels))
    graph = run / "model.onnx"
    export_graph(network, config.size, network.outputs, graph)
    real = np.flatnonzero((_folds(run) >= 0) & ~set_.others)
    metrics["parity"] = _parity(graph, network, set_.pixels[real[:: max(1, len(real) // 64)]])
    metrics["exported"] = _score_folds(run, graph, set_, temperature)
    headline = {
        "accuracy": metrics["exported"]["accuracy"],
        "macro_f1": metrics["exported"]["macro_f1"],
        "ece": metrics["ece"],
    }
    facts_ = {
        "architecture": f"{config.backbone}, frozen, and a softmax regression on its {network.linear.in_features} features",
        "licence": "Apache-2.0",
        "input": bundle.Input(height=config.size, width=config.size, resize=config.resize),
        "labels": tuple(labels),
        "training_data": card.datasets(facts["sources"]),
        "intended_use": card.INTENDED,
        "not_for": card.NOT_FOR,
        "seed": config.seed,
        "command": _commands(config, to),
        "details": {
            "abstain_below": metrics["abstention"]["abstain_below"],
            "abstain_precision": metrics["abstention"]["precision"],
            "ece": metrics["ece"],
        },
    }
    return bundle.write(
        to,
        graph=graph,
        golden_picture=golden.read_bytes(),
        card=card.text(config, labels, facts["sources"], metrics),
        metrics=metrics,
        headline=headline,
        **facts_,
    )


def _commands(config: configs.Config, to: Path) -> str:
    """The two commands that make this bundle again, without the folders of the machine they ran on."""
    defaults, chosen = asdict(configs.Config()), asdict(config)
    options = "".join(f" --{name.replace('_', '-')} {value}" for name, value in chosen.items() if value != defaults[name])
    return (
        f"python -m training.classify.train --data labels.csv --out RUN{options} && "
        f"python -m training.classify.export --run RUN --to exported_models/classify/{to.name} --golden PICTURE"
    )


def _folds(run: Path) -> np.ndarray:
    with np.load(run / "oof.npz") as stored:
        return stored["fold"]


def _parity(graph: Path, network: Classifier, pixels: np.ndarray) -> dict[str, float]:
    session = models.open_session(graph, threads=1)

    def compared(outputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        named = dict(zip(network.outputs, outputs, strict=True))
        return named | {"activation": named["activation"] / _MANY_LOGITS}

    return bundle.parity(
        lambda batch: compared(session.run(network.outputs, {"images": batch})),
        lambda batch: compared(run_network(network, batch)),
        [pixels[start : start + _BATCH] for start in range(0, len(pixels), _BATCH)],
        TOLERANCE,
    )


def _score_folds(run: Path, graph: Path, set_: datasets.Dataset, temperature: float) -> dict[str, Any]:
    """Score the exported graph with each fold's classifier in it on that fold's works, and hold it to the run's own answers."""
    with np.load(run / "oof.npz") as stored:
        fold, logits = stored["fold"], stored["logits"]
    real = (fold >= 0) & ~set_.others
    answers = np.zeros(set_.accepted.shape, np.float32)
    for number in tqdm(range(fold.max() + 1), desc="exported folds", unit="fold", disable=None):
        path = run / f"fold{number}.onnx"
        _replace_head(graph, tempered(load_head(run / f"fold{number}.npz")[0], len(set_.labels), temperature), path)
        session = models.open_session(path, threads=1)
        test = np.flatnonzero(real & (fold == number))
        for start in range(0, len(test), _BATCH):
            chosen = test[start : start + _BATCH]
            answers[chosen] = session.run(["probabilities"], {"images": set_.pixels[chosen]})[0]
        path.unlink()
    worst = float(np.abs(answers[real] - scores.answers(logits[real], len(set_.labels), temperature)[0]).max())
    if not worst <= TOLERANCE:
        raise bundle.ParityError(f"the exported folds differ from the run by {worst:.3g}, allowed {TOLERANCE:.3g}")
    names = [label.id for label in set_.labels]
    return {**scores.summary(answers[real], set_.accepted[real], names), "worst_difference": worst}


def _replace_head(graph: Path, linear: Linear, path: Path) -> None:
    """Copy the graph with another classifier in it: same backbone, another fold's weights."""
    model = onnx.load(graph)
    values = {"linear.weight": linear.weight.T, "linear.bias": linear.bias}
    for initializer in model.graph.initializer:
        if initializer.name in values:
            value = np.ascontiguousarray(values.pop(initializer.name), np.float32)
            initializer.CopyFrom(numpy_helper.from_array(value, initializer.name))
    if values:
        raise bundle.ParityError(f"{graph}: has no initializer named {', '.join(values)}")
    onnx.save(model, path)


def main(
    run: Annotated[Path, typer.Option(help="a finished run folder of train")],
    to: Annotated[Path, typer.Option(help="the bundle to write, <root>/classify/<version>")],
    golden: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="a picture that may be distributed")],
    cache: Annotated[Path | None, typer.Option(help="the --cache of train, where it was given")] = None,
) -> None:
    """Export a run as a bundle."""
    if not (run / "oof.npz").is_file():
        fail(f"{run}: holds no finished run; train it first")
    try:
        written = export(run, to, golden, cache)
    except (datasets.DataError, bundle.ParityError, models.BundleError) as error:
        fail(str(error))
    typer.echo(f"exported: {written}")


if __name__ == "__main__":
    typer.run(main)
