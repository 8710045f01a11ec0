"""Where the result of a photograph goes. How programs want masks named is in the contract (``mask_names.py`` there)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import PurePath

from maquette.client.errors import ParameterInvalid
from protos.maquette.remove_background.v1.mask_names import Tool, collisions, key, mask_name

__all__ = ["OutputKind", "Tool", "key", "name_for", "names_for"]


class OutputKind(StrEnum):
    """What is written for each photograph: its mask, or the photograph with the mask as alpha."""

    MASK = "mask"
    CUTOUT = "cutout"


def name_for(photo: PurePath, kind: OutputKind = OutputKind.MASK, tool: Tool | None = None) -> PurePath:
    """Relative path of the result of the photograph at the relative path ``photo``.

    Raises :class:`ParameterInvalid` for a name that the tool could not read back.
    """
    if kind is OutputKind.CUTOUT:
        return photo.with_name(f"{photo.name}.cutout.png")
    try:
        return mask_name(photo, tool)
    except ValueError as error:
        raise ParameterInvalid("PARAMETER_INVALID", str(error)) from None


def names_for(
    photos: Sequence[PurePath],
    kind: OutputKind,
    tool: Tool | None,
    *,
    shown: Sequence[PurePath] | None = None,
    ignores_case: Callable[[], bool] = lambda: True,
) -> list[PurePath | ParameterInvalid]:
    """:func:`name_for` each photograph, or an error for all those whose results would be one file.

    ``shown`` are the paths to name in an error, by default ``photos``. ``ignores_case`` tells whether names that differ by case
    or Unicode composition alone are one file; it is called only when two names differ so.
    """
    shown = shown or photos
    names = [_or_error(photo, kind, tool) for photo in photos]
    good = [name if isinstance(name, PurePath) else None for name in names]
    groups = collisions(good)
    if any(len({str(names[index]) for index in group}) > 1 for group in groups) and not ignores_case():
        groups = collisions(good, str)
    for group in groups:
        for index in group:
            others = " and ".join(str(shown[other]) for other in group if other != index)
            detail = f"{shown[index]} and {others} would both be written to {names[index]}; rename one, or do them apart."
            names[index] = ParameterInvalid("PARAMETER_INVALID", detail)
    return names


def _or_error(photo: PurePath, kind: OutputKind, tool: Tool | None) -> PurePath | ParameterInvalid:
    try:
        return name_for(photo, kind, tool)
    except ParameterInvalid as error:
        return error
