"""Where the mask of a photograph goes, by the photogrammetry program that will read it. Pure: nothing is opened here.

The sub-folder of the photograph is kept. Sources: the manuals of COLMAP (mask_path), Agisoft Metashape (Import Masks),
RealityScan (mask image layers), Meshroom (masksFolders) and OpenMVS (mask-path); for ODM its own loader, which looks for
the stem and `_mask` with any image suffix, beside the photograph, and passes over names with a space.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import PurePath

from maquette.errors import ParameterInvalid


class Tool(StrEnum):
    """Programs whose naming of masks is known."""

    COLMAP = "colmap"
    METASHAPE = "metashape"
    REALITYSCAN = "realityscan"
    MESHROOM = "meshroom"
    ODM = "odm"
    OPENMVS = "openmvs"


class OutputKind(StrEnum):
    """What is written for each photograph: its mask, or the photograph with the mask as alpha."""

    MASK = "mask"
    CUTOUT = "cutout"


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


def name_for(photo: PurePath, kind: OutputKind = OutputKind.MASK, tool: Tool | None = None) -> PurePath:
    """Relative path of the result of the photograph at the relative path ``photo``.

    Raises :class:`ParameterInvalid` for a name that the tool could not read back.
    """
    if kind is OutputKind.CUTOUT:
        return photo.with_name(f"{photo.name}.cutout.png")
    if tool is Tool.ODM and " " in photo.stem:
        raise ParameterInvalid(
            "PARAMETER_INVALID", f"{photo}: ODM passes over masks with a space in their name; rename the photograph."
        )
    return photo.with_name(_MASKS[tool](photo))


def names_for(
    photos: Sequence[PurePath],
    kind: OutputKind,
    tool: Tool | None,
    *,
    shown: Sequence[PurePath] | None = None,
    ignores_case: Callable[[], bool] = lambda: True,
) -> list[PurePath | ParameterInvalid]:
    """:func:`name_for` each, or why a photograph has no name of its own: where two would be one file, neither has.

    ``shown`` is what to call the photographs in an error, where that is more than their relative paths. ``ignores_case``
    is asked, where it matters, whether names that differ by case or Unicode composition alone are one file.
    """
    shown = shown or photos
    names = [_or_error(photo, kind, tool) for photo in photos]
    groups = _groups(names, key)
    if any(len({str(names[index]) for index in group}) > 1 for group in groups) and not ignores_case():
        groups = _groups(names, str)
    for group in groups:
        for index in group:
            others = " and ".join(str(shown[other]) for other in group if other != index)
            detail = f"{shown[index]} and {others} would both be written to {names[index]}; rename one, or mask them apart."
            names[index] = ParameterInvalid("PARAMETER_INVALID", detail)
    return names


def _or_error(photo: PurePath, kind: OutputKind, tool: Tool | None) -> PurePath | ParameterInvalid:
    try:
        return name_for(photo, kind, tool)
    except ParameterInvalid as error:
        return error


def _groups(names: Sequence[PurePath | ParameterInvalid], same: Callable[[PurePath], str]) -> list[list[int]]:
    """Indices of the names that are one, where they are more than one."""
    owners: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        if isinstance(name, PurePath):
            owners.setdefault(same(name), []).append(index)
    return [group for group in owners.values() if len(group) > 1]


def key(path: PurePath) -> str:
    """Equal for paths that some file system takes for one: case and Unicode composition are ignored."""
    return unicodedata.normalize("NFC", str(path)).casefold()
