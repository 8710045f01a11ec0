"""``--manifest``: the photographs of a IIIF manifest instead of files, for every command that asks about photographs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import typer

from maquette.client.errors import MaquetteError, make
from maquette.commands import runner
from maquette.folders.photographs import Photograph
from maquette.iiif import annotations as pages
from maquette.iiif import manifest, renditions
from maquette.iiif.manifest import Manifest
from maquette.records.linked_data import Document
from maquette.records.records import Record

ManifestOption = Annotated[
    str | None,
    typer.Option(
        "--manifest",
        metavar="URL|FILE",
        help="Ask about the photographs of a IIIF manifest instead; a result named .json is Web Annotations of its canvases.",
    ),
]


@dataclass(frozen=True)
class Brought:
    """The photographs of a manifest, fetched. ``ids`` are their canvases; ``failed`` are records of those that were not."""

    manifest: Manifest
    found: list[Photograph]
    ids: list[str]
    failed: list[Record]

    @property
    def total(self) -> int:
        return len(self.found) + len(self.failed)

    def document(self, service: str, page: Path | None, format_: str | None) -> Document | None:
        """The page of annotations that the answers become in a file ``.json``, unless a format is asked for."""
        is_page = page is not None and page.suffix.lower() == ".json" and not format_
        return pages.document(self.manifest, service, page) if is_page and page else None

    def with_ids(self, made: Iterable[Record]) -> Iterator[Record]:
        """The records, each with its canvas as id."""
        ids = {str(photograph.path): id_ for photograph, id_ in zip(self.found, self.ids, strict=True)}
        for record in made:
            yield {"file": record["file"], "id": ids[record["file"]]} | record

    def and_failed(self, made: Iterable[Record]) -> Iterator[Record]:
        """The records that were made, and those of the photographs that nobody could be asked about."""
        return chain(made, self.failed)


def bring(where: str, paths: list[Path] | None, output: Path | None, least: int | None) -> Brought:
    """Fetch the photographs into ``NAME.photographs`` beside ``output``, where they stay: a run that goes on finds them there.

    ``least``: pixels that the shorter side needs; None: all there are. Raises :class:`ParameterInvalid`, :class:`FileFailed`.
    """
    if paths:
        raise make("PARAMETER_INVALID", "--manifest names the photographs; leave out files and folders.")
    if output is None:
        raise make("PARAMETER_INVALID", "--manifest keeps its photographs beside the result; say with -o where that is.")
    read = manifest.read(where)
    folder = output.with_name(f"{output.stem}.photographs")
    brought = Brought(read, [], [], [])
    with runner.progress(runner.errors()) as bar:
        files = renditions.fetched(read.canvases, folder, least)
        for canvas, file in zip(read.canvases, bar.track(files, len(read.canvases), description="fetch"), strict=True):
            if isinstance(file, MaquetteError):
                error = {"code": file.code, "detail": file.detail}
                start = {"file": canvas.service or canvas.image or canvas.id, "id": canvas.id, "sha256": ""}
                brought.failed.append(start | {"model_version": "", "request_id": "", "error": error})
            else:
                brought.found.append(file)
                brought.ids.append(canvas.id)
    return brought


def least(size: Any) -> int:
    """Pixels that the shorter side of a photograph needs for a model of that input: the contract's ``ModelInput``."""
    return int(2 * max(size.height, size.width))


def some(paths: list[Path] | None) -> list[Path]:
    """The files and folders of a command without ``--manifest``. Raises :class:`ParameterInvalid` for none."""
    if not paths:
        raise make("PARAMETER_INVALID", "Name photographs or folders of them, or a IIIF manifest with --manifest.")
    return paths
