"""The words of the bundle: what it was trained on, what it is for, and its model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from training.classify.config import Config
from training.common.bundle import Dataset, Label

INTENDED = "Propose a type for a photograph of a sculpture, to be confirmed by a cataloguer, or abstain."
NOT_FOR = (
    "Photographs that show no sculpture; dating, attribution or authenticity; deciding anything without a person who looks. "
    "Rare types (fragment, installation, organic form) are often missed outdoors: read the figures by type in the card."
)

_WITHOUT_RENDERS = """
No renders are among it: beside photographs they cost more on photographs than they bring; README, "Renders, photographs,
or both".
"""
_EGYPT = "keyword labels, corrected by eye where corrections.csv says so; photographs are the museums' open access"
_KNOWN = {
    "sculpture_public_art": ("none stated; research use, never shown", "outdoor and museum sculpture, labelled by eye"),
    "sculpture_egypt_museums": ("CC0 or public domain by the museums' programmes", _EGYPT),
    "sculpture_thai_heads": ("none stated; research use, never shown", "Buddha heads and figures, typed by eye"),
    "sculpture_met_figures": ("CC0", "The Met, open access"),
    "sculpture_floating_buddhas": ("none stated; research use, never shown", "Thai Buddha statuettes, all figures"),
    "backgrounds": ("CC0, free, and 15-Scene for research", "no sculpture: landscapes, streets, rooms"),
    "paintings_masters": ("works in the public domain; sources state none", "no sculpture: paintings, half of them landscapes"),
    "artefacts_egypt_museums": ("CC0 or public domain by the museums' programmes", "no sculpture: vessels, tools, jewels"),
    "masks_weizmann_horses": ("research use, never shown", "no sculpture: live horses"),
    "renders": ("Apache-2.0", "made by python -m training.render types"),
}


def datasets(sources: Mapping[str, int]) -> tuple[Dataset, ...]:
    """One entry per source, with the licence where this repository knows it."""
    entries = []
    for name, items in sources.items():
        licence, note = _KNOWN.get(name, ("not stated", ""))
        entries.append(Dataset(name=name, items=items, licence=licence, note=note))
    return tuple(entries)


def text(config: Config, labels: Sequence[Label], sources: Mapping[str, int], metrics: Mapping[str, Any]) -> str:
    """MODEL_CARD.md; every figure is from ``metrics``."""
    total, abstention = metrics["all"], metrics["abstention"]
    by_type = "\n".join(
        f"| {name} | {row['support']} | {row['precision']:.2f} | {row['recall']:.2f} | {row['f1']:.2f} |"
        for name, row in total["types"].items()
    )
    by_source = "\n".join(
        f"| {name} | {row['photographs']} | {row['accuracy']:.3f} | {row['macro_f1']:.3f} |"
        for name, row in metrics["sources"].items()
    )
    trained_on = "\n".join(f"| {entry.name} | {entry.items} | {entry.licence} | {entry.note} |" for entry in datasets(sources))
    answered = "\n".join(
        f"| {name} | {row['coverage']:.0%} | {row['precision']:.1%} |" for name, row in abstention["sources"].items()
    )
    without_renders = "" if "renders" in sources else _WITHOUT_RENDERS
    others = "\n".join(f"| {name} | {share:.1%} |" for name, share in abstention["others"].items())
    folds = metrics["folds"]
    return f"""# classify: {", ".join(label.name.lower() for label in labels)}

{config.backbone} with ImageNet weights, frozen; a softmax regression on its features; {config.size} x {config.size} RGB,
{config.resize.value}. A second one on the same features tells sculptures from what is none. The class activation map of the
first is an output too. Recipe and commands: `training/classify/README.md`.

**For**: {INTENDED}

**Not for**: {NOT_FOR}

## Trained on

| set | photographs | licence | note |
|---|---|---|---|
{trained_on}
{without_renders}
## Measured

By `python -m training.classify.evaluate --run RUN`: {metrics["scheme"]}. The shipped weights are the same recipe on all of it;
each fold's exported graph was scored again by ONNX Runtime: accuracy {metrics["exported"]["accuracy"]:.3f}, macro F1
{metrics["exported"]["macro_f1"]:.3f}. A photograph labelled head-or-bust is right as either.

Accuracy {total["accuracy"]:.3f} (folds {folds["accuracy"]["mean"]:.3f} ± {folds["accuracy"]["std"]:.3f}), macro F1
{total["macro_f1"]:.3f} (folds {folds["macro_f1"]["mean"]:.3f} ± {folds["macro_f1"]["std"]:.3f}), over
{total["photographs"]} photographs.

| type | photographs | precision | recall | F1 |
|---|---|---|---|---|
{by_type}

| source | photographs | accuracy | macro F1 over its types |
|---|---|---|---|
{by_source}

Calibration: temperature {metrics["temperature"]:.2f}; expected calibration error {metrics["ece_before"]:.3f} before,
{metrics["ece"]:.3f} after. Below a probability of {abstention["abstain_below"]:.3f} the service abstains: the lowest
at which every source of 50 photographs or more is answered with a precision of {config.precision:.2f}, and
{config.abstained:.0%} of what shows no sculpture is abstained from, its sources counting alike. Held against it is the
probability of the best type times that of a sculpture. There
{abstention["coverage"]:.0%} of all photographs are answered, {abstention["precision"]:.1%} of them rightly.

| source | answered | rightly |
|---|---|---|
{answered}

| no sculpture; each set judged by classifiers that saw none of it | abstained from |
|---|---|
{others}

Probabilities are calibrated over these sets together; outdoors they are too sure.
"""
