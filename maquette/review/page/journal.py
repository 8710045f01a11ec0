"""What a person decided and did in a review, on disk at once: ``review.json``, ``rejected.csv``, and former masks.

All lies in the folder of the masks. A mask that is about to be changed is first kept below ``.review/``; then the journal says
so, then the mask is replaced. So a kill between two of these loses nothing: at worst one more version is kept, which equals the
mask.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from maquette.client.errors import FileFailed
from maquette.folders import atomic
from maquette.review.page.looks import stamp

NAME, REJECTED, HIDDEN = "review.json", "rejected.csv", ".review"
_FORM = 1
MOST_VERSIONS = 100  # of one mask


class Verdict(StrEnum):
    """What a person decided about a photograph and its mask."""

    NONE = ""
    ACCEPTED = "accepted"
    REJECTED = "rejected"


@dataclass
class Version:
    """A mask as it was before a change. ``file`` is its name below ``.review/``, empty where there was none; ``why`` names the
    change, ``marks`` is how many marks there were, ``differs`` the share of the pixels that the change touched, -1 where that
    is not known.
    """

    file: str
    why: str
    marks: int = 0
    differs: float = -1.0


@dataclass
class Undone:
    """A mask that was undone, to be brought back: its ``file``, ``why`` it was made, and the ``marks`` that it took along."""

    file: str
    why: str
    marks: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Entry:
    """What is known of one photograph. ``marks`` are the hints and strokes of which the mask is made, in order."""

    verdict: Verdict = Verdict.NONE
    decided: str = ""
    reasons: list[str] = field(default_factory=list)
    marks: list[dict[str, Any]] = field(default_factory=list)
    versions: list[Version] = field(default_factory=list)
    undone: list[Undone] = field(default_factory=list)

    @classmethod
    def parse(cls, given: dict[str, Any]) -> Entry:
        """Raises ``TypeError``, ``ValueError`` or ``KeyError`` for what :meth:`Journal.save` did not write."""
        versions = [Version(**version) for version in given.get("versions", ())]
        undone = [Undone(**one) for one in given.get("undone", ())]
        return cls(**{**given, "verdict": Verdict(given.get("verdict", "")), "versions": versions, "undone": undone})


class Journal:
    """The entries of a set by the photograph's name in it. Use it under ``lock``. Raises :class:`FileFailed` when it cannot be
    read or is a person's file.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.lock = folder, threading.RLock()
        self.entries: dict[str, Entry] = {}
        self._stamp = stamp(folder / NAME)
        self._lists: list[str] = []  # sha256 of the lists that this journal wrote, the last one and the one before
        self._read()

    def _read(self) -> None:
        path = self.folder / NAME
        try:
            found = json.loads(path.read_bytes())
            if found["maquette review"] != _FORM:
                raise ValueError
            self.entries = {name: Entry.parse(entry) for name, entry in found["photographs"].items()}
            self._lists = [str(digest) for digest in found["lists"]]
        except FileNotFoundError:
            return
        except OSError as error:
            raise FileFailed("FILE_UNREADABLE", f"{path} cannot be read: {error.strerror or error}.") from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            detail = f"{path} was not written by this version of maquette review; move it away to begin anew."
            raise FileFailed("FILE_UNREADABLE", detail) from error

    def entry(self, name: str) -> Entry:
        """That of a photograph, made where there is none."""
        return self.entries.setdefault(name, Entry())

    def decide(self, name: str, verdict: Verdict, reasons: Sequence[str]) -> None:
        """Write it down, with what was found about the mask. Raises :class:`FileFailed`."""
        entry = self.entry(name)
        entry.verdict, entry.reasons = verdict, list(reasons) if verdict is Verdict.REJECTED else []
        entry.decided = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if verdict else ""
        self.save()

    def keep(self, name: str, target: Path, why: str) -> Version:
        """Keep the mask at ``target`` as it is, before it is changed. Raises :class:`FileFailed`."""
        entry = self.entry(name)
        version = Version(_keep(target, self.folder / HIDDEN, name), why, len(entry.marks))
        entry.versions.append(version)
        gone = [one.file for one in entry.undone]
        entry.undone = []
        while len(entry.versions) > MOST_VERSIONS:
            gone.append(entry.versions.pop(0).file)
        self.save()
        self._forget(gone)
        return version

    def before(self, name: str) -> Path | None:
        """The mask before its last change."""
        versions = self.entry(name).versions if name in self.entries else []
        return self.folder / HIDDEN / versions[-1].file if versions and versions[-1].file else None

    def undo(self, name: str, target: Path) -> bool:
        """Bring the mask back as it was before its last change; False where there was none. Raises :class:`FileFailed`.

        What is undone is kept for :meth:`redo`, also what an editor made of the mask meanwhile.
        """
        entry = self.entry(name)
        if not entry.versions:
            return False
        version = entry.versions[-1]
        now = _keep(target, self.folder / HIDDEN, name)
        self._put(version.file, target)
        entry.versions.pop()
        entry.undone.append(Undone(now, version.why, entry.marks[version.marks :]))
        del entry.marks[version.marks :]
        self.save()
        self._forget([version.file])
        return True

    def redo(self, name: str, target: Path) -> bool:
        """Make the change again that was undone last; False where there is none. Raises :class:`FileFailed`."""
        entry = self.entry(name)
        if not entry.undone:
            return False
        undone = entry.undone[-1]
        version = Version(_keep(target, self.folder / HIDDEN, name), undone.why, len(entry.marks))
        self._put(undone.file, target)
        entry.undone.pop()
        entry.versions.append(version)
        entry.marks += undone.marks
        self.save()
        self._forget([undone.file])
        return True

    def _put(self, kept: str, target: Path) -> None:
        try:
            if kept:
                atomic.write(target, [(self.folder / HIDDEN / kept).read_bytes()])
            else:
                target.unlink(missing_ok=True)
        except OSError as error:
            raise atomic.unwritable(target, error) from error

    def drop(self, name: str, version: Version) -> None:
        """A change that was announced by :meth:`keep` did not happen."""
        entry = self.entry(name)
        if version in entry.versions:
            entry.versions.remove(version)
            self.save()
            self._forget([version.file])

    def _forget(self, kept: Sequence[str]) -> None:
        for file in filter(None, kept):
            with suppress(OSError):
                (self.folder / HIDDEN / file).unlink(missing_ok=True)

    def save(self) -> None:
        """Write both files, each whole or not at all.

        Raises :class:`FileFailed`, also where ``rejected.csv`` is a person's, or another review writes the same journal.
        """
        if stamp(self.folder / NAME) != self._stamp:
            detail = (
                f"{self.folder / NAME} was changed by another maquette review: end one of the two, and start this one anew."
            )
            raise FileFailed("FILE_UNWRITABLE", detail)
        rows = [(name, entry) for name, entry in sorted(self.entries.items()) if entry.verdict is Verdict.REJECTED]
        listed = self._rejected(rows)
        there = _digest(self.folder / REJECTED)
        digest = hashlib.sha256(listed).hexdigest()
        persons = bool(there) and there not in (*self._lists, digest)
        lists = self._lists if persons else [digest, *([there] if there and there != digest else [])]
        whole = {
            "maquette review": _FORM,
            "lists": lists,
            "photographs": {n: asdict(e) for n, e in self.entries.items() if e != Entry()},
        }
        atomic.write(self.folder / NAME, [json.dumps(whole, ensure_ascii=True).encode() + b"\n"])
        self._lists, self._stamp = lists, stamp(self.folder / NAME)
        if persons:
            if rows:
                detail = f"{self.folder / REJECTED} is a person's and stays as it is; move it away. The verdict itself is kept."
                raise FileFailed("FILE_UNWRITABLE", detail)
        elif there != digest and (rows or there):
            atomic.write(self.folder / REJECTED, [listed])

    def _rejected(self, rows: Sequence[tuple[str, Entry]]) -> bytes:
        stream = io.StringIO(newline="")
        writer = csv.writer(stream)
        writer.writerow(["file", "why", "decided"])
        # A name that begins like a formula would be one in a spreadsheet.
        writer.writerows([_cell(name), "; ".join(entry.reasons), entry.decided] for name, entry in rows)
        return stream.getvalue().encode("utf-8", "backslashreplace")


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise atomic.unwritable(path, error) from error


def _keep(target: Path, hidden: Path, name: str) -> str:
    """A second name for the file; what replaces it later has another content under the first one."""
    try:
        if not target.is_file():
            return ""
        hidden.mkdir(parents=True, exist_ok=True)
        start = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
        number = sum(1 for _ in hidden.glob(f"{start}-*"))
        while (kept := hidden / f"{start}-{number:04}.png").exists():
            number += 1
        try:
            os.link(target, kept)
        except OSError:  # a file system without links
            with atomic.replaced(kept) as part:
                shutil.copyfile(target, part)
        return kept.name
    except OSError as error:
        raise atomic.unwritable(target, error) from error
