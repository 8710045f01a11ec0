"""What weights have seen, and all that the weights they began from had: no run may begin from weights that saw the test.

``lineage.json`` lies beside a run's weights and in every bundle: ``seen`` (trained on) and ``chosen_on`` (development), names
of pictures or of their groups by folder, ``*`` for a whole folder, and ``draws``, how many pictures were drawn in all.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from training.common import runs
from training.remove_background import split
from training.remove_background.sources import DataError

FILE = "lineage.json"
# Bundles from before there was a lineage keep theirs here.
EARLIER = Path(__file__).parent / "lineage"

Names = dict[str, list[str]]


def of(weights: Path) -> dict[str, object]:
    """The lineage of a run's weights file, or of a bundle's folder. Raises :class:`DataError` where there is none."""
    folder = weights.parent if weights.is_file() else weights
    for path in (folder / FILE, EARLIER / f"{folder.name}.json"):
        if path.is_file():
            found: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
            return found
    raise DataError(f"{weights}: what these weights have seen is not known: {folder / FILE} is missing")


def check(lineage: dict[str, object], whose: str) -> None:
    """Raise :class:`DataError` if the lineage holds anything that :mod:`split` keeps for the test."""
    for kind in ("seen", "chosen_on"):
        names = lineage.get(kind, {})
        assert isinstance(names, dict)
        for folder, groups in names.items():
            rule = split.RULES.get(folder)
            tested = [group for group in groups if split.side(folder, group) is split.Side.TEST]
            if "*" in groups and rule and (rule.test or split.Side.TEST in (rule.named or {}).values()):
                tested = ["*"]
            if tested:
                raise DataError(
                    f"{whose} has seen what is kept for the test: {folder}: {tested[0]} ({len(tested)} such); begin from others"
                )


def write(run: Path, seen: Names, chosen_on: Names, draws: int, before: dict[str, object] | None) -> None:
    """``run/lineage.json``: these and those of the weights the run began from."""
    facts: dict[str, object] = {}
    for kind, names in (("seen", seen), ("chosen_on", chosen_on)):
        earlier = (before or {}).get(kind, {})
        assert isinstance(earlier, dict)
        facts[kind] = {folder: sorted({*earlier.get(folder, ()), *names.get(folder, ())}) for folder in {*earlier, *names}}
    earlier_draws = (before or {}).get("draws", 0)
    assert isinstance(earlier_draws, int)
    facts["draws"] = draws + earlier_draws
    runs.write_json(run / FILE, facts)


def sha256(path: Path) -> str:
    """Of a file; of a bundle's folder, of the weights in its SavedModel."""
    if path.is_dir():
        path = path / "saved_model" / "variables" / "variables.data-00000-of-00001"
    return hashlib.sha256(path.read_bytes()).hexdigest()
