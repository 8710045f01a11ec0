"""The report's uncertainty against the truth, with the shipped model: on renders, and on the same hidden in noise."""

from __future__ import annotations

import io
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image

from services.common import images, models
from services.remove_background.predictor import Parameters, Predictor
from tests.serving import ROOT

RENDERS = Path(__file__).parent / "renders"


def dice(mask: np.ndarray, truth: np.ndarray) -> float:
    return float(2 * np.count_nonzero(mask & truth) / (np.count_nonzero(mask) + np.count_nonzero(truth)))


def test_uncertainty_tells_worse_masks_from_better_ones() -> None:
    bundle = models.load(models.latest(ROOT / "exported_models", "remove_background"))
    predictor = Predictor(bundle)
    rng = np.random.default_rng(3)
    seen = []
    for path in sorted(RENDERS.glob("*.jpg")):
        pixels = np.asarray(Image.open(path).convert("RGB"))
        truth = np.asarray(Image.open(path.with_suffix(".png"))) > 127
        hidden = (pixels * 0.3 + 60 + rng.normal(0, 20, pixels.shape)).clip(0, 255).astype(np.uint8)
        for shown in (pixels, hidden):
            outputs = {name: value[0] for name, value in bundle.run(bundle.prepare(shown)[None]).items()}
            answer = predictor.answer(images.Decoded(shown, *shown.shape[1::-1], "PNG", 1), outputs, Parameters())
            mask = np.asarray(Image.open(io.BytesIO(answer.mask))) > 127
            # Of an object that was missed for sure, `empty` tells, and no probability can.
            if not answer.report.empty:
                seen.append((dice(mask, truth), answer.report.uncertainty))
    pairs = [sorted(pair) for pair in combinations(seen, 2) if abs(pair[0][0] - pair[1][0]) >= 0.03]
    assert len(pairs) > 20, "the pictures are masked too evenly well to tell anything"
    told = np.mean([worse[1] > better[1] for worse, better in pairs])
    assert told > 0.7, f"{told:.2f} of {len(pairs)} pairs are in order; chance is 0.5"
