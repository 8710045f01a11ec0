"""What the stores have in common: the address after ``--to``, the name of a space's table, and the rows in it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Protocol

from maquette.client.errors import MaquetteError, StoreFailed, make

POSTGRESQL, LANCEDB = ("postgresql://", "postgres://"), "lancedb:"
SPACES = "maquette_spaces"


@dataclass(frozen=True)
class Row:
    """A photograph in a table; ``file`` is the key.

    ``vector`` places it in the space, and ``features`` is the encoder's wider vector where it was asked for. ``settings`` are
    what else than the photograph and the model decides the answer, ``record`` is the whole answer, both as JSON.
    """

    file: str
    id: str
    sha256: str
    model_version: str
    settings: str
    vector: list[float]
    features: list[float] | None
    record: str
    written_at: datetime

    @property
    def state(self) -> State:
        return State(self.sha256, self.model_version, self.settings, self.id)


@dataclass(frozen=True, slots=True)
class State:
    """What tells whether a row is still true of its photograph."""

    sha256: str
    model_version: str
    settings: str
    id: str


COLUMNS = tuple(field.name for field in fields(Row))
STATE = tuple(field.name for field in fields(State))


@dataclass(frozen=True)
class Space:
    """An embedding space: its id as the contract has it, and how long ``features`` are in it; 0 where there are none."""

    id: str
    features: int = 0

    @property
    def table(self) -> str:
        """The name of its table: the id's letters and digits, then eight digits of the id's sha256; at most 63 bytes."""
        words = re.sub(r"[^a-z0-9]+", "_", self.id.lower()).strip("_")[:45]
        return f"maquette_{words}_{hashlib.sha256(self.id.encode()).hexdigest()[:8]}"


class Table(Protocol):
    """The table of one space. All methods raise :class:`StoreFailed`; :meth:`open` also :class:`SpacesDiffer`."""

    where: str  # for people, without a password

    def open(self, space: Space) -> None:
        """Connect. A table of that name that is another space's, or nobody knows whose, is refused."""
        ...

    def states(self) -> Iterator[tuple[str, State]]:
        """The file of every row, and its state; nothing where there is no table yet."""
        ...

    def record(self, file: str) -> str:
        """The answer of one row, as JSON."""
        ...

    def write(self, rows: Sequence[Row]) -> None:
        """These rows in one transaction, each in the place of the row of its file. The table is made where there is none."""
        ...

    def delete(self, files: Sequence[str]) -> None:
        """Delete the rows of these files in one transaction."""
        ...

    def close(self) -> None: ...


def table_at(to: str) -> Table:
    """The store at ``postgresql://...`` or ``lancedb:FOLDER``. Raises :class:`ParameterInvalid`."""
    if to.startswith(POSTGRESQL):
        from maquette.stores.postgresql import Postgresql

        return Postgresql(to)
    if to.startswith(LANCEDB) and to != LANCEDB:
        from maquette.stores.lance import Lance

        return Lance(Path(to.removeprefix(LANCEDB)))
    raise make("PARAMETER_INVALID", "--to takes postgresql://USER@HOST/DATABASE or lancedb:FOLDER.")


def shown(to: str) -> str:
    """The address as it may be written down: without a password, and without options, one of which may be a password."""
    if not to.startswith(POSTGRESQL):
        return to
    scheme, _, rest = to.partition("://")
    user, at, place = rest.partition("?")[0].rpartition("@")
    return f"{scheme}://{user.partition(':')[0]}{at}{place}"


def lacking(extra: str) -> MaquetteError:
    """The store's library is not installed."""
    return make("PARAMETER_INVALID", f"--to needs {extra}: pip install 'maquette-serving[vectors]'.")


def unreachable(where: str, reason: object) -> StoreFailed:
    return StoreFailed("STORE_UNREACHABLE", f"{where} cannot be reached: {_line(reason)}.")


def unwritable(where: str, reason: object) -> StoreFailed:
    return StoreFailed("STORE_UNWRITABLE", f"{where} cannot be written: {_line(reason)}.")


def clash(where: str, space: Space, there: str | None) -> MaquetteError:
    """The name of the space's table is taken."""
    if there is None:
        detail = f"{where} has a table {space.table} that Maquette did not make; rename it, or choose another store."
        return StoreFailed("STORE_UNWRITABLE", detail)
    detail = f"{where}: the table {space.table} is of the space {there}, and these vectors are of {space.id}"
    return make("SPACES_DIFFER", f"{detail}: the two cannot be compared. Choose another store.")


def _line(reason: object) -> str:
    """The first line of a message of the store, without its full stop."""
    return (str(reason).strip() or type(reason).__name__).splitlines()[0].rstrip(".")
