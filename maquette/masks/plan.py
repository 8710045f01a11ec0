"""What a run of ``maquette mask`` has to do: one job for each photograph, before any service is asked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from maquette.client.client import Frame
from maquette.client.errors import MaquetteError
from maquette.folders.photographs import Photograph
from maquette.masks import files, learning, png
from maquette.masks.naming import OutputKind, Tool
from maquette.records.records import Record
from protos.maquette.remove_background.v1.remove_background_pb2 import Adapter


@dataclass(frozen=True)
class Settings:
    """What decides the pixels of a result, besides photograph and model."""

    output_kind: Literal["mask", "cutout"]
    frame: Frame
    threshold: float | None
    adapter: Adapter | None = None

    @property
    def facts(self) -> Record:
        """As the result keeps them; of an adapter its name, from masks without one it is absent."""
        facts: Record = {"output_kind": self.output_kind, "frame": self.frame, "threshold": self.threshold}
        return facts | self.learnt

    @property
    def learnt(self) -> Record:
        """The name of the adapter, where there is one."""
        return {"adapter": learning.name(self.adapter)} if self.adapter else {}


@dataclass(frozen=True)
class Order:
    """What the user asked for: where the results go, how they are named, and which of those that are there are made again.

    ``overwrite`` is about Maquette's own, ``replace_mine`` about those that a person made or corrected.
    """

    folder: Path
    settings: Settings
    tool: Tool | None = None
    overwrite: bool = False
    replace_mine: bool = False


@dataclass(frozen=True)
class Job:
    """A photograph and the file its result belongs in; ``target`` is None where it can have none, as ``error`` says.

    ``kept`` is the record of a result that is there already and stays.
    """

    photograph: Photograph
    target: Path | None
    kept: Record | None = None
    error: MaquetteError | None = None

    @property
    def to_do(self) -> bool:
        return self.target is not None and self.kept is None

    @property
    def state(self) -> str:
        """What a dry run says of it."""
        if self.kept is None:
            return "to do"
        return "there already" if "report" in self.kept else "there already, a person's"


def jobs(new: Sequence[Photograph], order: Order, met: Sequence[Photograph] = ()) -> Iterator[Job]:
    """A job for each of ``new``, in order; ``met`` are others of this run, whose names are taken. Reads what is there."""
    everyone = {photograph.path: photograph for photograph in (*met, *new)}
    kind = OutputKind(order.settings.output_kind)
    named = dict(zip(everyone, files.targets(list(everyone.values()), order.folder, kind, order.tool), strict=True))
    for photograph in new:
        target = named[photograph.path]
        if isinstance(target, MaquetteError):
            yield Job(photograph, None, error=target)
        else:
            yield _job(photograph, target, order)


def _job(photograph: Photograph, target: Path, order: Order) -> Job:
    """A result is there and stays if it is of this very photograph, by these settings; or if it is a person's."""
    try:
        there = files.origin(target)
        if there == {}:
            return Job(photograph, target)
        if there is not None:
            files.refuse_other_kind(target, there)
        if order.overwrite if there else order.replace_mine:
            return Job(photograph, target)
        with photograph.path.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        known: Record = {"file": str(photograph.path), "sha256": sha256, "output": str(target), "skipped": True}
        if there is None:
            return Job(photograph, target, known | {"notes": [files.KEPT if png.is_whole(target) else files.KEPT_BROKEN]})
    except MaquetteError as error:
        return Job(photograph, None, error=error)
    except OSError:
        return Job(photograph, target)  # doing it again will say what is wrong
    if there.get("settings") != order.settings.facts or there.get("sha256") != sha256:
        return Job(photograph, target)
    kept = {name: value for name, value in there.items() if name not in ("settings", "pixels")}
    return Job(photograph, target, kept | known | order.settings.learnt)
