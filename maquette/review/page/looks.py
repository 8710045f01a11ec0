"""What was measured of photographs and masks, kept so that a set is opened again at once; losing it costs time alone."""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

from maquette.folders.photographs import Photograph
from maquette.review import measure
from maquette.review.measure import Measurement, Moments

_TABLE = "CREATE TABLE IF NOT EXISTS looks (name TEXT PRIMARY KEY, state TEXT, facts TEXT, thumbnail BLOB)"
Stamp = tuple[int, ...]


def stamp(path: Path | None) -> Stamp:
    """What tells two contents of a file apart; empty where there is none."""
    try:
        found = path.stat() if path else None
    except OSError:
        return ()
    return (found.st_size, found.st_mtime_ns, found.st_ino) if found else ()


class Looks:
    """Measurements with their thumbnails, by name; from several threads."""

    def __init__(self, file: Path, *, upright: bool) -> None:
        self._upright = upright
        self._lock = threading.Lock()
        self._base: sqlite3.Connection | None = None
        with suppress(sqlite3.Error, OSError):  # a drive without locks: measured anew each time
            file.parent.mkdir(parents=True, exist_ok=True)
            self._base = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
            self._base.execute("PRAGMA journal_mode=TRUNCATE")
            self._base.execute("PRAGMA synchronous=OFF")
            self._base.execute(_TABLE)

    def measured(self, key: str, photograph: Photograph, target: Path | None) -> Measurement:
        """Of these two files as they are now."""
        state = json.dumps([stamp(photograph.path), stamp(target), self._upright])
        with self._lock, suppress(sqlite3.Error, ValueError, TypeError):
            found = (
                self._base
                and self._base.execute(
                    "SELECT facts, thumbnail FROM looks WHERE name = ? AND state = ?", (key, state)
                ).fetchone()
            )
            if found:
                facts = json.loads(found[0])
                facts["moments"] = Moments(**facts["moments"]) if facts["moments"] else None
                facts["edges"] = tuple(facts["edges"])
                return Measurement(photograph, target, bytes(found[1]), **facts)
        made = measure.measure(photograph, target, upright=self._upright)
        facts = asdict(replace(made, thumbnail=b""))
        for name in ("photograph", "target", "thumbnail"):
            del facts[name]
        with self._lock, suppress(sqlite3.Error):
            if self._base:
                self._base.execute("REPLACE INTO looks VALUES (?, ?, ?, ?)", (key, state, json.dumps(facts), made.thumbnail))
        return made

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            if self._base:
                self._base.close()
            self._base = None
