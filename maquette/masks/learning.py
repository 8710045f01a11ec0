"""Learning from masks that a person corrected: which they are, and where what was learnt is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from maquette.client.guidance import adapter_text
from maquette.folders import atomic
from maquette.folders.photographs import Photograph
from maquette.masks import files, png
from maquette.masks.naming import OutputKind, Tool
from protos.maquette.remove_background.v1.remove_background_pb2 import Adapter

MOST_EXAMPLES = 32

Pair = tuple[Path, Path]


def examples(found: Sequence[Photograph], folder: Path, tool: Tool | None, *, corrected: bool) -> list[Pair]:
    """Photographs with their masks in ``folder``: all, or those a person made or ``corrected``; 32 at most, evenly chosen."""
    targets = files.targets(found, folder, OutputKind.MASK, tool)
    pairs = [
        (photograph.path, target)
        for photograph, target in zip(found, targets, strict=True)
        if isinstance(target, Path) and _is_example(target, corrected=corrected)
    ]
    return evenly(pairs)


def evenly(pairs: Sequence[Pair]) -> list[Pair]:
    """At most 32 of them, from the first to the last."""
    step = max(1, len(pairs) / MOST_EXAMPLES)
    return [pairs[int(index * step)] for index in range(min(len(pairs), MOST_EXAMPLES))]


def _is_example(mask: Path, *, corrected: bool) -> bool:
    try:
        return mask.is_file() and png.is_whole(mask) and not (corrected and png.owned(mask) is not None)
    except OSError:
        return False


def name(adapter: Adapter) -> str:
    """A name for an adapter that is the same for the same numbers: the first 16 digits of their sha256."""
    return hashlib.sha256(adapter_text(adapter).encode()).hexdigest()[:16]


def keep(adapter: Adapter, folder: Path) -> Path:
    """Write it into ``folder`` under its name; the same adapter is the same file. Raises :class:`FileFailed`."""
    path = folder / f"adapter-{name(adapter)}.json"
    if not path.exists():
        atomic.write(path, [adapter_text(adapter).encode()])
    return path


def sentence(adapter: Adapter) -> str:
    """What was learnt, from how many, and what it is worth."""
    count = len(adapter.examples)
    start = f"Learnt from {count} mask{'s' if count > 1 else ''}"
    if not adapter.HasField("dice_after"):
        return f"{start}. With one it cannot be known how well that carries to other photographs; correct a second one to see."
    change = f"Dice {adapter.dice_before:.3f} before, {adapter.dice_after:.3f} after, on each with what the others teach"
    return f"{start}: {change}."


def helps(adapter: Adapter) -> bool:
    """Whether a tenth of the error (1 - Dice) of the masks left out in turn is gone, or cannot be known to be there still.

    Less than that may be chance, and where masks are good already there is more to lose than to win.
    """
    return not adapter.HasField("dice_after") or 1 - adapter.dice_after <= 0.9 * (1 - adapter.dice_before)
