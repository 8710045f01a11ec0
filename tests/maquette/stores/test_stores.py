"""Vectors in a store: what a run writes, what the next one leaves alone, and what is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import lancedb
import numpy as np
import psycopg
import pyarrow
import pytest
from pgvector.psycopg import register_vector

from maquette.stores.table import Row, Space, State, table_at
from tests.maquette.conftest import ROOT, Run, photograph
from tests.maquette.server import Server
from tests.maquette.stores.conftest import Store

COMMANDS = {"embed": "latent", "cluster": "embedding"}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_row_for_each_photograph(maquette: Run, server: Server, folder: Path, store: Store, command: str) -> None:
    done = maquette(command, "photos", "--id-from", "stem", "--to", store.to, "--server", server.address, "--format", "jsonl")
    assert done.returncode == 0
    assert list(store.spaces().values()) == ["levels"]
    rows = store.rows()
    assert set(rows) == {"photos/a.jpg", "photos/b.JPG", "photos/sub/c.png"}
    for record in map(json.loads, done.stdout.splitlines()):
        row = rows[record["file"]]
        assert json.loads(row["record"]) == record
        assert {name: row[name] for name in ("id", "sha256", "model_version")} == {
            name: record[name] for name in ("id", "sha256", "model_version")
        }
        vector = json.loads(row["vector"]) if store.kind == "postgresql" else row["vector"]
        assert vector == pytest.approx(record[COMMANDS[command]])
        assert row["features"] is None
        assert row["written_at"].tzinfo is not None


def test_the_store_alone_is_enough_and_the_run_says_where_the_vectors_are(
    maquette: Run, server: Server, folder: Path, store: Store
) -> None:
    done = maquette("embed", "photos", "--features", "--to", store.to, "--server", server.address)
    assert (done.returncode, done.stdout) == (0, "")
    table = next(iter(store.spaces()))
    assert done.stderr.startswith(f"3 done, 0 skipped, 0 failed; vectors in {table} of {store.kind}:")
    assert all(row["features"] is not None for row in store.rows().values())


def test_what_is_the_same_is_neither_asked_for_nor_written(maquette: Run, server: Server, folder: Path, store: Store) -> None:
    words = ["embed", "photos", "--to", store.to, "--server", server.address]
    assert maquette(*words).returncode == 0
    before, version, asked = store.rows(), store.version(), len(server.seen.items)
    again = maquette(*words, "-o", "out.csv")
    assert again.stderr.startswith("0 done, 3 skipped, 0 failed; records in out.csv, vectors in ")
    assert (store.rows(), store.version(), len(server.seen.items)) == (before, version, asked)
    assert (folder.parent / "out.csv").read_text().count("\n") == 4, "what was not asked for comes out of the store"

    (folder / "a.jpg").write_bytes(photograph(77))  # changed
    (folder / "new.jpg").write_bytes(photograph(88))
    (folder / "b.JPG").write_bytes(b"no photograph any more")  # fails: its row stays
    (folder / "sub" / "c.png").unlink()  # vanished: its row stays
    assert maquette(*words).returncode == 1
    now = store.rows()
    assert set(now) == {*before, "photos/new.jpg"}
    assert {file for file in before if now[file] == before[file]} == {"photos/b.JPG", "photos/sub/c.png"}
    assert len(server.seen.items) == asked + 3

    named = maquette(*words, "--id-from", "stem")  # another id is another row, without asking
    assert (named.returncode, len(server.seen.items)) == (1, asked + 4)
    assert store.rows()["photos/a.jpg"]["id"] == "a"

    version = store.version()
    assert maquette(*words, "--id-from", "stem", "--overwrite").returncode == 1
    assert store.version() != version
    assert len(server.seen.items) == asked + 7


def test_rows_of_vanished_photographs_go_only_when_that_is_asked(
    maquette: Run, server: Server, folder: Path, store: Store
) -> None:
    other = folder.parent / "photos2"
    other.mkdir()
    (other / "a'b.jpg").write_bytes(photograph(3))
    (folder / "o'clock.jpg").write_bytes(photograph(4))
    words = ["--to", store.to, "--server", server.address]
    assert maquette("embed", "photos", "photos2", *words).returncode == 0
    (folder / "a.jpg").unlink()
    (folder / "o'clock.jpg").unlink()
    (other / "a'b.jpg").unlink()
    assert maquette("embed", "photos", *words).returncode == 0
    assert len(store.rows()) == 5
    done = maquette("embed", "photos", "--delete-vanished", *words)
    assert done.stderr.startswith("2 rows of photographs that are gone were deleted.\n")
    assert set(store.rows()) == {"photos/b.JPG", "photos/sub/c.png", "photos2/a'b.jpg"}
    assert maquette("embed", "photos", "--delete-vanished", "--server", server.address).returncode == 2
    assert maquette("embed", ".", "--delete-vanished", *words).returncode == 2
    assert len(store.rows()) == 3


def test_two_spaces_never_meet(maquette: Run, server: Server, folder: Path, store: Store) -> None:
    words = ["embed", "photos", "--to", store.to, "--server", server.address]
    assert maquette(*words).returncode == 0
    first = store.version()
    server.space = "Levels"  # of the same letters
    assert maquette(*words).returncode == 0
    server.space = "levels'; DROP TABLE x; --" + "long" * 40
    assert maquette(*words).returncode == 0
    spaces = store.spaces()
    assert set(spaces.values()) == {"levels", "Levels", server.space}
    assert all(len(name) <= 63 and name.replace("_", "").isalnum() for name in spaces)
    assert all(len(store.rows(name)) == 3 for name in spaces)
    if store.kind == "postgresql":
        levels = next(name for name, space in spaces.items() if space == "levels")
        assert {file: row["xmin"] for file, row in store.rows(levels).items()} == first


def test_a_table_that_is_not_the_spaces_is_refused(maquette: Run, server: Server, folder: Path, store: Store) -> None:
    words = ["embed", "photos", "--to", store.to, "--server", server.address]
    name = Space("levels").table

    def make(comment: str | None) -> None:
        if store.kind == "lancedb":
            schema = pyarrow.schema([("mine", pyarrow.int64())], metadata=comment and {"embedding_space": comment})
            lancedb.connect(store.folder).create_table(name, schema=schema, mode="overwrite")
            return
        with psycopg.connect(store.uri) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS maquette_spaces (table_name text, space text)")
            connection.execute(f"CREATE TABLE IF NOT EXISTS {name} (mine integer)")
            if comment:
                connection.execute("INSERT INTO maquette_spaces VALUES (%s, %s)", (name, comment))

    for space, says in ((None, "that Maquette did not make"), ("of old", "is of the space of old")):
        make(space)
        refused = maquette(*words)
        assert refused.returncode == 2
        assert says in refused.stderr
        assert not server.seen.items, "nothing was asked"


def test_a_kill_costs_one_transaction_at_most_and_the_same_command_goes_on(
    server: Server, tmp_path: Path, store: Store
) -> None:
    (tmp_path / "photos").mkdir()
    for number in range(640):
        (tmp_path / "photos" / f"{number:04}.jpg").write_bytes(photograph(number % 250, size=(20 + number % 7, 20)))
    command = [sys.executable, "-m", "maquette", "embed", "photos", "--to", store.to, "--server", server.address]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    names = [f"photos/{number:04}.jpg" for number in range(640)]
    server.faults.hang_streams, server.faults.hang_after = 1, 520
    with subprocess.Popen(command, cwd=tmp_path, env=environment) as run:
        while not store.spaces() and run.poll() is None:
            time.sleep(0.02)
        run.kill()
    kept = store.rows()
    assert kept and set(kept) == set(names[: len(kept)]), "whole transactions, of the first photographs"

    asked, server.faults.hang_streams, server.faults.hang_after = len(server.seen.items), 1, 30
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as run:
        while len(server.seen.items) <= asked + 30 and run.poll() is None:
            time.sleep(0.01)
        time.sleep(0.5)  # for the last answers to arrive
        run.send_signal(signal.SIGINT)
        said = run.communicate()[1]
    assert run.returncode == 130, said
    interrupted = store.rows()
    assert len(kept) < len(interrupted) <= len(kept) + 30, "what had its answer when Ctrl-C came is written"
    assert all(interrupted[file] == row for file, row in kept.items())

    asked = len(server.seen.items)
    assert subprocess.run(command, cwd=tmp_path, env=environment, check=False).returncode == 0
    assert set(store.rows()) == set(names)
    assert len(server.seen.items) - asked == 640 - len(interrupted)


def test_a_password_is_written_nowhere(maquette: Run, server: Server, folder: Path, database: str) -> None:
    secret = "kept-to/myself@all"
    to = database.replace("://postgres:@", f"://postgres:{secret.replace('/', '%2F').replace('@', '%40')}@")
    done = maquette("cluster", "photos", "-o", "report", "--to", to, "--server", server.address)
    assert done.returncode == 0
    assert "--to" in (folder.parent / "report" / "map.html").read_text()
    said = [done.stdout, done.stderr]
    for wrong in (
        f"postgresql://me:{secret}@127.0.0.1:1/x",
        f"postgresql://me@127.0.0.1:1/x?password={secret}",
        f"postgresql://me:%zz{secret}@127.0.0.1/x",
        f"mysql://me:{secret}@127.0.0.1/x",
    ):
        refused = maquette("embed", "photos", "--to", wrong, "--server", server.address)
        assert refused.returncode == 2
        said.append(refused.stdout + refused.stderr)
    rows = Store("postgresql", to, database, folder).rows()
    files = [path.read_text(errors="replace") for path in folder.parent.rglob("*") if path.is_file()]
    for text in [*said, *files, str(rows)]:
        assert "myself" not in text and "kept-to" not in text


def test_a_store_that_cannot_be_used_is_said_before_anything_is_asked(
    maquette: Run, server: Server, folder: Path, database: str
) -> None:
    (folder.parent / "file").write_text("mine")
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS reader")
        connection.execute("CREATE ROLE reader LOGIN")
    for to, says in (
        ("postgresql://me@127.0.0.1:1/x", "cannot be reached"),
        ("lancedb:", "--to takes"),
        ("qdrant://x", "--to takes"),
    ):
        refused = maquette("embed", "photos", "--to", to, "--server", server.address)
        assert (refused.returncode, says in refused.stderr) == (2, True), refused.stderr
        assert not server.seen.items
    for to in ("lancedb:file", database.replace("://postgres:@", "://reader@")):
        refused = maquette("embed", "photos", "--to", to, "--server", server.address)
        assert refused.returncode in (1, 2)
        assert "cannot be written" in refused.stderr or "cannot be reached" in refused.stderr
    assert (folder.parent / "file").read_text() == "mine"


def test_a_store_finds_the_neighbours_that_an_exact_search_finds(store: Store) -> None:
    random = np.random.default_rng(7)
    centres = random.normal(size=(30, 16)) * 3
    vectors = (centres[random.integers(30, size=1000)] + random.normal(size=(1000, 16))).astype(np.float32)
    table, now, state = table_at(store.to), datetime.now(UTC), State("", "0.1.0", "{}", "")
    table.open(Space("a space"))
    table.write([Row(f"{n}", "", "", "0.1.0", "{}", v.tolist(), None, "{}", now) for n, v in enumerate(vectors)])
    assert dict(table.states()) == {f"{n}": state for n in range(1000)}
    table.close()
    asked = range(0, 1000, 10)
    exact = [set(np.argsort(((vectors - vectors[n]) ** 2).sum(axis=1))[:10].tolist()) for n in asked]
    name = Space("a space").table
    if store.kind == "lancedb":
        found = lancedb.connect(store.folder).open_table(name)
        answers = [{int(row["file"]) for row in found.search(vectors[n]).limit(10).to_list()} for n in asked]
    else:
        with psycopg.connect(store.uri) as connection:
            register_vector(connection)
            connection.execute("SET enable_seqscan = off")  # by the index, however small the table
            query = f"SELECT file FROM {name} ORDER BY vector <-> %s LIMIT 10"
            plan = str(connection.execute(f"EXPLAIN {query}", (vectors[0],)).fetchall())
            assert "Index Scan" in plan
            answers = [{int(file) for (file,) in connection.execute(query, (vectors[n],))} for n in asked]
    assert sum(len(a & b) for a, b in zip(exact, answers, strict=True)) >= 0.99 * 10 * len(exact)


def test_a_name_that_is_not_utf_8(maquette: Run, server: Server, folder: Path, store: Store) -> None:
    (folder / os.fsdecode(b"caf\xe9.jpg")).write_bytes(photograph(33))
    words = ["embed", "photos", "--id-from", "stem", "--to", store.to, "--server", server.address]
    assert maquette(*words).returncode == 0
    row = store.rows()["photos/caf\\udce9.jpg"]
    assert (row["id"], json.loads(row["record"])["file"]) == ("caf\\udce9", "photos/caf\\udce9.jpg")
    asked = len(server.seen.items)
    assert maquette(*words).returncode == 0
    assert len(server.seen.items) == asked
