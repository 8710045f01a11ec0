"""What a map needs of the answers, kept while they pass on to the file of records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from maquette.columns import Columns
from maquette.layout import Array
from maquette.page import Column, column_of
from maquette.photographs import Photograph
from maquette.records import Record


@dataclass
class Gathered:
    """The answered ``works`` with the vector that places each and the record without it, and why others have ``failed``."""

    vector: str  # the record's field that places a work
    works: list[Photograph] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    failed: list[tuple[Photograph, str]] = field(default_factory=list)
    _vectors: list[Array] = field(default_factory=list)
    places: list[int] = field(default_factory=list)  # of each work among all photographs

    def through(self, found: list[Photograph], records: Iterable[Record]) -> Iterator[Record]:
        """The records, one for each of ``found``, as they are."""
        for place, (photograph, record) in enumerate(zip(found, records, strict=True)):
            if "error" in record:
                self.failed.append((photograph, record["error"]["detail"]))
            else:
                self.works.append(photograph)
                self.places.append(place)
                self.records.append({name: value for name, value in record.items() if name not in (self.vector, "features")})
                self._vectors.append(np.array(record[self.vector], np.float32))
            yield record

    @property
    def vectors(self) -> Array:
        """float32 [works, dimensions]"""
        return np.stack(self._vectors)

    def user_columns(self, columns: Columns | None, folders: list[str] | None) -> list[Column]:
        """The user's columns, and the sub-folder where there are several, for the works."""
        given = dict(columns.values) if columns else {}
        if folders and "folder" not in given:
            given["folder"] = folders
        return [column_of(name, [values[place] for place in self.places]) for name, values in given.items()]
