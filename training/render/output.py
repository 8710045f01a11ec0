"""Files that are either whole or absent, and an index that survives an interruption."""

from __future__ import annotations

import csv
import os
from pathlib import Path


def write(path: Path, data: bytes) -> None:
    """Write under a temporary name, then rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(data)
    temporary.replace(path)


class Index:
    """OUT/index.csv: a row is added after its files are in place; rows and files that miss each other are made again.

    The file is rewritten in order of `file` on `close`, so that an interrupted and resumed run ends with the same bytes
    as one that was not.
    """

    def __init__(self, out: Path) -> None:
        self.out, self.path = out, out / "index.csv"
        out.mkdir(parents=True, exist_ok=True)
        self.rows: dict[str, dict[str, object]] = {}
        if self.path.exists():
            with self.path.open(newline="") as f:
                reader = csv.DictReader(f)
                # The last line may have been cut off by an interruption.
                self.rows = {r["file"]: r for r in reader if None not in r.values() and None not in r}
            self._rewrite()

    def has(self, files: dict[str, str]) -> bool:
        """Whether the row of `files["file"]` and all `files` exist."""
        return files["file"] in self.rows and all((self.out / name).exists() for name in files.values())

    def add(self, row: dict[str, object]) -> None:
        """Append `row` and flush it."""
        new = not self.path.exists()
        self.rows[str(row["file"])] = row
        with self.path.open("a", newline="") as f:
            writer = csv.DictWriter(f, list(row))
            if new:
                writer.writeheader()
            writer.writerow(row)

    def close(self) -> None:
        """Sort the index."""
        if self.rows:
            self._rewrite()

    def _rewrite(self) -> None:
        if not self.rows:
            return self.path.unlink()
        rows = [self.rows[k] for k in sorted(self.rows)]
        temporary = self.path.with_name(f".index.{os.getpid()}")
        with temporary.open("w", newline="") as f:
            writer = csv.DictWriter(f, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        temporary.replace(self.path)
        return None
