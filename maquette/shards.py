"""A folder or object store of photographs through one service, shared out among the pods of an Indexed Job.

    python -m maquette.shards run classify SOURCE RESULTS --shards 16      one pod; its index is JOB_COMPLETION_INDEX
    python -m maquette.shards collect RESULTS --shards 16                  when all have finished: one file of records

SOURCE and RESULTS are whatever fsspec opens: a folder, ``s3://``, ``gs://``, ``abfs://``. A photograph belongs to the
shard that the hash of its name says, so shards agree without talking and a new photograph moves no other. A shard writes
its records in parts, each under a temporary name and then renamed; a killed shard begun again skips what its parts hold.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import posixpath
import sys
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, Annotated, Any

import typer
from fsspec.core import url_to_fs

from maquette.client import IN_FLIGHT, Client
from maquette.contract import Service
from maquette.errors import MaquetteError
from maquette.records import Record, as_dict

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff")
_PICTURES = ("mask", "cutout")

app = typer.Typer(help=__doc__.partition("\n")[0], no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

Shards = Annotated[int, typer.Option(min=1, max=10_000, help="Shards in all: the Job's completions.")]


class ShardError(Exception):
    """Wrong usage or an unfinished run, in one sentence for a person."""


class Store:
    """A folder of some file system, by its URL."""

    def __init__(self, url: str) -> None:
        try:
            self.fs, self.root = url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise ShardError(f"{url} cannot be opened: {error}.") from error
        self.url = url

    def names(self, pattern: str = "") -> list[str]:
        """Files below the folder that begin with ``pattern``, relative to it, sorted."""
        found = self.fs.find(self.root)
        return sorted(name for name in (posixpath.relpath(path, self.root) for path in found) if name.startswith(pattern))

    def open(self, name: str) -> IO[str]:
        return self.fs.open(posixpath.join(self.root, name), "r", encoding="utf-8")  # type: ignore[no-any-return]

    def read(self, name: str) -> bytes:
        return bytes(self.fs.cat_file(posixpath.join(self.root, name)))

    @contextmanager
    def whole(self, name: str) -> Iterator[IO[bytes]]:
        """A file that appears under its name when it is complete. Two writers of one name leave one whole file."""
        target = posixpath.join(self.root, name)
        folder, _, last = target.rpartition("/")
        temporary = f"{folder}/.{last}.{uuid.uuid4().hex}"
        self.fs.makedirs(folder, exist_ok=True)
        try:
            with self.fs.open(temporary, "wb") as stream:
                yield stream
            self.fs.mv(temporary, target)
        except BaseException:
            if self.fs.exists(temporary):
                self.fs.rm_file(temporary)
            raise


def shard_of(name: str, shards: int) -> int:
    """The shard of a photograph, by its name alone."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) % shards


def _prefix(index: int, shards: int) -> str:
    return f"shard-{index:05d}-of-{shards:05d}"


def _records(results: Store, part: str) -> Iterator[Record]:
    with results.open(part) as stream:
        for line in stream:
            yield json.loads(line)


def _parts(results: Store, prefix: str = "") -> list[str]:
    return [name for name in results.names(f"parts/{prefix}") if name.endswith(".jsonl")]


@app.command()
def run(
    service: Annotated[Service, typer.Argument(help="Which service.")],
    source: Annotated[str, typer.Argument(help="Folder or URL of the photographs.")],
    results: Annotated[str, typer.Argument(help="Folder or URL of the results.")],
    shards: Shards,
    index: Annotated[int, typer.Option(min=0, envvar="JOB_COMPLETION_INDEX", help="This shard.")],
    server: Annotated[str, typer.Option(envvar="MAQUETTE_SERVER", help="HOST or HOST:PORT of the service.")] = "localhost",
    key: Annotated[str, typer.Option(envvar="MAQUETTE_KEY", show_default=False, help="API key.")] = "",
    part_size: Annotated[int, typer.Option(min=1, help="Photographs in one part: what a kill can cost.")] = 256,
    in_flight: Annotated[int, typer.Option(min=1, max=1024, help="Photographs under way at a time.")] = IN_FLIGHT,
    patience: Annotated[float, typer.Option(min=1, help="Seconds to wait for a service that is away.")] = 300.0,
) -> None:
    """Answer the photographs of one shard that have no record yet."""
    if index >= shards:
        raise ShardError(f"--index {index} is no shard of {shards}: they count from 0.")
    inputs, outputs, prefix = Store(source), Store(results), _prefix(index, shards)
    mine = [name for name in inputs.names() if name.lower().endswith(SUFFIXES) and shard_of(name, shards) == index]
    had = {record["file"] for part in _parts(outputs, prefix) for record in _records(outputs, part)}
    left = [name for name in mine if name not in had]
    print(f"{prefix}: {len(mine)} photographs, {len(left)} to do", file=sys.stderr, flush=True)
    with Client(server, key=key, patience=patience) as client:
        for number, batch in enumerate(_batched(left, part_size), 1):
            _write_part(client, service, inputs, outputs, prefix, batch, in_flight)
            print(f"{prefix}: {min(len(left), number * part_size)} of {len(left)}", file=sys.stderr, flush=True)
    with outputs.whole(f"finished/{prefix}.json") as stream:
        stream.write(json.dumps({"photographs": len(mine)}).encode())


