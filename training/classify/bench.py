"""The rows of the comparison with the paper: one set of photographs, one set of folds, many ways to answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache as memoise
from pathlib import Path

import numpy as np
from tqdm import tqdm

from services.common.images import ResizeRule
from training.classify import adam, draws, finetune, surroundings, tune
from training.classify import data as datasets
from training.common import runs

PAPER, COLOUR, FROZEN = "paper", "colour", "frozen"


@dataclass(frozen=True)
class Settings:
    """``draws`` of TrivialAugmentWide; ``trials`` a fold; ``fine_folds`` of the folds are fine-tuned, at ``fine_size``."""

    backbone: str = "efficientnet_lite0"
    size: int = 160
    sizes: tuple[int, ...] = (128, 160, 224)  # what the search chooses among
    folds: int = 5
    seed: int = 0
    epochs: int = 100
    draws: int = 1
    trials: int = 10
    fine_size: int = 128
    fine_folds: int = 3


class Bench:
    """The photographs, their folds and their features; every method of a row gives held-out logits."""

    def __init__(self, data: Path, masks: Path, out: Path, settings: Settings) -> None:
        self.out, self.settings, self.masks, self.cache = out, settings, masks, out / "cache"
        self.data = data
        self.set = datasets.load(data, (settings.size,) * 2, ResizeRule.SQUASH, self.cache)
        if self.set.others.any():
            raise datasets.DataError(f"{data}: holds photographs without sculpture; assemble it without --others")
        self.accepted = self.set.accepted
        self.fold = datasets.folds(self.set, settings.folds, settings.seed)
        self.recipe = adam.Recipe(epochs=settings.epochs)
        # The search asks for the same features trial after trial.
        self.features = memoise(self._features)

    def _pixels(self, kind: str, size: int) -> np.ndarray:
        if size != self.settings.size:
            # From the files again, not from the smaller picture.
            set_ = datasets.load(self.data, (size, size), ResizeRule.SQUASH, self.cache)
            if set_.photos != self.set.photos:
                raise datasets.DataError(f"{self.data}: changed while it was read; choose another --out")
            return set_.pixels
        if kind == "grey":
            return draws.grey(self.set.pixels)
        if kind in ("object", "surroundings"):
            objects = surroundings.masks(self.set.pixels, self.masks, self.cache)
            return {"object": surroundings.without_background, "surroundings": surroundings.without_object}[kind](
                self.set.pixels, objects
            )
        return self.set.pixels

    def _features(self, kind: str, size: int, draw: int) -> np.ndarray:
        settings = self.settings
        return draws.extract(self._pixels(kind, size), settings.backbone, size, draw, settings.seed, self.cache)

    def augmented(self, kind: str, size: int) -> tuple[list[np.ndarray], np.ndarray]:
        """The draws to train on and the plain features to score."""
        drawn = [self.features(kind, size, draw) for draw in range(1, self.settings.draws + 1)]
        return drawn, self.features(kind, size, 0)

    def adam(self, kind: str, recipe: adam.Recipe, *, augment: bool = False, size: int = 0) -> np.ndarray:
        size = size or self.settings.size
        plain = self.features(kind, size, 0)
        drawn = self.augmented(kind, size)[0] if augment else [plain]

        def fit(test: np.ndarray) -> np.ndarray:
            return tune.fit(drawn, plain, self.accepted, ~test, test, recipe, self.settings.seed)

        return self.cross(fit)

    def cross(self, fit: Callable[[np.ndarray], np.ndarray], folds: int | None = None) -> np.ndarray:
        """Logits float32 [n, classes], each photograph's by the fold that never saw its work; NaN in folds not run."""
        held_out = np.full(self.accepted.shape, np.nan, np.float32)
        for number in tqdm(range(folds or self.settings.folds), desc="folds", unit="fold", disable=None):
            test = self.fold == number
            held_out[test] = fit(test)
        return held_out

    def tuned(self) -> np.ndarray:
        settings, found = self.settings, []

        def candidates(size: int, augmentation: str) -> tuple[list[np.ndarray], np.ndarray]:
            if augmentation == "none":
                plain = self.features("colour", size, 0)
                return [plain], plain
            return self.augmented("colour", size)

        def fit(test: np.ndarray) -> np.ndarray:
            number = int(self.fold[test][0])
            journal = self.out / "optuna.db"
            recipe, size, augmentation = tune.search(
                candidates,
                self.accepted,
                self.fold,
                number,
                self.recipe,
                settings.sizes,
                settings.trials,
                settings.seed,
                journal,
            )
            found.append({"rate": recipe.rate, "weight_decay": recipe.weight_decay, "balance": recipe.balance})
            found[-1] |= {"size": size, "augmentation": augmentation}
            drawn, plain = candidates(size, augmentation)
            return tune.fit(drawn, plain, self.accepted, ~test, test, recipe, settings.seed)

        answers = self.cross(fit)
        runs.write_json(self.out / "tuned.json", found)
        return answers

    def fine(self) -> np.ndarray:
        recipe, settings = finetune.Recipe(), self.settings
        kept = self.cache / f"lower-{settings.backbone}-{self.settings.fine_size}.npy"
        if not kept.exists():
            with runs.whole(kept) as temporary:
                np.save(temporary, finetune.lower(self._pixels("colour", self.settings.fine_size), settings.backbone, recipe))
        inputs = np.load(kept)

        def fit(test: np.ndarray) -> np.ndarray:
            number = int(self.fold[test][0])
            part = self.cache / f"fine-{settings.backbone}-{number}.npy"
            if not part.exists():
                answers = finetune.logits(inputs, self.accepted, ~test, settings.backbone, recipe, settings.seed)
                with runs.whole(part) as temporary:
                    np.save(temporary, answers)
            return np.load(part)

        return self.cross(fit, settings.fine_folds)

    def rows(self) -> dict[str, tuple[str, Callable[[], np.ndarray]]]:
        """Name -> (what differs, how it is measured)."""
        recipe, budget = self.recipe, f"{self.settings.trials} trials a fold"
        return {
            PAPER: ("the paper's: grey, TrivialAugmentWide, Adam", lambda: self.adam("grey", recipe, augment=True)),
            COLOUR: ("colour", lambda: self.adam("colour", recipe, augment=True)),
            FROZEN: ("colour, features computed once", lambda: self.adam("colour", recipe)),
            "balanced": ("and types drawn alike", lambda: self.adam("colour", replace(recipe, balance=1.0))),
            "object": ("colour, once, background removed", lambda: self.adam("object", recipe)),
            "surroundings": ("colour, once, object removed", lambda: self.adam("surroundings", recipe)),
            "tuned": (f"tuned with Optuna, {budget}", self.tuned),
            "small": (
                f"colour, once, {self.settings.fine_size} px",
                lambda: self.adam("colour", recipe, size=self.settings.fine_size),
            ),
            "fine": (f"fine-tuned, {self.settings.fine_size} px", self.fine),
        }
