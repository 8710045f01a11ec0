"""A folder or object store of photographs through one service, shared out among the pods of an Indexed Job.

    python -m maquette.batch.job run classify SOURCE RESULTS --shards 16      one pod; its index is JOB_COMPLETION_INDEX
    python -m maquette.batch.job collect RESULTS --shards 16                  when all have finished: one file of records

SOURCE and RESULTS are whatever fsspec opens: a folder, ``s3://``, ``gs://``, ``abfs://``. A photograph belongs to the
shard that the hash of its name says, so that shards agree without talking and a new photograph moves no other. A shard
writes its records in parts, each of which appears when it is whole. A killed shard that is begun again asks only for the
photographs without an answer; those that failed for a reason of this side, of the network or of the service are among them.
"""

from __future__ import annotations

import hashlib
import posixpath
import sys
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Annotated, Any

import typer

from maquette.batch import parts
from maquette.batch.store import BatchError, Store
from maquette.client.client import IN_FLIGHT, Client
from maquette.client.errors import MaquetteError
from maquette.client.services import Service
from maquette.folders.photographs import SUFFIXES
from maquette.records.ids import IdOfName
from maquette.records.records import Record, as_dict

_PICTURES = ("mask", "cutout")

app = typer.Typer(help=__doc__.partition("\n")[0], no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

Shards = Annotated[int, typer.Option(min=1, max=10_000, help="Shards in all: the Job's completions.")]


@app.command()
def run(
    service: Annotated[Service, typer.Argument(help="Which service.")],
    source: Annotated[str, typer.Argument(help="Folder or URL of the photographs.")],
    results: Annotated[str, typer.Argument(help="Folder or URL of the results.")],
    shards: Shards,
    index: Annotated[int, typer.Option(min=0, envvar="JOB_COMPLETION_INDEX", help="This shard, from 0.")] = 0,
    server: Annotated[str, typer.Option(envvar="MAQUETTE_SERVER", help="HOST or HOST:PORT.")] = "localhost",
    key: Annotated[str, typer.Option(envvar="MAQUETTE_KEY", show_default=False, help="API key.")] = "",
    part_size: Annotated[int, typer.Option(min=1, help="Photographs in one part: what a kill can cost.")] = 256,
    in_flight: Annotated[int, typer.Option(min=1, max=1024, help="Photographs under way at a time.")] = IN_FLIGHT,
    patience: Annotated[float, typer.Option(min=1, help="Seconds to wait for a service that is away.")] = 300.0,
    id_from: Annotated[
        IdOfName | None, typer.Option(help="Give each record an id: its photograph's stem, name or path.")
    ] = None,
) -> None:
    """Answer the photographs of one shard that have no answer yet."""
    if index >= shards:
        raise BatchError(f"--index {index} is no shard of {shards}: they count from 0.")
    inputs, outputs, shard = Store(source), Store(results), parts.prefix(index, shards)
    photographs = _photographs(inputs, outputs)
    parts.claim(outputs, {"service": service.value, "source": inputs.address})
    mine = [name for name in photographs if parts.shard_of(name, shards) == index]
    had = {
        record["file"]
        for part in parts.parts_of(outputs, shard)
        for record in parts.records_of(outputs, part)
        if parts.is_final(record)
    }
    left = [name for name in mine if name not in had]
    _say(f"{shard}: {len(mine)} photographs, {len(left)} to do")
    parts.begin(outputs, index, shards)
    failed = again = done = 0
    with Client(server, key=key, patience=patience) as client:
        job = _Shard(client, service, inputs, outputs, shard, in_flight, id_from)
        for start in range(0, len(left), part_size):
            for record in job.write_part(left[start : start + part_size]):
                done += "error" not in record
                failed += "error" in record
                again += not parts.is_final(record)
            _say(f"{shard}: {min(len(left), start + part_size)} of {len(left)}")
    parts.finish(outputs, index, shards, photographs)
    counts = f"{done} done, {len(mine) - len(left)} skipped, {failed} failed"
    next_ = f"run the shard again for the {again} that may yet be answered" if again else "collect, once all shards are done"
    _say(f"{shard}: {counts}; records in {outputs.url}. Next: {next_}.")
    if again:
        raise typer.Exit(1)


def _photographs(inputs: Store, outputs: Store) -> list[str]:
    """The photographs of SOURCE, sorted: no hidden files, and nothing that an earlier run put into RESULTS."""
    if not inputs.is_folder():
        raise BatchError(f"SOURCE {inputs.url} is no folder.")
    own: tuple[str, ...] = ()
    if inputs.address == outputs.address:
        own = tuple(f"{folder}/" for folder in parts.FOLDERS)
    elif outputs.address.startswith(f"{inputs.address}/"):
        own = (f"{outputs.address.removeprefix(f'{inputs.address}/')}/",)
    found = [name for name in inputs.names() if _is_photograph(name) and not name.startswith(own or ("\0",))]
    if not found:
        raise BatchError(f"SOURCE {inputs.url} holds no photographs; looked for {' '.join(sorted(SUFFIXES))}.")
    return found


def _is_photograph(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix.lower() in SUFFIXES and not any(part.startswith(".") for part in path.parts)


class _Shard:
    """Asks the service about some photographs of a shard, and writes a part of their records."""

    def __init__(
        self,
        client: Client,
        service: Service,
        inputs: Store,
        outputs: Store,
        shard: str,
        in_flight: int,
        id_from: IdOfName | None,
    ) -> None:
        self._ask, self._in_flight = _many(client, service), in_flight
        self._inputs, self._outputs, self._shard, self._id_from = inputs, outputs, shard, id_from

    def write_part(self, names: list[str]) -> list[Record]:
        """Their records, in order, which are then in a part of their own."""
        unreadable: dict[str, str] = {}

        def pictures() -> Iterator[bytes]:
            for name in names:
                try:
                    yield self._inputs.read(name)
                except OSError as error:
                    unreadable[name] = str(error.strerror or error)
                    yield b""

        # Named by what is in it: two pods on one shard that write the same part write one file.
        digest = hashlib.sha256("\n".join(names).encode("utf-8", "surrogateescape")).hexdigest()[:12]
        written = []
        with self._outputs.whole(f"parts/{self._shard}-{digest}.jsonl", f"unfinished/{self._shard}") as stream:
            for name, answer in zip(names, self._ask(pictures(), in_flight=self._in_flight), strict=True):
                record = self._record(name, answer, unreadable.get(name))
                stream.write(parts.encoded(record))
                written.append({"file": name} | ({"error": record["error"]} if "error" in record else {}))
        return written

    def _record(self, name: str, answer: Any, unreadable: str | None) -> Record:
        record: Record = {"file": name}
        if self._id_from is not None:
            record["id"] = self._id_from.of(PurePosixPath(name))
        record["sha256"] = answer.sha256
        if unreadable is not None:
            detail = f"{name} cannot be read: {unreadable}."
            return record | {"sha256": "", "error": {"code": "FILE_UNREADABLE", "detail": detail}}
        if answer.error:
            return record | {"error": {"code": answer.error.code, "detail": answer.error.detail}}
        message = answer.result()
        if mask := getattr(message, "mask", b""):
            with self._outputs.whole(f"masks/{name}.png", f"unfinished/{self._shard}") as stream:
                stream.write(mask)
        return record | {field: value for field, value in as_dict(message).items() if field not in _PICTURES}


def _many(client: Client, service: Service) -> Any:
    return {
        Service.CLASSIFY: client.classify_many,
        Service.CLUSTER_ASSIGN: client.assign_many,
        Service.EMBED_LATENT: client.embed_many,
        Service.REMOVE_BACKGROUND: client.remove_background_many,
    }[service]


@app.command()
def collect(
    results: Annotated[str, typer.Argument(help="Folder or URL of the results.")],
    shards: Shards,
    output: Annotated[str, typer.Option(help="File of all records, below RESULTS.")] = "records.jsonl",
) -> None:
    """Put the parts of all shards into one file, by name, each photograph once; exit 1 when a photograph failed."""
    store = Store(results)
    expected = parts.check_finished(store, shards)
    count = failed = 0
    try:
        with store.whole(output, "unfinished/merge") as stream:
            for record in parts.merged(store, [name for name in parts.parts_of(store) if f"-of-{shards:05d}-" in name]):
                count, failed = count + 1, failed + ("error" in record)
                expected[parts.shard_of(record["file"], shards)] -= 1
                stream.write(parts.encoded(record))
            _check_counts(expected)
    finally:
        store.remove("unfinished")
    next_ = "look at the records with an error" if failed else "nothing is left to do"
    where = posixpath.join(results, output)
    _say(f"{count} photographs: {count - failed} done, 0 skipped, {failed} failed; records in {where}. Next: {next_}.")
    if failed:
        raise typer.Exit(1)


def _check_counts(missing: dict[int, int]) -> None:
    short = [index for index, count in missing.items() if count > 0]
    if short:
        listed = ", ".join(map(str, short[:10]))
        raise BatchError(f"Parts of {len(short)} shards are gone: {listed}. Run these shards again, then collect.")


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def main(words: Iterable[str] | None = None) -> None:
    """Exit codes: 0 all done, 1 a photograph or the service failed (a Job may try again), 2 wrong usage."""
    try:
        app(None if words is None else list(words))
    except BatchError as error:
        _say(f"maquette: {error}")
        raise SystemExit(2) from None
    except (MaquetteError, OSError) as error:
        _say(f"maquette: {error}")
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