def _batched(names: list[str], size: int) -> Iterator[tuple[str, ...]]:
    for start in range(0, len(names), size):
        yield tuple(names[start : start + size])


def _write_part(
    client: Client, service: Service, inputs: Store, outputs: Store, prefix: str, names: Iterable[str], in_flight: int
) -> None:
    names = list(names)
    unreadable: dict[str, str] = {}

    def pictures() -> Iterator[bytes]:
        for name in names:
            try:
                yield inputs.read(name)
            except OSError as error:
                unreadable[name] = str(error.strerror or error)
                yield b""

    # By what is in it: two pods on one shard that write the same part write one file.
    digest = hashlib.sha256("\n".join(names).encode()).hexdigest()[:12]
    with outputs.whole(f"parts/{prefix}-{digest}.jsonl") as stream:
        answers = _many(client, service)(pictures(), in_flight=in_flight)
        for name, answer in zip(names, answers, strict=True):
            record: Record = {"file": name, "sha256": answer.sha256}
            if name in unreadable:
                record["error"] = {"code": "FILE_UNREADABLE", "detail": f"{name} cannot be read: {unreadable[name]}."}
            elif answer.error:
                record["error"] = {"code": answer.error.code, "detail": answer.error.detail}
            else:
                record |= _fields(outputs, name, answer.result())
            stream.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")


def _many(client: Client, service: Service) -> Any:
    return {
        Service.CLASSIFY: client.classify_many,
        Service.CLUSTER_ASSIGN: client.assign_many,
        Service.EMBED_LATENT: client.embed_many,
        Service.REMOVE_BACKGROUND: client.remove_background_many,
    }[service]


def _fields(outputs: Store, name: str, message: Any) -> Record:
    """The answer without its picture, which gets a file of its own under masks/."""
    if mask := getattr(message, "mask", b""):
        with outputs.whole(f"masks/{name}.png") as stream:
            stream.write(mask)
    return {field: value for field, value in as_dict(message).items() if field not in _PICTURES}


@app.command()
def collect(
    results: Annotated[str, typer.Argument(help="Folder or URL of the results.")],
    shards: Shards,
    output: Annotated[str, typer.Option(help="File of all records, below RESULTS.")] = "records.jsonl",
) -> None:
    """Put the parts of all shards into one file, by name, each photograph once; exit 1 when a photograph failed."""
    store = Store(results)
    finished = set(store.names("finished/"))
    missing = [index for index in range(shards) if f"finished/{_prefix(index, shards)}.json" not in finished]
    if missing:
        listed = ", ".join(map(str, missing[:10])) + (", ..." if len(missing) > 10 else "")
        raise ShardError(f"{len(missing)} of {shards} shards have not finished: {listed}.")
    parts = [_records(store, part) for part in _parts(store) if f"-of-{shards:05d}-" in part]
    count = failed = 0
    last = None
    with store.whole(output) as stream:
        for record in heapq.merge(*parts, key=lambda record: str(record["file"])):
            if record["file"] == last:
                continue
            last = record["file"]
            count, failed = count + 1, failed + ("error" in record)
            stream.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
    print(f"{count} photographs, {failed} failed: {posixpath.join(results, output)}", file=sys.stderr)
    if failed:
        raise typer.Exit(1)


def main() -> None:
    """Exit codes: 0 all done, 1 a photograph or the service failed (a Job may try again), 2 wrong usage."""
    try:
        app()
    except ShardError as error:
        sys.stderr.write(f"maquette: {error}\n")
        raise SystemExit(2) from None
    except (MaquetteError, OSError) as error:
        sys.stderr.write(f"maquette: {error}\n")
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
