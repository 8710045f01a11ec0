"""The contact sheet: one HTML file that needs no other, with what wants a person's eye first."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from maquette import outliers, output, survey
from maquette.links import link, text
from maquette.masks import Job, Settings
from maquette.outliers import Finding
from maquette.survey import Look
from maquette.thumbnails import WORKERS

NAME = "contact-sheet.html"

_HEAD = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Masks: {title}</title>
<style>
body {{ font: 14px/1.4 system-ui, sans-serif; margin: 1.5rem; color: #1a1a1a; background: #f6f6f4; }}
h1 {{ font-size: 1.4rem; margin: 0; }} h2 {{ font-size: 1.1rem; margin: 1.8rem 0 .6rem; }}
p {{ margin: .3rem 0; }}
.sheet {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(250px, 1fr)); gap: .8rem; }}
figure {{ margin: 0; padding: 5px; background: #fff; border: 1px solid #d8d8d4; border-radius: 4px; }}
figure.outlier {{ border-color: #b3261e; }}
figure .frame {{ height: 240px; display: flex; align-items: center; justify-content: center; background: #ececea; }}
figure img {{ max-width: 100%; max-height: 240px; display: block; }}
figcaption {{ padding: .4rem .2rem .1rem; overflow-wrap: anywhere; }}
.reason {{ display: block; color: #b3261e; }} .facts {{ color: #555; }}
</style>
<h1>Masks: {title}</h1>
<p>{summary}</p>
<p class="facts">The object is in its own colours; what the masks leave out is dimmed and blue.
Pictures are upright, as a viewer shows them.</p>
"""


class Sheet:
    """Looks at what lies on disk, and only again at what has changed since it last did."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.path = folder / NAME
        self._alpha = settings.output_kind == "cutout"
        self._upright = settings.frame == "display"
        self._seen: dict[Path, tuple[object, Look]] = {}

    def write(self, jobs: Sequence[Job], failures: dict[str, str], advance: Callable[[], None] = lambda: None) -> None:
        """Write the sheet of these photographs; ``failures`` says why one has no mask. Raises :class:`FileFailed`."""
        looks = []
        for job, seen in zip(jobs, self._look_at(jobs), strict=True):
            reason = failures.get(str(job.photograph.path), "")
            if reason and seen.coverage is None:
                seen = Look(seen.photograph, seen.target, seen.thumbnail, taken=seen.taken, problem=reason)
            looks.append(seen)
            advance()
        findings = outliers.judge(looks)
        with output.whole(self.path) as stream:
            stream.writelines(_document(findings, self.path.parent))

    def _look_at(self, jobs: Sequence[Job]) -> Iterator[Look]:
        with ThreadPoolExecutor(WORKERS) as pool:
            rest = iter(jobs)
            # A few at a time: what is looked at next does not wait in memory.
            while some := list(islice(rest, 4 * WORKERS)):
                yield from pool.map(self._look, some)

    def _look(self, job: Job) -> Look:
        state = (_state(job.photograph.path), job.target, job.target and _state(job.target))
        known = self._seen.get(job.photograph.path)
        if known is None or known[0] != state:
            known = (state, survey.look(job.photograph, job.target, alpha=self._alpha, upright=self._upright))
            self._seen[job.photograph.path] = known
        return known[1]


def _state(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def _document(findings: list[Finding], folder: Path) -> Iterator[str]:
    outlying = [finding for finding in findings if finding.reasons]
    rest = findings[len(outlying) :]
    versions = sorted({finding.look.model_version for finding in findings} - {""})
    summary = f"{len(findings)} photographs, {len(outlying)} to look at first."
    if versions:
        summary += f" Model {', '.join(versions)}."
    yield _HEAD.format(title=html.escape(folder.absolute().name), summary=html.escape(summary))
    for title, group in (("To look at first", outlying), ("The others, in the order they were taken", rest)):
        if group:
            yield f'<h2>{title}</h2>\n<div class="sheet">\n'
            yield from _figures(group, folder)
            yield "</div>\n"


def _figures(findings: Iterable[Finding], folder: Path) -> Iterator[str]:
    for finding in findings:
        seen = finding.look
        picture = "no picture"
        if seen.thumbnail:
            picture = f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(seen.thumbnail).decode()}">'
        name = html.escape(text(str(seen.photograph.name)))
        path = html.escape(text(str(seen.photograph.path)))
        reasons = "".join(f'<span class="reason">{html.escape(text(reason))}</span>' for reason in finding.reasons)
        facts = "" if seen.coverage is None else f"object {seen.coverage:.1%}"
        if seen.coverage is not None and seen.target:
            facts += f' · <a href="{html.escape(link(seen.target, folder))}">mask</a>'
        kind = ' class="outlier"' if finding.reasons else ""
        yield (
            f'<figure{kind}><div class="frame">{picture}</div><figcaption>'
            f'<a href="{html.escape(link(seen.photograph.path, folder))}" title="{path}">{name}</a>{reasons} '
            f'<span class="facts">{facts}</span></figcaption></figure>\n'
        )
