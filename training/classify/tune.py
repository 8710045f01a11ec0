"""Learning rate, weight decay, balance, augmentation and resolution, searched with Optuna inside each fold's training works."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna

from training.classify import adam, scores

AUGMENTATIONS = ("none", "trivial")
Features = Callable[[int, str], tuple[list[np.ndarray], np.ndarray]]


def search(
    features: Features,
    accepted: np.ndarray,
    fold: np.ndarray,
    test: int,
    recipe: adam.Recipe,
    sizes: Sequence[int],
    trials: int,
    seed: int,
    journal: Path,
) -> tuple[adam.Recipe, int, str]:
    """The best (recipe, size, augmentation) of ``trials`` for the test fold ``test``, which the search never sees.

    ``features(size, augmentation)`` -> (draws to train on, features to score). A trial trains without one of the other folds
    and is scored on that one, by macro F1. Trials are kept in ``journal`` (SQLite), so that a killed search goes on.
    """
    validation = int(np.unique(fold)[(np.searchsorted(np.unique(fold), test) + 1) % len(np.unique(fold))])
    train, held = (fold != test) & (fold != validation), fold == validation
    names = [str(column) for column in range(accepted.shape[1])]

    def objective(trial: optuna.Trial) -> float:
        candidate, size, augmentation = read(trial.suggest_categorical, trial.suggest_float, recipe, sizes)
        draws, plain = features(size, augmentation)
        answers = fit(draws, plain, accepted, train, held, candidate, seed)
        return float(scores.summary(answers, accepted[held], names)["macro_f1"])

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    journal.parent.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        study_name=f"fold{test}",
        storage=f"sqlite:///{journal}",
        direction="maximize",
        load_if_exists=True,
        sampler=optuna.samplers.TPESampler(seed=seed + test),
    )
    study.optimize(objective, n_trials=max(0, trials - len([t for t in study.trials if t.state.is_finished()])))
    found = study.best_params
    return read(lambda name, _: found[name], lambda name, *_, **__: found[name], recipe, sizes)


def read(
    choose: Callable[..., object], number: Callable[..., float], recipe: adam.Recipe, sizes: Sequence[int]
) -> tuple[adam.Recipe, int, str]:
    """The space that is searched, around ``recipe``."""
    chosen = replace(
        recipe,
        rate=number("rate", 1e-4, 1e-2, log=True),
        weight_decay=number("weight_decay", 1e-6, 1e-1, log=True),
        balance=number("balance", 0.0, 1.0),
    )
    return chosen, int(str(choose("size", sizes))), str(choose("augmentation", AUGMENTATIONS))


def fit(
    draws: list[np.ndarray],
    plain: np.ndarray,
    accepted: np.ndarray,
    train: np.ndarray,
    held: np.ndarray,
    recipe: adam.Recipe,
    seed: int,
) -> np.ndarray:
    """Logits float32 [m, classes] of the rows ``held`` of ``plain``, after training on the rows ``train`` of ``draws``."""
    watched = plain[held]
    *_, (_, linear) = adam.epochs([draw[train] for draw in draws], accepted[train], watched, accepted[held], recipe, seed)
    return linear.logits(watched.astype(np.float32))
