"""What a map needs of the records, collected as they stream through to their file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from maquette.folders.photographs import Photograph
from maquette.maps.catalogue import Collection
from maquette.maps.html import Column, Section, column_of
from maquette.maps.projection import Array
from maquette.records.records import Record


@dataclass
class Gathered:
    """The answered ``works`` with the vector that places each and the record without it, and why others have ``failed``.

    ``views`` are the further photographs of each work.
    """

    vector: str  # the record's field that places a work
    works: list[Photograph] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    failed: list[tuple[Photograph, str]] = field(default_factory=list)
    places: list[int] = field(default_factory=list)  # of each work among all photographs
    views: list[list[Photograph]] = field(default_factory=list)
    _vectors: list[Array] = field(default_factory=list)

    def through(self, collection: Collection, records: Iterable[Record]) -> Iterator[Record]:
        """The records, one for each photograph, as they are."""
        for place, (photograph, record) in enumerate(zip(collection.found, records, strict=False)):
            if "error" in record:
                self.failed.append((photograph, record["error"]["detail"]))
            else:
                self.works.append(photograph)
                self.places.append(place)
                self.views.append([])
                self.records.append({name: value for name, value in record.items() if name not in (self.vector, "features")})
                self._vectors.append(np.array(record[self.vector], np.float32))
            yield record

    def by_object(self) -> Gathered:
        """Photographs of one id as one work: the one whose vector is nearest to their mean; the others are its ``views``."""
        objects: dict[object, list[int]] = {}
        for work, record in enumerate(self.records):
            objects.setdefault(record.get("id") or work, []).append(work)
        made = Gathered(self.vector, failed=self.failed)
        for members in objects.values():
            vectors = np.stack([self._vectors[work] for work in members])
            distances = ((vectors - vectors.mean(axis=0)) ** 2).sum(axis=1)
            central = members[int(distances.argmin())]
            made.works.append(self.works[central])
            made.records.append(self.records[central])
            made.places.append(self.places[central])
            made.views.append([self.works[work] for work in members if work != central])
            made._vectors.append(self._vectors[central])
        return made

    @property
    def vectors(self) -> Array:
        """float32 [works, dimensions]"""
        return np.stack(self._vectors)

    @property
    def names(self) -> list[str]:
        """What each work is called: by its id, else by its path in its folder, or the whole path where two are alike."""
        within = [photograph.name.as_posix() for photograph in self.works]
        names = [str(record.get("id") or name) for record, name in zip(self.records, within, strict=True)]
        counts = Counter(names)
        return [
            name if counts[name] == 1 else photograph.path.as_posix()
            for name, photograph in zip(names, self.works, strict=True)
        ]

    def user_columns(self, collection: Collection, own: Iterable[str]) -> list[Column]:
        """The user's columns, and the sub-folder where there are several, for the works.

        ``own`` are the names of Maquette's columns: a user's of the same name is told apart by its file.
        """
        columns, taken = collection.columns, set(own)
        given = dict(columns.values) if columns else {}
        if collection.folders and "folder" not in given:
            given["folder"] = collection.folders
        source = columns.source if columns else ""
        return [
            column_of(f"{name} ({source})" if name in taken else name, [values[place] for place in self.places])
            for name, values in given.items()
        ]

    def view_count(self) -> list[Column]:
        """How many photographs each work has, where one has several."""
        if not any(self.views):
            return []
        return [Column("photographs", "number", [1 + len(views) for views in self.views])]

    def failures(self) -> list[Section]:
        """What is not on the map, and why; nothing where all is."""
        if not self.failed:
            return []
        lines = [f"{photograph.path}: {reason}" for photograph, reason in self.failed]
        return [Section(f"Not on the map: {len(lines):,}", "sentences", lines)]
