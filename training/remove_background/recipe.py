"""The recipe of a bundle: a TOML file with the settings, the folders and the weights that it was trained with."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from training.remove_background import lineage
from training.remove_background.config import Config
from training.remove_background.sources import DataError


class Start(BaseModel):
    """The weights that a run begins from: a bundle's folder, relative to the project's root, and the digest of its weights."""

    model_config = ConfigDict(extra="forbid")

    bundle: Path
    sha256: str


class File(BaseModel):
    """``pairs`` and ``backgrounds``: names of folders; ``settings``: fields of :class:`config.Config`."""

    model_config = ConfigDict(extra="forbid")

    start: Start | None = None
    pairs: list[str] = Field(default_factory=list)
    backgrounds: list[str] = Field(default_factory=list)
    settings: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    file: File
    data: Path

    def paths(self, kind: str) -> list[Path]:
        """The folders of a kind. Raises :class:`DataError` for one that is missing."""
        found = [self.data / name for name in getattr(self.file, kind)]
        for path in found:
            if not path.is_dir():
                raise DataError(f"{path}: is missing; --data names the folder that holds it")
        return found

    def weights(self) -> Path | None:
        """Where the run begins. Raises :class:`DataError` if the weights are not those of the recipe."""
        start = self.file.start
        if start and not start.bundle.is_dir():
            raise DataError(
                f"{start.bundle}: is missing; `git log --diff-filter=D -- {start.bundle}` tells which commit removed it"
            )
        if start and (digest := lineage.sha256(start.bundle)) != start.sha256:
            raise DataError(f"{start.bundle}: its weights' sha256 is {digest}, the recipe begins from {start.sha256}")
        return start.bundle if start else None

    def applied(self, config: Config) -> Config:
        """``config`` with the recipe's settings. Raises :class:`DataError` for one that there is not."""
        tuples = {"sizes", "mixture", "weights"}
        try:
            return replace(
                config,
                **{key: tuple(map(tuple, value)) if key in tuples else value for key, value in self.file.settings.items()},
            )
        except TypeError as error:
            raise DataError(f"the recipe's settings: {error}") from error


def read(path: Path, data: Path) -> Recipe:
    """Raises :class:`DataError` for a file that is no recipe."""
    try:
        return Recipe(File.model_validate(tomllib.loads(path.read_text(encoding="utf-8"))), data)
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise DataError(f"{path}: {error}") from error
