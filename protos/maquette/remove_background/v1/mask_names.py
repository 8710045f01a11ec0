"""What photogrammetry programs want the mask of a photograph to be called: part of the contract, for callers and services.

The sub-folder of the photograph is kept. Pure: nothing is opened here. Sources: the manuals of COLMAP (mask_path), Agisoft
Metashape (Import Masks), RealityScan (mask image layers), Meshroom (masksFolders) and OpenMVS (mask-path); for ODM its own
loader, which looks for the stem and `_mask` with any image suffix, beside the photograph, and passes over names with a space.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import PurePath


class Tool(StrEnum):
    """Programs whose naming of masks is known."""

    COLMAP = "colmap"
    METASHAPE = "metashape"
    REALITYSCAN = "realityscan"
    MESHROOM = "meshroom"
    ODM = "odm"
    OPENMVS = "openmvs"


_MASKS: dict[Tool | None, Callable[[PurePath], str]] = {
    # Keeping the photograph's suffix is what tells IMG.jpg from IMG.png, hence the default too.
    None: lambda photo: f"{photo.name}.png",
    Tool.COLMAP: lambda photo: f"{photo.name}.png",
    Tool.METASHAPE: lambda photo: f"{photo.stem}_mask.png",
    Tool.REALITYSCAN: lambda photo: f"{photo.name}.mask.png",
    Tool.MESHROOM: lambda photo: f"{photo.stem}.png",
    Tool.ODM: lambda photo: f"{photo.stem}_mask.png",
    Tool.OPENMVS: lambda photo: f"{photo.stem}.mask.png",
}


def mask_name(photo: PurePath, tool: Tool | None = None) -> PurePath:
    """Relative path of the mask of the photograph at the relative path ``photo``.

    Raises ``ValueError``, with a sentence for the user, for a name that the tool could not read back.
    """
    if tool is Tool.ODM and " " in photo.stem:
        raise ValueError(f"{photo}: ODM passes over masks with a space in their name; rename the photograph.")
    return photo.with_name(_MASKS[tool](photo))


def key(path: PurePath) -> str:
    """Equal for paths that some file system takes for one: case and Unicode composition are ignored."""
    return unicodedata.normalize("NFC", str(path)).casefold()


def collisions(names: Sequence[PurePath | None], same: Callable[[PurePath], str] = key) -> list[list[int]]:
    """Indices of the names that are one, where they are more than one, or of which one is a folder of the others."""
    owners: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        if name is not None:
            owners.setdefault(same(name), []).append(index)
    groups = {own: list(indices) for own, indices in owners.items()}
    for index, name in enumerate(names):
        for folder in name.parents if name is not None else ():
            if (own := same(folder)) in groups:
                groups[own].append(index)
    return [group for group in groups.values() if len(group) > 1]
