"""Tell masks from photographs, in folders that hold both: for every command, so that none takes a mask for a work."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import PurePath

import numpy as np
from PIL import Image

from maquette.folders.photographs import Photograph
from maquette.masks import naming, png

# What an editor leaves of black and white: grey at soft edges, and a little noise where it saves a JPEG.
_NOISE, _EXTREME = 24, 0.9
_LONGEST = 512  # pixels of a side are enough to see that
_OTHERS = 16  # photographs of the same stem that are looked at


def divide(found: Sequence[Photograph], met: Sequence[Photograph] = ()) -> tuple[list[Photograph], list[Photograph]]:
    """The photographs, and the masks, cut-outs and explanations among them.

    Maquette's own carry its text chunk. An editor may have dropped that; then a file is a mask when it is named as the mask of
    another photograph here, or among ``met``, and is black and white. Its folder does not matter: masks are also kept in one
    beside the photographs'. A name that differs from the photograph's by its suffix alone (Meshroom's) is no more than a hint,
    so such a mask has to have the photograph's size too. A cut-out whose photograph is not here is taken for a photograph.
    """
    index: dict[str, list[Photograph]] | None = None
    photographs: list[Photograph] = []
    masks: list[Photograph] = []
    for one in found:
        name = one.path.name
        if not (name.lower().endswith(".png") or PurePath(name).stem.lower().endswith("_mask")):
            photographs.append(one)
            continue
        index = index if index is not None else _index([*met, *found])
        (masks if _is_mask(one, index) else photographs).append(one)
    return photographs, masks


def _index(found: Sequence[Photograph]) -> dict[str, list[Photograph]]:
    """Photographs by name and by stem, as file systems compare them."""
    index: dict[str, list[Photograph]] = {}
    for one in found:
        for name in (one.path.name, one.path.stem):
            index.setdefault(naming.key(PurePath(name)), []).append(one)
    return index


def _is_mask(one: Photograph, index: dict[str, list[Photograph]]) -> bool:
    try:
        facts = png.facts(one.path) if one.path.is_file() else None
        if facts is not None and facts.get("settings", {}).get("output_kind") != "cutout":
            return True
        bare = naming.key(PurePath(one.path.stem))
        for ending in (".cutout", "_mask", ".mask"):
            if bare.endswith(ending) and index.get(bare.removesuffix(ending)):
                return _transparent(one) if ending == ".cutout" else _black_and_white(one)
        # IMG.jpg.png, or IMG.png beside IMG.jpg; the file itself is in the index by its stem.
        others = [other for other in index.get(bare, ()) if other.path != one.path]
        if any(naming.key(PurePath(other.path.name)) == bare for other in others):
            return _black_and_white(one)
        return any(_may_be_of(one, other) for other in others[:_OTHERS]) and _black_and_white(one, noise=0)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False  # not to be seen: the service will say what is wrong


def _black_and_white(one: Photograph, noise: int = _NOISE) -> bool:
    """Grey, and nearly everywhere black or white, or at most ``noise`` of 255 away from it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(one.path) as opened:
            opened.draft("RGB", (_LONGEST, _LONGEST))
            step = max(1, max(opened.size) // _LONGEST)
            picture = opened.resize((max(1, opened.width // step), max(1, opened.height // step)), Image.Resampling.NEAREST)
    pixels = np.asarray(picture.convert("RGB"), np.int16)
    if np.ptp(pixels, axis=2).max() > noise:
        return False
    return bool((np.abs(pixels - 127.5) >= 127.5 - noise).mean() >= _EXTREME)


def _transparent(one: Photograph) -> bool:
    with Image.open(one.path) as opened:
        return "A" in opened.getbands() or "transparency" in opened.info


def _may_be_of(one: Photograph, other: Photograph) -> bool:
    """By their headers: same size; and stored without colours where they have one name, as views of many objects may."""
    with Image.open(one.path) as first, Image.open(other.path) as second:
        one_name = naming.key(PurePath(one.path.name)) == naming.key(PurePath(other.path.name))
        return first.size in (second.size, second.size[::-1]) and not (one_name and first.mode.startswith("RGB"))
