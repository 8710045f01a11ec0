"""The table that matters: trained on renders only, on real photographs only, on both; each scored on works never seen.

    python -m training.classify.data assemble --shared DATA --out types/labels.csv --renders TYPES/index.csv
    python -m training.classify.origins --data types/labels.csv --out FOLDER

Writes ``origins.json`` and prints the table. Five folds by work, of photographs and renders alike. A few seconds once the
features are in the cache of a run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from training.classify import data as datasets
from training.classify import features, head, scores
from training.classify.backbones import WeightsUnavailable
from training.classify.config import Config
from training.classify.train import RENDERS, fail
from training.common import runs

OUTDOOR = "sculpture_public_art"
Table = dict[str, dict[str, dict[str, Any]]]


def compare(data: Path, config: Config, cache: Path) -> Table:
    """{trained on: {scored on: summary}}, where scored on is real photographs, those outdoors, and renders.

    Raises ``DataError`` for a table without renders or without photographs, and ``WeightsUnavailable``.
    """
    set_ = datasets.load(data, (config.size, config.size), config.resize, cache)
    rendered = set_.sources == RENDERS
    real = ~rendered & ~set_.others
    if not (rendered.any() and real.any()):
        raise datasets.DataError(f"{data}: needs photographs and {RENDERS}; assemble it with --renders")
    views = features.extract(set_.pixels, config, cache)
    fold = datasets.folds(set_, config.folds, config.seed)
    scored = {"real": real, "outdoor": real & (set_.sources == OUTDOOR), RENDERS: rendered}
    names = [label.id for label in set_.labels]
    table: Table = {}
    for trained, chosen in {"renders only": rendered, "real only": real, "both": rendered | real}.items():
        logits = np.zeros(set_.accepted.shape)
        for number in range(config.folds):
            seen = chosen & (fold != number)
            linear, _ = head.fit(views[seen], set_.accepted[seen], set_.sources[seen], config)
            test = fold == number
            logits[test] = linear.logits(views[test, 0])
        table[trained] = {
            name: scores.summary(logits[rows], set_.accepted[rows], names) for name, rows in scored.items() if rows.any()
        }
    return table


def markdown(table: Table) -> str:
    """A row for each pair of trained and scored on, with F1 by type."""
    types = list(dict.fromkeys(type_ for row in table.values() for summary in row.values() for type_ in summary["types"]))
    lines = [
        "| trained on | scored on | accuracy | macro F1 | " + " | ".join(type_.replace("_", " ") for type_ in types) + " |",
        "|" + "---|" * (4 + len(types)),
    ]
    for scored in next(iter(table.values())):
        for trained, row in table.items():
            summary = row[scored]
            by_type = [f"{summary['types'][type_]['f1']:.2f}" if type_ in summary["types"] else "" for type_ in types]
            figures = [f"{summary['accuracy']:.3f}", f"{summary['macro_f1']:.3f}", *by_type]
            lines.append(f"| {trained} | {scored}, {summary['photographs']} | " + " | ".join(figures) + " |")
    return "\n".join(lines)


def main(
    data: Annotated[Path, typer.Option(help="table of `assemble --renders`")],
    out: Annotated[Path, typer.Option(help="folder for origins.json")],
    cache: Annotated[Path | None, typer.Option(help="where pixels and features are kept; OUT/cache by default")] = None,
) -> None:
    """Compare training on renders, on photographs, and on both."""
    config = Config()
    try:
        table = compare(data, config, cache or out / "cache")
    except (datasets.DataError, WeightsUnavailable) as error:
        fail(str(error))
    runs.write_json(out / "origins.json", table)
    typer.echo(markdown(table))


if __name__ == "__main__":
    typer.run(main)
