"""How many clicks a mask takes, and how far a few corrected masks carry through a set.

    python -m benchmarks.interactive clicks --pairs data/masks_ecssd --pairs data/masks_davis_frames --renders STREETS \\
      --count 24 --seed 14 --out CLICKS --json benchmarks/results/interactive_clicks.json
    python -m benchmarks.interactive sets --walk WALK1 --walk WALK2 ... --sequence data/sculpture_sequences/gustav_ii_adolf \\
      --out SETS --json benchmarks/results/interactive_sets.json
    python -m benchmarks.interactive costs --picture WALK1/images/view_0000.jpg --json benchmarks/results/interactive_costs.json

``clicks``: the field's robot user (Xu et al. 2016, as in f-BRS, Sofiiuk et al. 2020): the first click in the middle of the
object, each next in the middle of the largest region of error; NoC@85 and NoC@90 are the clicks until the intersection over
union is .85 and .90, at most 20. GrabCut of OpenCV (Rother et al. 2004) is clicked at by the same user. Pictures are of the
test side; DAVIS frames, whose rule has no test side, are of the development side, on which the mechanism was chosen.
``sets``: from 1, 2, 4 and 8 masks, evenly spread over the set, to the wrong pixels of the others as a share of before.
``--out`` gets the curve and overlays: red is taken for object and is none, blue is object and missed.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer
from matplotlib.figure import Figure
from PIL import Image
from tqdm import tqdm

from services.common import images, models
from services.remove_background.adapters import Adapter, learn
from services.remove_background.hints import Hints
from services.remove_background.predictor import Lesson, Parameters, Predictor
from training.common import photographs, runs
from training.remove_background import drawn, split

MOST_CLICKS, CURVE = 20, 10
LONGEST = 1024  # of an overlay's row
Mask = np.ndarray
Clicks = list[tuple[int, int, bool]]
Bundle = Annotated[Path | None, typer.Option(exists=True, file_okay=False, help="default: the newest shipped")]
Out = Annotated[Path, typer.Option(help="gets pictures to look at")]
Json = Annotated[Path | None, typer.Option("--json")]
app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)


class Service:
    """The predictor as it is served, without a transport."""

    def __init__(self, bundle: Path | None) -> None:
        self.bundle = models.load(bundle or models.latest(Path("exported_models"), "remove_background"))
        self.predictor = Predictor(self.bundle)

    def decode(self, data: bytes) -> images.Decoded:
        size = self.bundle.manifest.input
        return images.decode(data, images.Limits(), images.Frame.DISPLAY, shrink_to=2 * max(size.height, size.width))

    def mask(self, data: bytes, **values: Any) -> Mask:
        photograph, parameters = self.decode(data), Parameters(frame=images.Frame.DISPLAY, **values)
        prepared = self.bundle.prepare(photograph.pixels)
        if parameters.guided:
            outputs = self.predictor.guided_outputs(photograph, prepared, parameters)
        else:
            outputs = {name: value[0] for name, value in self.bundle.run(prepared[None]).items()}
            if (view := self.predictor.second_view(photograph, outputs, parameters)) is not None:
                outputs["second_probability"] = self.bundle.run(view[None])["probability"][0]
        removal: Any = self.predictor.answer(photograph, outputs, parameters)
        return np.asarray(Image.open(io.BytesIO(removal.mask))) > 127

    def learn(self, examples: Sequence[tuple[bytes, Mask]]) -> tuple[Adapter, Any]:
        lessons = []
        for data, mask in examples:
            lesson = Lesson(frame=images.Frame.DISPLAY, mask=_png(mask))
            lessons.append(self.predictor.example(self.decode(data), lesson).views)
        message = learn(lessons, self.bundle.manifest)
        return Adapter.read(message), message

    def clicked(self, data: bytes, clicks: Clicks) -> Mask:
        points = [{"x": x + 0.5, "y": y + 0.5, "mark": "object" if inside else "background"} for x, y, inside in clicks]
        return self.mask(data, hints=Hints.model_validate({"points": points}))


def grabcut(data: bytes, clicks: Clicks) -> Mask:
    """GrabCut with the clicks as sure places; before the first negative one, what is far from the first click is background."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    height, width = pixels.shape[:2]
    state = np.full((height, width), cv2.GC_PR_BGD, np.uint8)
    cv2.circle(state, clicks[0][:2], min(height, width) // 4, int(cv2.GC_PR_FGD), -1)
    for x, y, inside in clicks:
        cv2.circle(state, (x, y), max(2, max(height, width) // 100), int(cv2.GC_FGD if inside else cv2.GC_BGD), -1)
    cv2.setRNGSeed(0)
    cv2.grabCut(pixels, state, None, np.zeros((1, 65)), np.zeros((1, 65)), 5, cv2.GC_INIT_WITH_MASK)
    return np.asarray((state == cv2.GC_FGD) | (state == cv2.GC_PR_FGD))


def next_click(mask: Mask, truth: Mask) -> tuple[int, int, bool] | None:
    """The place deepest in the largest region of error, and whether it is object; None where there is no error."""
    best, found = 0, None
    for inside in (True, False):
        wrong = np.pad((truth & ~mask) if inside else (mask & ~truth), 1).astype(np.uint8)
        count, regions, facts, _ = cv2.connectedComponentsWithStats(wrong)
        if count < 2:
            continue
        largest = 1 + int(facts[1:, cv2.CC_STAT_AREA].argmax())
        if (area := int(facts[largest, cv2.CC_STAT_AREA])) > best:
            depth = cv2.distanceTransform((regions == largest).astype(np.uint8), cv2.DIST_L2, 5)
            y, x = np.unravel_index(int(depth.argmax()), depth.shape)
            best, found = area, (int(x) - 1, int(y) - 1, inside)
    return found


def robot(way: Callable[[bytes, Clicks], Mask], before: Mask, data: bytes, truth: Mask) -> list[tuple[float, float]]:
    """(Dice, intersection over union) after 0, 1, 2 ... clicks, until 20, or .90 after ten."""
    clicks: Clicks = []
    mask, scores = before, [score(before, truth)]
    while len(clicks) < MOST_CLICKS and (len(clicks) < CURVE or max(iou for _, iou in scores) < 0.9):
        # The first is in the middle of the object, whatever the network thinks of it.
        click = next_click(mask if clicks else np.zeros_like(truth), truth)
        if click is None:
            break
        clicks.append(click)
        mask = way(data, clicks)
        scores.append(score(mask, truth))
    return scores


def score(mask: Mask, truth: Mask) -> tuple[float, float]:
    both, either = int((mask & truth).sum()), int((mask | truth).sum())
    return (2 * both / (both + either), both / either) if either else (1.0, 1.0)


@app.command()
def clicks(
    out: Out,
    pairs: Annotated[list[Path] | None, typer.Option(exists=True, file_okay=False, help="masked by hand")] = None,
    renders: Annotated[list[Path] | None, typer.Option(exists=True, file_okay=False, help="all are taken")] = None,
    count: Annotated[int, typer.Option(min=1, help="pictures of each set at most")] = 24,
    seed: int = 0,
    model: Bundle = None,
    json_path: Json = None,
) -> None:
    """Clicks until a mask is good, beside GrabCut."""
    service, rng = Service(model), np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for folder in (*(pairs or ()), *(renders or ())):
        found = _pictures(folder, renders or ())
        for index in tqdm(sorted(rng.permutation(len(found))[:count]), folder.name, disable=None):
            data, truth = found[index].read_bytes(), _mask(folder / "masks" / f"{found[index].stem}.png")
            empty = np.zeros_like(truth)
            for name, way, before in (("ours", service.clicked, service.mask(data)), ("GrabCut", grabcut, empty)):
                scores = robot(way, before, data, truth)
                rows.append({"set": folder.name, "picture": found[index].stem, "way": name, "scores": scores})
    means = {}
    for name in dict.fromkeys(row["set"] for row in rows):
        means[name] = {
            way: _clicks_means([r for r in rows if (r["set"], r["way"]) == (name, way)]) for way in ("ours", "GrabCut")
        }
    typer.echo(
        "| set | pictures | way | NoC@85 | NoC@90 | not in 20 | Dice % after 0, 1, 2, 3, 5, 10 |\n|---|---|---|---|---|---|---|"
    )
    for name, by_way in means.items():
        for way, row in by_way.items():
            curve = ", ".join(f"{100 * row['dice'][i]:.1f}" for i in (0, 1, 2, 3, 5, 10))
            typer.echo(f"| {name} | {row['n']} | {way} | {row['noc85']:.2f} | {row['noc90']:.2f} | {row['failed']} | {curve} |")
    _curve(means, out / "clicks.png")
    if json_path:
        runs.write_json(json_path, {"command": runs.command("benchmarks.interactive"), "means": means, "pictures": rows})


@app.command()
def sets(
    out: Out,
    walk: Annotated[list[Path] | None, typer.Option(exists=True, file_okay=False, help="of benchmarks.walks")] = None,
    sequence: Annotated[list[Path] | None, typer.Option(exists=True, file_okay=False, help="with masks in `drawn`")] = None,
    rest: Annotated[int, typer.Option(min=1, help="of the other photographs, so many at most are looked at")] = 8,
    model: Bundle = None,
    json_path: Json = None,
) -> None:
    """Wrong pixels on the rest of a set as a share of before."""
    service = Service(model)
    found: dict[str, list[tuple[bytes, Mask]]] = {}
    for folder in walk or ():
        paths = photographs.find(folder / "images")
        found[folder.name] = [(path.read_bytes(), _mask(folder / "masks" / f"{path.stem}.png")) for path in paths]
    for folder in sequence or ():
        found[folder.name] = [(path.read_bytes(), mask) for path, mask in drawn.masks(folder)]
    rows: list[dict[str, Any]] = []
    typer.echo(
        "| set | corrected | of the rest | wrong pixels, share of before | Dice % before | after | told before | told after |"
    )
    typer.echo("|---|---|---|---|---|---|---|---|")
    for name, views in found.items():
        before: dict[int, Mask] = {}
        for corrected in (1, 2, 4, 8):
            if corrected > len(views) * 2 // 3:
                continue
            chosen = [index * len(views) // corrected for index in range(corrected)]
            others = [index for index in range(len(views)) if index not in chosen]
            others = [others[i * len(others) // min(rest, len(others))] for i in range(min(rest, len(others)))]
            began = time.process_time()
            adapter, message = service.learn([views[index] for index in chosen])
            seconds = time.process_time() - began
            after = {index: service.mask(views[index][0], adapter=adapter) for index in others}
            before |= {index: service.mask(views[index][0]) for index in others if index not in before}
            wrong = [sum(int((masks[i] != views[i][1]).sum()) for i in others) for masks in (before, after)]
            dice = [float(np.mean([score(masks[i], views[i][1])[0] for i in others])) for masks in (before, after)]
            told = (message.dice_before, message.dice_after) if corrected > 1 else (None, None)
            rows.append(
                {"set": name, "corrected": corrected, "rest": len(others), "share": wrong[1] / max(wrong[0], 1)}
                | {"dice_before": dice[0], "dice_after": dice[1], "told": told, "seconds_an_example": seconds / corrected}
            )
            said = [f"{100 * value:.1f}" if value is not None else "" for value in told]
            typer.echo(
                f"| {name} | {corrected} | {len(others)} | {rows[-1]['share']:.2f} | "
                f"{100 * dice[0]:.1f} | {100 * dice[1]:.1f} | {said[0]} | {said[1]} |"
            )
            if corrected in (1, 2, 4):
                _overlays([(*views[i], before[i], after[i]) for i in others[:4]], out / f"{name}_{corrected}.png")
        if json_path:  # after each set: what is measured survives a kill
            runs.write_json(json_path, {"command": runs.command("benchmarks.interactive"), "rows": rows})


@app.command()
def costs(
    picture: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="enlarged to 12 megapixels")],
    rounds: Annotated[int, typer.Option(min=1)] = 7,
    model: Bundle = None,
    json_path: Json = None,
) -> None:
    """CPU time of a click beyond the mask, and of an example, at 12 megapixels."""
    service = Service(model)
    stream = io.BytesIO()
    Image.open(picture).convert("RGB").resize((4000, 3000), Image.Resampling.BICUBIC).save(stream, "JPEG", quality=92)
    data = stream.getvalue()
    truth = service.mask(data)
    ways: dict[str, Callable[[], Any]] = {
        "mask": lambda: service.mask(data),
        "mask after one click": lambda: service.clicked(data, [(2000, 1500, True)]),
        "mask after ten clicks": lambda: service.clicked(data, [(200 + 300 * i, 1500, i % 2 == 0) for i in range(10)]),
        "an example of eight": lambda: service.learn([(data, truth)] * 8),
        "an example of one": lambda: service.learn([(data, truth)]),
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()
    for _ in range(rounds):
        for name, way in ways.items():
            began = time.process_time()
            way()
            found[name].append((time.process_time() - began) / (8 if name.endswith("eight") else 1))
    medians = {name: float(np.median(seconds)) for name, seconds in found.items()}
    for name, seconds in medians.items():
        typer.echo(f"{name}: {1000 * seconds:.0f} ms")
    if json_path:
        runs.write_json(json_path, {"command": runs.command("benchmarks.interactive"), "medians": medians})


def _pictures(folder: Path, renders: Sequence[Path]) -> list[Path]:
    """Of the test side; of the development side where a folder has no test."""
    found = photographs.find(folder / "images")
    if folder in renders:
        return found
    group = split.groups(folder)
    sides = {path: split.side(folder.name, group(path.stem)) for path in found}
    for side in (split.Side.TEST, split.Side.DEVELOPMENT):
        if ours := [path for path in found if sides[path] is side]:
            return ours
    raise typer.BadParameter(f"{folder} is all for training")


def _clicks_means(rows: list[dict[str, Any]]) -> dict[str, Any]:
    def until(scores: list[tuple[float, float]], least: float) -> int:
        return next((i for i, (_, iou) in enumerate(scores) if i and iou >= least), MOST_CLICKS)

    # Who is done before the tenth click stays as good.
    curves = [[scores[min(i, len(scores) - 1)][0] for i in range(CURVE + 1)] for scores in (row["scores"] for row in rows)]
    return {
        "n": len(rows),
        "noc85": float(np.mean([until(row["scores"], 0.85) for row in rows])),
        "noc90": float(np.mean([until(row["scores"], 0.9) for row in rows])),
        "failed": sum(max(iou for _, iou in row["scores"]) < 0.9 for row in rows),
        "dice": np.mean(curves, 0).tolist(),
    }


def _curve(means: dict[str, Any], path: Path) -> None:
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for colour, (name, by_way) in zip(("C0", "C1", "C2", "C3"), means.items(), strict=False):
        for way, row in by_way.items():
            axes.plot(range(CURVE + 1), row["dice"], "-o" if way == "ours" else "--x", color=colour, label=f"{name}, {way}")
    axes.set(xlabel="clicks", ylabel="Dice, mean over pictures", ylim=(0, 1))
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    with runs.whole(path) as temporary:
        figure.savefig(temporary, dpi=130, format="png")


def _overlays(views: Sequence[tuple[bytes, Mask, Mask, Mask]], path: Path) -> None:
    """Before above after, a column each."""
    rows = []
    for place in (2, 3):
        cells = []
        for view in views:
            pixels = np.array(Image.open(io.BytesIO(view[0])).convert("RGB"))
            truth, mask = view[1], view[place]
            pixels[~mask] //= 3
            pixels[mask & ~truth] = (255, 0, 0)
            pixels[truth & ~mask] = (60, 60, 255)
            width = LONGEST // len(views)
            cells.append(np.asarray(Image.fromarray(pixels).resize((width, width * 3 // 4))))
        rows.append(np.hstack(cells))
    with runs.whole(path) as temporary:
        Image.fromarray(np.vstack(rows)).save(temporary, format="PNG")


def _mask(path: Path) -> Mask:
    return np.asarray(Image.open(path).convert("L")) > 127


def _png(mask: Mask) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(stream, "PNG")
    return stream.getvalue()


if __name__ == "__main__":
    app()
