"""What the commands that draw a map share: drawing it, and the end of a run that has one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from maquette.client.errors import FileFailed
from maquette.commands import runner
from maquette.commands.runner import Outcome
from maquette.folders import atomic
from maquette.folders.photographs import Photograph
from maquette.maps import html
from maquette.maps.html import Page
from maquette.records import log_lines
from maquette.stores.vectors import Vectors


def folder(path: Path) -> Path:
    """Make it where it is not there. Raises :class:`FileFailed`."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise atomic.unwritable(path, error) from error
    return path


def draw(
    path: Path, make: Callable[[], Page], outcome: Outcome, placing: Callable[[Path, Path], None] | None = None
) -> Path | None:
    """Where the page is, None where there is none, which was said: the records are worth more than it.

    As long as photographs lack their answer it is ``NAME.unfinished.html``, and the old page stays. ``placing`` is called with
    the written file and the name that it is given next.
    """
    console, unfinished = runner.errors(), log_lines.unfinished(path)
    try:
        with runner.progress(console) as bar:
            task = bar.add_task("arrange", total=None)
            made = make()
            bar.update(task, description="draw", total=len(made.photographs))
            html.write(unfinished, made, lambda: bar.advance(task))
        if find_spec("openTSNE") is None and any(one.name == "Principal components" for one in made.layouts):
            console.print("The map has no t-SNE: pip install 'maquette-serving[report]' brings what it takes.")
        if not outcome.whole:
            return unfinished
        try:
            if placing is not None:
                placing(unfinished, path)
            unfinished.replace(path)
        except OSError as error:
            raise atomic.unwritable(path, error) from error
    except FileFailed as error:
        console.print(f"{error.detail} ({error.code})")
        return None
    except KeyboardInterrupt:
        outcome.stopped = True
        return None
    return path


def say_end(outcome: Outcome, page: Path | None, where: str) -> None:
    """The last line of a run that was to draw a map; ``page`` is where it is."""
    next_ = runner.next_step(outcome)
    if page is not None:
        where += f", map {page}"
        next_ = f"open {page} in a browser" if outcome.whole and not outcome.failed else next_
    runner.close(outcome, where=where, next_=next_)


def delete_vanished(store: Vectors | None, paths: list[Path], found: Sequence[Photograph], outcome: Outcome) -> None:
    """Say how many rows of photographs that are gone were deleted from the store. Raises :class:`StoreFailed`."""
    if store and outcome.whole:
        runner.errors().print(f"{store.delete_vanished(paths, found):,} rows of photographs that are gone were deleted.")


def title_of(paths: list[Path]) -> str:
    """The folders' names; of single files, that of the folder they are in."""
    folders = dict.fromkeys((path if path.is_dir() else path.parent).absolute().name for path in paths)
    return ", ".join(folders) or "/"
