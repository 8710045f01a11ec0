"""The id that a collection gives an object, for the photographs of it."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePath

from maquette.client.errors import make
from maquette.folders.photographs import Photograph


class IdOfName(StrEnum):
    """What of a photograph's name is the id of its object."""

    STEM = "stem"
    NAME = "name"
    PATH = "path"

    def of(self, name: PurePath) -> str:
        """The id in ``name``, relative to the folder that was searched: 123, 123.jpg or sub/123.jpg of ``sub/123.jpg``.

        Always in Unicode's composed form (NFC), which catalogues have; file systems may have the other one.
        """
        return composed({IdOfName.STEM: name.stem, IdOfName.NAME: name.name, IdOfName.PATH: name.as_posix()}[self])


@dataclass(frozen=True)
class IdFrom:
    """Where ids come from: the photograph's name, or a column of the user's catalogue ("" is its first one)."""

    name: IdOfName | None = None
    column: str | None = None

    @classmethod
    def parse(cls, given: str | None) -> IdFrom | None:
        """``stem``, ``name``, ``path``, ``column`` or ``column:NAME``. Raises :class:`ParameterInvalid`."""
        if given is None:
            return None
        if given in set(IdOfName):
            return cls(name=IdOfName(given))
        kind, _, column = given.partition(":")
        if kind != "column":
            raise make("PARAMETER_INVALID", f"--id-from takes stem, name, path, column or column:NAME, not {given!r}.")
        return cls(column=column.strip())

    def of_names(self, found: Sequence[Photograph]) -> list[str] | None:
        """An id for each photograph, where ids come from names."""
        return [self.name.of(photograph.name) for photograph in found] if self.name else None


def composed(text: str) -> str:
    """In Unicode's composed form (NFC)."""
    return unicodedata.normalize("NFC", text)
