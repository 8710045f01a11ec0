"""The contact sheet: one HTML file that needs no other, with what wants a person's eye first."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from itertools import islice
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from maquette.client.errors import FileFailed
from maquette.folders import atomic
from maquette.folders.links import link, text
from maquette.maps.thumbnails import WORKERS
from maquette.masks.plan import Job, Settings
from maquette.review import measure, outliers
from maquette.review.measure import Measurement

NAME = "contact-sheet.html"
# By this a page is known as Maquette's own; any other file of its name is a person's.
_MARK = '<meta name="generator" content="maquette mask">'


class ContactSheet:
    """The sheet of one folder. It measures photographs and masks as they lie on disk, each again only once it has changed."""

    def __init__(self, folder: Path, settings: Settings, *, replace_mine: bool = False) -> None:
        self.path = folder / NAME
        self._alpha = settings.output_kind == "cutout"
        self._upright = settings.frame == "display"
        self._replace_mine = replace_mine
        self._seen: dict[Path, tuple[object, Measurement]] = {}

    def write(self, jobs: Sequence[Job], failures: dict[str, str], advance: Callable[[], None] = lambda: None) -> int:
        """Write the sheet of these photographs and return how many are to look at; ``failures`` says why one has no mask.

        Raises :class:`FileFailed`, also where a person's file is in its place.
        """
        if self._is_persons():
            detail = f"{self.path} is there and a person's: it is not changed without --replace-mine."
            raise FileFailed("FILE_UNWRITABLE", detail)
        seen = []
        for job, measured in zip(jobs, self._measured(jobs), strict=True):
            reason = failures.get(str(job.photograph.path), "")
            seen.append(measured.failing(reason) if reason and measured.coverage is None else measured)
            advance()
        findings = outliers.judge(seen)
        outlying = [finding for finding in findings if finding.reasons]
        template = _environment().from_string(files("maquette.review").joinpath(NAME).read_text("utf-8"))
        page = template.generate(
            mark=_MARK,
            style=_own("contact-sheet.css"),
            script=_own("contact-sheet.js"),
            title=text(self.path.parent.absolute().name),
            total=len(findings),
            versions=", ".join(sorted({one.model_version for one in seen} - {""})),
            groups=[
                ("To look at first", outlying),
                ("The others, in the order they were taken", findings[len(outlying) :]),
            ],
            to_look_at=len(outlying),
            link=lambda path: link(path, self.path.parent),
        )
        atomic.write(self.path, (part.encode("utf-8", "replace") for part in page))
        return len(outlying)

    def _is_persons(self) -> bool:
        try:
            with self.path.open(encoding="utf-8", errors="replace") as stream:
                return not self._replace_mine and _MARK not in stream.read(1000)
        except OSError:
            return False  # nothing there; or writing will say what is wrong

    def _measured(self, jobs: Sequence[Job]) -> Iterator[Measurement]:
        with ThreadPoolExecutor(WORKERS) as pool:
            rest = iter(jobs)
            # A few at a time: what is measured next does not wait in memory.
            while some := list(islice(rest, 4 * WORKERS)):
                yield from pool.map(self._measure, some)

    def _measure(self, job: Job) -> Measurement:
        state = (_state(job.photograph.path), job.target, job.target and _state(job.target))
        known = self._seen.get(job.photograph.path)
        if known is None or known[0] != state:
            known = (state, measure.measure(job.photograph, job.target, alpha=self._alpha, upright=self._upright))
            self._seen[job.photograph.path] = known
        return known[1]


def _environment() -> Environment:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["text"] = lambda value: text(str(value))
    environment.filters["base64"] = lambda data: base64.b64encode(data).decode()
    environment.filters["digest"] = lambda code: f"'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'"
    return environment


def _own(name: str) -> str:
    return files("maquette.review").joinpath(name).read_text("utf-8")


def _state(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns
