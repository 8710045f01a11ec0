"""From the upright picture that a person sees to the pixels as the file stores them."""

from __future__ import annotations

from dataclasses import dataclass

Place = tuple[float, float]
# By the orientation that EXIF tells: whether the stored picture's sides change places, and the upright place's image in it, of
# (column, row, width, height) of the upright picture.
_SWAPPED = frozenset({5, 6, 7, 8})


@dataclass(frozen=True, slots=True)
class Turn:
    """How a photograph is turned to be upright. ``stored`` is its (width, height) in the file; ``orientation`` EXIF's, 1 to 8.

    Source: Exif 2.32 (CIPA DC-008), section 4.6.4, tag Orientation.
    """

    stored: tuple[int, int]
    orientation: int = 1

    @property
    def upright(self) -> tuple[int, int]:
        """(width, height) as a viewer shows it."""
        return self.stored[::-1] if self.orientation in _SWAPPED else self.stored

    def to_stored(self, place: Place) -> Place:
        """The place in the file's pixels of a ``place`` (column, row) of the upright picture; fractions within a pixel."""
        (x, y), (width, height) = place, self.upright
        return {
            2: (width - x, y),
            3: (width - x, height - y),
            4: (x, height - y),
            5: (y, x),
            6: (y, width - x),
            7: (height - y, width - x),
            8: (height - y, x),
        }.get(self.orientation, (x, y))
