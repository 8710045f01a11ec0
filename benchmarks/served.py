"""How good mask models are as they are served, beside one another and a larger network, on pictures of one side of the split.

    python -m benchmarks.served --side test --made STREETS --pairs data/masks_ecssd --backgrounds data/scenes_empty \\
      --sequences data/sculpture_sequences/gustav_ii_adolf --model OLD/0.2.0 \\
      --model exported_models/remove_background/0.3.0 --peer isnet.onnx --json benchmarks/results/masks_test.json

The sets are those of ``training.remove_background.evaluate``. Times are CPU times of one thread from the file's bytes to the
mask. How far ``uncertainty`` finds the bad masks: its rank correlation with 1 - Dice (Spearman); and, where masks are flagged
from ``--flag`` on, how many of the worst tenth by Dice are flagged and of the better half. An empty mask, of which the report
says so, counts as flagged and as most uncertain.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image
from scipy import stats
from tqdm import tqdm

from benchmarks.masks import LIMITS, Masker
from services.common import images
from training.common import runs
from training.remove_background import evaluate, split, teacher

SIZE = (evaluate.SIDE, evaluate.SIDE)
# bytes -> mask bool [h, w], and the report's uncertainty; 1 where it is empty.
Way = Callable[[bytes], tuple[np.ndarray, float]]


def main(
    model: Annotated[list[Path], typer.Option(exists=True, file_okay=False, help="a bundle; may be repeated")],
    side: Annotated[split.Side, typer.Option(help="whose pictures")] = split.Side.DEVELOPMENT,
    renders: Annotated[Path | None, typer.Option(exists=True, file_okay=False)] = None,
    pairs: Annotated[list[Path] | None, typer.Option(exists=True, file_okay=False)] = None,
    made: Annotated[list[Path] | None, typer.Option(exists=True, file_okay=False)] = None,
    sequences: Annotated[list[Path] | None, typer.Option(exists=True, file_okay=False)] = None,
    backgrounds: Annotated[list[Path] | None, typer.Option(exists=True, file_okay=False)] = None,
    peer: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="ISNet as ONNX")] = None,
    peer_size: Annotated[int, typer.Option(min=64, help="side of the peer's input, pixels")] = 1024,
    strong: Annotated[list[float] | None, typer.Option(min=0, max=0.9999, help="in the manifest's place; repeat")] = None,
    looks: Annotated[int, typer.Option(min=1, max=2, help="1: never a second look")] = 1,
    flag: Annotated[float, typer.Option(min=0, max=1, help="uncertainty from which a mask is flagged")] = 0.5,
    json_path: Annotated[Path | None, typer.Option("--json", help="also write the means as JSON")] = None,
    pictures: Annotated[Path | None, typer.Option(help="also write a row for each picture as JSON")] = None,
) -> None:
    """Print two Markdown tables: means over pictures in per cent by set and model, and what uncertainty tells."""
    folders = evaluate.Folders(renders, pairs or (), made or (), sequences or (), backgrounds or ())
    ways: dict[str, Way] = {path.name: ours(Masker(path), looks) for path in model if not strong}
    ways |= {f"{path.name}, strong {peak:g}": ours(Masker(path, strong=peak), looks) for path in model for peak in strong or ()}
    if peer:
        ways["ISNet"] = larger(peer, peer_size)
    rows = [
        {"set": name, "picture": picture.stem, "model": way, **score(answer, picture, truth)}
        for name, each in evaluate.pictures(side, folders).items()
        for picture, truth in tqdm(each, name, disable=None)
        for way, answer in ways.items()
    ]
    means = {name: {way: _means(rows, name, way) for way in ways} for name in dict.fromkeys(row["set"] for row in rows)}
    typer.echo("| set | pictures | model | Dice % | boundary F % | left empty % | CPU ms |\n|---|---|---|---|---|---|---|")
    for name, by_way in means.items():
        for way, mean in by_way.items():
            cells = [f"{100 * mean[key]:.1f}" if key in mean else "" for key in ("dice", "boundary_f", "left_empty")]
            typer.echo(f"| {name} | {mean['n']:.0f} | {way} | {' | '.join(cells)} | {1000 * mean['seconds']:.0f} |")
    told = {way: tells(rows, way, flag) for way in ways if way != "ISNet"}
    typer.echo(
        "\n| model | pictures | rank correlation | flagged of the worst tenth % | of the better half % |\n|---|---|---|---|---|"
    )
    for way, found in told.items():
        typer.echo(
            f"| {way} | {found['n']:.0f} | {found['rank']:.2f} | {100 * found['worst']:.0f} | {100 * found['better']:.0f} |"
        )
    if json_path:
        command = runs.command("benchmarks.served")
        runs.write_json(json_path, {"command": command, "means": means, "uncertainty": told})
    if pictures:
        runs.write_json(pictures, rows)


def ours(masker: Masker, looks: int) -> Way:
    def answer(data: bytes) -> tuple[np.ndarray, float]:
        removal = masker.answer(data, looks)
        doubt = 1.0 if removal.report.empty else removal.report.uncertainty
        return np.asarray(Image.open(io.BytesIO(removal.mask))) > 127, doubt

    return answer


def larger(path: Path, side: int) -> Way:
    session = teacher.open_session(path, side, threads=1)

    def answer(data: bytes) -> tuple[np.ndarray, float]:
        return teacher.label(session, images.decode(data, LIMITS, images.Frame.DISPLAY).pixels) > 127, 0.0

    return answer


def score(answer: Way, picture: Path, truth: evaluate.Truth) -> dict[str, float]:
    """Of one picture: the scores of ``evaluate``, seconds and uncertainty."""
    data, began = picture.read_bytes(), time.process_time()
    mask, uncertainty = answer(data)
    seconds = time.process_time() - began
    small = np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).resize(SIZE, Image.Resampling.BILINEAR)) > 127
    return {**evaluate.score(small, truth), "seconds": seconds, "uncertainty": uncertainty}


def tells(rows: list[dict[str, object]], way: str, flag: float) -> dict[str, float]:
    """How far the uncertainty finds the bad masks among all pictures that hold an object."""
    dice, uncertain = (
        np.array([row[key] for row in rows if row["model"] == way and "dice" in row], float) for key in ("dice", "uncertainty")
    )
    order = np.argsort(dice)
    worst, better = order[: max(1, len(order) // 10)], order[len(order) // 2 :]
    flagged = uncertain >= flag
    rank = float(stats.spearmanr(uncertain, 1 - dice).statistic) if len(dice) > 2 else 0.0
    return {"n": len(dice), "rank": rank, "worst": float(flagged[worst].mean()), "better": float(flagged[better].mean())}


def _means(rows: list[dict[str, object]], name: str, way: str) -> dict[str, float]:
    found = [row for row in rows if row["set"] == name and row["model"] == way]
    keys = [key for key in found[0] if key not in ("set", "picture", "model")]
    return {"n": len(found), **{key: float(np.mean([float(str(row[key])) for row in found])) for key in keys}}


if __name__ == "__main__":
    typer.run(main)
