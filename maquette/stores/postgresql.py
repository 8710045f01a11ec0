"""PostgreSQL with pgvector: a table for each space, listed in ``maquette_spaces``, with an HNSW index over its vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from maquette.stores import table
from maquette.stores.table import COLUMNS, SPACES, STATE, Row, Space, State

try:
    import psycopg
    from pgvector.psycopg import register_vector
    from pgvector.vector import Vector
    from psycopg import sql
except ImportError as error:
    raise table.lacking("psycopg and pgvector") from error

# HNSW (Malkov and Yashunin 2018): 24 neighbours a node, found among 200 candidates, so that pgvector's default of 40 candidates
# a query finds 99 of 100 true neighbours (docs/vectors.md has the figures). pgvector indexes no more than 2,000 dimensions.
_HNSW, _MOST_DIMENSIONS = "m = 24, ef_construction = 200", 2000
_CONNECT_SECONDS = 10


class Postgresql:
    """The database at a libpq address. What that leaves out comes from libpq's variables and files, as ``PGPASSWORD``."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.where = table.shown(address)

    def open(self, space: Space) -> None:
        self._space = space
        self._table = sql.Identifier(space.table)
        try:
            self._connection = psycopg.connect(self._address, autocommit=True, connect_timeout=_CONNECT_SECONDS)
        except psycopg.OperationalError as error:
            raise table.unreachable(self.where, error) from error
        except psycopg.ProgrammingError:  # whose message and cause show the address with its password
            raise table.unreachable(self.where, "it is no address that libpq reads") from None
        try:
            with self._failing():
                self._made = self._check()
        except BaseException:
            self.close()
            raise

    def _check(self) -> bool:
        """Whether the space has its table. Raises :class:`SpacesDiffer`, :class:`StoreFailed`."""
        if not self._exists(self._space.table):
            return False
        query = f"SELECT space FROM {SPACES} WHERE table_name = %s"
        found = self._one(query, self._space.table) if self._exists(SPACES) else None
        there = str(found[0]) if found else None
        if there != self._space.id:
            raise table.clash(self.where, self._space, there)
        register_vector(self._connection)
        return True

    def _exists(self, name: str) -> bool:
        return self._one("SELECT to_regclass(quote_ident(%s))", name) != (None,)

    def _one(self, query: Any, *values: object) -> tuple[Any, ...] | None:
        return self._connection.execute(query, values).fetchone()

    def states(self) -> Iterator[tuple[str, State]]:
        if not self._made:
            return
        query = sql.SQL("SELECT file, {} FROM {}").format(_names(STATE), self._table)
        with self._failing(), self._connection.transaction(), self._connection.cursor("states") as cursor:
            cursor.itersize = 10_000
            for file, *state in cursor.execute(query):
                yield file, State(*state)

    def record(self, file: str) -> str:
        with self._failing():
            found = self._one(sql.SQL("SELECT record::text FROM {} WHERE file = %s").format(self._table), file)
        if found is None:
            raise table.unwritable(self.where, f"the row of {file} was deleted during the run; run the command again")
        return str(found[0])

    def write(self, rows: Sequence[Row]) -> None:
        with self._failing(), self._connection.transaction():
            if not self._made:
                self._make(rows[0])
            query = sql.SQL("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT (file) DO UPDATE SET ({}) = ROW ({})").format(
                self._table,
                _names(COLUMNS),
                sql.SQL(", ").join(map(sql.Placeholder, COLUMNS)),
                _names(COLUMNS[1:]),
                sql.SQL(", ").join(sql.Identifier("excluded", name) for name in COLUMNS[1:]),
            )
            with self._connection.cursor() as cursor:
                cursor.executemany(query, map(_values, rows))
        self._made = True

    def _make(self, row: Row) -> None:
        """Extension, list of spaces, table and indexes, in the transaction of the first rows."""
        self._connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (SPACES,))  # two first runs at a time
        self._connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        register_vector(self._connection)
        self._connection.execute(
            f"CREATE TABLE IF NOT EXISTS {SPACES} (table_name text PRIMARY KEY, space text UNIQUE NOT NULL, "
            "dimensions integer NOT NULL, made_at timestamptz NOT NULL DEFAULT now())"
        )
        if self._check():
            return  # the other run was first
        lengths = {"vector": len(row.vector)} | ({"features": self._space.features} if self._space.features else {})
        features = f"vector({self._space.features})" if self._space.features else "vector"
        self._connection.execute(
            sql.SQL(
                "CREATE TABLE {} (file text PRIMARY KEY, id text NOT NULL, sha256 text NOT NULL, model_version text NOT NULL, "
                "settings text NOT NULL, vector {} NOT NULL, features {}, record jsonb NOT NULL, "
                "written_at timestamptz NOT NULL)"
            ).format(self._table, sql.SQL(f"vector({len(row.vector)})"), sql.SQL(features))
        )
        for name, length in lengths.items():
            if length <= _MOST_DIMENSIONS:
                index = sql.SQL(f"CREATE INDEX ON {{}} USING hnsw ({name} vector_l2_ops) WITH ({_HNSW})")
                self._connection.execute(index.format(self._table))
        self._connection.execute(sql.SQL("CREATE INDEX ON {} (id)").format(self._table))
        query = f"INSERT INTO {SPACES} (table_name, space, dimensions) VALUES (%s, %s, %s)"
        self._connection.execute(query, (self._space.table, self._space.id, len(row.vector)))

    def delete(self, files: Sequence[str]) -> None:
        with self._failing():
            self._connection.execute(sql.SQL("DELETE FROM {} WHERE file = ANY(%s)").format(self._table), (list(files),))

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except psycopg.errors.FeatureNotSupported as error:  # no pgvector on the server's disk
            raise table.unwritable(self.where, f"{error.diag.message_primary}; install pgvector on the server") from error
        except psycopg.errors.InsufficientPrivilege as error:
            hint = "let an administrator run CREATE EXTENSION vector and GRANT CREATE ON SCHEMA"
            raise table.unwritable(self.where, f"{error.diag.message_primary}; {hint}") from error
        except psycopg.Error as error:
            raise table.unwritable(self.where, error) from error


def _names(columns: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


def _values(row: Row) -> dict[str, Any]:
    return vars(row) | {"vector": Vector(row.vector), "features": row.features and Vector(row.features)}
